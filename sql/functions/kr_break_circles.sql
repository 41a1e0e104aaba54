-- Where tasks of a flow wait for each other in a circle, stop one of them: the lowest of the circle, with a message; the others go on
-- waiting for it. Looked for where a circle can close: when a task begins to wait, or an edge was written by hand.
-- One pass over the waiting tasks, however long their chains: whoever waits for nobody is taken away, then who waited only for those, and
-- so on; what is left waits for a circle or stands in one, and going from any of them to a parent, again and again, ends in a circle.
CREATE OR REPLACE FUNCTION kr_break_circles(flow text) RETURNS void LANGUAGE plpgsql SET enable_hashjoin = on AS $$
DECLARE
    seqs     numeric[];
    children integer[];      -- edges as places in seqs, in the order of the parents
    parents  integer[];
    first    integer[];      -- of each parent: its first edge
    open_    integer[];      -- of each child: how many parents are left
    free     integer[];
    back     integer[];
    seen     integer[];      -- from where this task was come by
    done     integer;
    place    integer;
    lowest   integer[];
    stopped  integer;
BEGIN
    -- a circle has edges up and down: in most flows all go one way
    IF NOT EXISTS (SELECT FROM kr_task_edge e WHERE e.task_flow_id = flow AND e.parent_seq >= e.task_exec_seq)
        OR NOT EXISTS (SELECT FROM kr_task_edge e WHERE e.task_flow_id = flow AND e.parent_seq <= e.task_exec_seq) THEN
        RETURN;
    END IF;
    LOOP
        WITH waiting AS MATERIALIZED (
            SELECT t.task_exec_seq AS seq, row_number() OVER (ORDER BY t.task_exec_seq)::integer AS n FROM kr_task_stat t WHERE t.task_flow_id = flow AND t.exec_status + 0 = 0),
        edge AS (
            SELECT c.n AS child, p.n AS parent FROM kr_task_edge e JOIN waiting c ON c.seq = e.task_exec_seq JOIN waiting p ON p.seq = e.parent_seq
            WHERE e.task_flow_id = flow AND 0 <> ALL (e.counts))
        SELECT (SELECT array_agg(w.seq ORDER BY w.n) FROM waiting w), array_agg(e.child ORDER BY e.parent, e.child), array_agg(e.parent ORDER BY e.parent, e.child)
            INTO seqs, children, parents FROM edge e;
        EXIT WHEN children IS NULL;
        first := array_fill(NULL::integer, ARRAY[cardinality(seqs)]);
        open_ := array_fill(0, ARRAY[cardinality(seqs)]);
        back := first;
        seen := open_;
        FOR i IN REVERSE cardinality(children) .. 1 LOOP
            first[parents[i]] := i;
            open_[children[i]] := open_[children[i]] + 1;
        END LOOP;
        free := ARRAY(SELECT n FROM unnest(open_) WITH ORDINALITY o (count, n) WHERE count = 0);
        done := 0;
        WHILE done < cardinality(free) LOOP
            done := done + 1;
            place := first[free[done]];
            WHILE parents[place] = free[done] LOOP
                open_[children[place]] := open_[children[place]] - 1;
                IF open_[children[place]] = 0 THEN
                    free := free || children[place];
                END IF;
                place := place + 1;
            END LOOP;
        END LOOP;
        EXIT WHEN done = cardinality(seqs);
        FOR i IN 1 .. cardinality(children) LOOP
            IF open_[parents[i]] > 0 AND open_[children[i]] > 0 AND back[children[i]] IS NULL THEN
                back[children[i]] := parents[i];
            END IF;
        END LOOP;
        lowest := '{}';
        FOR i IN 1 .. cardinality(seqs) LOOP
            CONTINUE WHEN open_[i] = 0;
            place := i;
            WHILE seen[place] = 0 LOOP
                seen[place] := i;
                place := back[place];
            END LOOP;
            CONTINUE WHEN seen[place] <> i;
            lowest := lowest || place;
            done := back[place];
            WHILE done <> place LOOP
                lowest[cardinality(lowest)] := least(lowest[cardinality(lowest)], done);
                done := back[done];
            END LOOP;
        END LOOP;
        WITH held AS MATERIALIZED (
            SELECT t.ctid AS row_, l.n FROM unnest(lowest) l (n) JOIN kr_task_stat t ON t.task_flow_id = flow AND t.task_exec_seq = seqs[l.n]
            WHERE t.exec_status + 0 = 0 ORDER BY l.n FOR UPDATE OF t SKIP LOCKED),
        stopped AS (
            UPDATE kr_task_stat t SET exec_status = 2, outcome = 'invalid', claim_id = gen_random_uuid(), gate = NULL, waits_seq = NULL, waits_for = NULL,
                suspended_ts = clock_timestamp(), fingerprint = kr_fingerprint(t.task_id, '{"type": "Circle"}'), error = jsonb_build_object('type', 'Circle', 'message', format(
                    'task %s waits for task %s, which waits for it: a circle; delete one of the edges and set exec_status to 0', seqs[h.n], seqs[back[h.n]]))
            FROM held h WHERE t.ctid = h.row_ RETURNING t.limits),
        rung AS (
            INSERT INTO kr_recount (kind, task_flow_id, task_exec_seq, name)
                SELECT 'limit', NULL, NULL::numeric, l FROM stopped s CROSS JOIN unnest(s.limits) l
                UNION ALL SELECT 'edge', flow, seqs[l.n], NULL FROM unnest(lowest) l (n) WHERE NOT EXISTS (SELECT FROM held h WHERE h.n = l.n))
        SELECT count(*) INTO stopped FROM stopped;
        EXIT WHEN stopped = 0;
    END LOOP;
END $$;
