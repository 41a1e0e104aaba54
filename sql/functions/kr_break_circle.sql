-- Stop one task of a flow in which tasks wait for each other in a circle: the lowest of the circle, with a message; the others go on
-- waiting for it. Looked for where a circle can close: when a task begins to wait, or an edge was written by hand.
-- One pass over the waiting tasks, however long their chains: whoever waits for nobody is taken away, then who waited only for those, and
-- so on; what is left waits for a circle or stands in one, and going from any of them to a parent, again and again, ends in the circle.
CREATE OR REPLACE FUNCTION kr_break_circle(flow text) RETURNS void LANGUAGE plpgsql SET enable_hashjoin = on AS $$
DECLARE
    seqs     numeric[];
    children integer[];      -- edges as places in seqs, in the order of the parents
    parents  integer[];
    first    integer[];      -- of each parent: its first edge
    open_    integer[];      -- of each child: how many parents are left
    free     integer[];
    back     integer[];
    done     integer := 0;
    place    integer;
    lowest   integer;
BEGIN
    -- a circle has edges up and down: in most flows all go one way
    IF NOT EXISTS (SELECT FROM kr_task_edge e WHERE e.task_flow_id = flow AND e.parent_seq >= e.task_exec_seq)
        OR NOT EXISTS (SELECT FROM kr_task_edge e WHERE e.task_flow_id = flow AND e.parent_seq <= e.task_exec_seq) THEN
        RETURN;
    END IF;
    WITH waiting AS MATERIALIZED (
        SELECT t.task_exec_seq AS seq, row_number() OVER (ORDER BY t.task_exec_seq)::integer AS n FROM kr_task_stat t WHERE t.task_flow_id = flow AND t.exec_status + 0 = 0),
    edge AS (
        SELECT c.n AS child, p.n AS parent FROM kr_task_edge e JOIN waiting c ON c.seq = e.task_exec_seq JOIN waiting p ON p.seq = e.parent_seq
        WHERE e.task_flow_id = flow AND 0 <> ALL (e.counts))
    SELECT (SELECT array_agg(w.seq ORDER BY w.n) FROM waiting w), array_agg(e.child ORDER BY e.parent, e.child), array_agg(e.parent ORDER BY e.parent, e.child)
        INTO seqs, children, parents FROM edge e;
    IF children IS NULL THEN
        RETURN;
    END IF;
    first := array_fill(NULL::integer, ARRAY[cardinality(seqs)]);
    open_ := array_fill(0, ARRAY[cardinality(seqs)]);
    back := first;
    FOR i IN REVERSE cardinality(children) .. 1 LOOP
        first[parents[i]] := i;
        open_[children[i]] := open_[children[i]] + 1;
    END LOOP;
    free := ARRAY(SELECT n FROM unnest(open_) WITH ORDINALITY o (count, n) WHERE count = 0);
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
    IF done = cardinality(seqs) THEN
        RETURN;
    END IF;
    FOR i IN 1 .. cardinality(children) LOOP
        IF open_[parents[i]] > 0 AND open_[children[i]] > 0 AND back[children[i]] IS NULL THEN
            back[children[i]] := parents[i];
            place := children[i];
        END IF;
    END LOOP;
    FOR i IN 1 .. cardinality(seqs) LOOP           -- so many steps lead into the circle, from wherever they start
        place := back[place];
    END LOOP;
    lowest := place;
    FOR i IN 1 .. cardinality(seqs) LOOP
        place := back[place];
        lowest := least(lowest, place);
    END LOOP;
    WITH stopped AS (
        UPDATE kr_task_stat t SET exec_status = 2, outcome = 'invalid', claim_id = gen_random_uuid(), gate = NULL, waits_seq = NULL, waits_for = NULL,
            suspended_ts = clock_timestamp(), error = jsonb_build_object('type', 'Circle', 'message', format(
                'task %s waits for task %s, which waits for it: a circle; delete one of the edges and set exec_status to 0', seqs[lowest], seqs[back[lowest]]))
            WHERE t.ctid = (SELECT l.ctid FROM kr_task_stat l WHERE l.task_flow_id = flow AND l.task_exec_seq = seqs[lowest] AND l.exec_status + 0 = 0 FOR UPDATE SKIP LOCKED)
            RETURNING t.limits)
    INSERT INTO kr_recount (kind, task_flow_id, task_exec_seq, name)
        SELECT 'limit', NULL, NULL::numeric, l FROM stopped s CROSS JOIN unnest(s.limits) l
        -- there may be other circles; and the row may have been locked
        UNION ALL VALUES ('edge', flow, seqs[lowest], NULL), ('edge', flow, seqs[back[lowest]], NULL);
END $$;
