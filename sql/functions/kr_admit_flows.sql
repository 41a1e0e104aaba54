-- Let flows through the limits that count flows, the first in the queue first, and move what waits of them to its next gate. A flow that is over
-- or stalled leaves, and makes room for the next. All is counted from rows, under a lock per limit that nobody waits for: whoever does not get it
-- has another look.
-- rung: limits where somebody may come in. checked: those of which every flow inside is judged, and which take in who runs already. touched: flows
-- that may have ended. flows, seqs: tasks that stand at a limit since just now.
-- Answers the tasks that have moved on and stand at the gate slot or limit, as kr_settle does.
CREATE OR REPLACE FUNCTION kr_admit_flows(rung text[], checked text[], touched text[], flows text[], seqs numeric[], careful boolean)
RETURNS TABLE (gate text, limits text[], program text, run_order double precision, rank integer, seq numeric, flow text) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    kind text;
    all_ text[];
    o    record;
BEGIN
    all_ := kr_flow_limit_names(rung || checked);
    checked := kr_flow_limit_names(checked);
    -- who comes through the one may have to wait at the other
    FOREACH kind IN ARRAY '{unique:,workflow:}'::text[] LOOP
        FOR o IN SELECT * FROM kr_let_flows_in(ARRAY(
                SELECT n.name FROM (
                    SELECT unnest(all_) AS name
                    UNION SELECT t.waits_for FROM unnest(flows, seqs) k (f, s) JOIN kr_task_stat t ON t.task_flow_id = k.f AND t.task_exec_seq = k.s
                        WHERE t.exec_status + 0 = 0 AND t.gate || '' = 'limit'
                    UNION SELECT i.name FROM kr_flow_inside i WHERE i.task_flow_id = ANY (touched)) n
                WHERE starts_with(n.name, kind)), all_, checked, touched, flows, seqs, careful) LOOP
            IF o.gate = 'limit' THEN
                flows := flows || o.flow;
                seqs := seqs || o.seq;
            END IF;
            gate := o.gate; limits := o.limits; program := o.program; run_order := o.run_order; rank := o.rank; seq := o.seq; flow := o.flow;
            RETURN NEXT;
        END LOOP;
    END LOOP;
END $$;

CREATE OR REPLACE FUNCTION kr_let_flows_in(names text[], rung text[], checked text[], touched text[], flows text[], seqs numeric[], careful boolean)
RETURNS TABLE (gate text, limits text[], program text, run_order double precision, rank integer, seq numeric, flow text) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    most   CONSTANT integer := 500;
    locked text[];
    places tid[];
    rooms  bigint[];          -- of each that is locked: how many more; NULL: it does not hold
    mflows text[];            -- what moves on
    mseqs  numeric[];
BEGIN
    IF names = '{}' THEN
        RETURN;
    END IF;
    locked := ARRAY(SELECT n FROM unnest(names) n WHERE pg_try_advisory_xact_lock(hashtextextended(current_schema || ' flows ' || n, 0)));
    IF cardinality(locked) < cardinality(names) THEN          -- whoever has it does not see what is written here
        INSERT INTO kr_recount (kind, name)
            SELECT CASE WHEN n = ANY (checked) THEN 'flow limit' ELSE 'limit' END, n FROM unnest(names) n WHERE n <> ALL (locked) AND n = ANY (rung);
        INSERT INTO kr_recount (kind, task_flow_id, task_exec_seq)
            SELECT 'task', t.task_flow_id, t.task_exec_seq FROM unnest(flows, seqs) k (f, s) JOIN kr_task_stat t ON t.task_flow_id = k.f AND t.task_exec_seq = k.s
                WHERE t.exec_status + 0 = 0 AND t.waits_for = ANY (names) AND t.waits_for <> ALL (locked)
            UNION SELECT 'task', i.task_flow_id, NULL::numeric FROM kr_flow_inside i WHERE i.task_flow_id = ANY (touched) AND i.name = ANY (names) AND i.name <> ALL (locked);
        IF locked = '{}' THEN
            RETURN;
        END IF;
    END IF;

    -- who leaves: locked first and judged afterwards. A place that kr_settle guards at this moment is of a flow that goes on.
    places := ARRAY(SELECT i.ctid FROM kr_flow_inside i WHERE i.task_flow_id = ANY (touched) AND i.name = ANY (locked))
        || ARRAY(SELECT i.ctid FROM kr_flow_inside i WHERE i.name = ANY (ARRAY(SELECT unnest(locked) INTERSECT SELECT unnest(checked))));
    IF places <> '{}' THEN
        places := ARRAY(SELECT i.ctid FROM kr_flow_inside i WHERE i.ctid = ANY (places) FOR UPDATE SKIP LOCKED);
        DELETE FROM kr_flow_inside i WHERE i.ctid = ANY (places) AND NOT kr_goes_on(i.task_flow_id);
    END IF;
    -- a limit that is new lets in who runs already: nothing that has begun is held by it
    INSERT INTO kr_flow_inside (task_flow_id, name)
        SELECT DISTINCT t.task_flow_id, n FROM unnest(checked) n JOIN kr_task_stat t ON t.exec_status = 1 AND 'workflow:' || t.task_id = n
        WHERE n = ANY (locked) AND EXISTS (SELECT FROM kr_flow_slots('workflow:' || t.task_id)) ON CONFLICT DO NOTHING;

    -- who stands at a door though his flow was let in by another worker meanwhile
    SELECT array_agg(t.task_flow_id::text), array_agg(t.task_exec_seq) INTO mflows, mseqs
        FROM unnest(flows, seqs) k (f, s) JOIN kr_task_stat t ON t.task_flow_id = k.f AND t.task_exec_seq = k.s
        WHERE t.exec_status + 0 = 0 AND t.gate || '' = 'limit' AND t.waits_for = ANY (locked)
            AND EXISTS (SELECT FROM kr_flow_inside i WHERE i.task_flow_id = t.task_flow_id AND i.name = t.waits_for);
    FOR round IN 1 .. 100 LOOP          -- more than once where a flow has several tasks at the door
        IF mflows IS NOT NULL THEN
            RETURN QUERY SELECT * FROM kr_settle(mflows, mseqs, array_fill(false, ARRAY[cardinality(mflows)]), careful);
        END IF;
        rooms := ARRAY(
            SELECT (SELECT s.slots FROM kr_flow_slots(n) s) - (SELECT count(*) FROM kr_flow_inside i WHERE i.name = n)
            FROM unnest(locked) WITH ORDINALITY l (n, place) ORDER BY l.place);
        WITH next_ AS MATERIALIZED (
            SELECT DISTINCT r.name, r.room, h.task_flow_id FROM unnest(locked, rooms) r (name, room) CROSS JOIN LATERAL (
                SELECT t.task_flow_id FROM kr_task_stat t
                WHERE t.exec_status = 0 AND t.gate = 'limit' AND t.waits_for COLLATE "C" = r.name AND kr_part(t.limits, t.waits_for) = 0
                ORDER BY t.run_order, t.rank, t.task_exec_seq, t.task_flow_id LIMIT CASE WHEN r.room IS NULL THEN most ELSE least(greatest(r.room, 0), most) END FOR UPDATE OF t SKIP LOCKED) h),
        let_in AS (
            INSERT INTO kr_flow_inside (task_flow_id, name) SELECT n.task_flow_id, n.name FROM next_ n WHERE n.room IS NOT NULL ON CONFLICT DO NOTHING)
        SELECT array_agg(t.task_flow_id::text), array_agg(t.task_exec_seq) INTO mflows, mseqs
            FROM next_ n JOIN kr_task_stat t ON t.task_flow_id = n.task_flow_id WHERE t.exec_status + 0 = 0 AND t.gate || '' = 'limit' AND t.waits_for = n.name;
        EXIT WHEN mflows IS NULL;
    END LOOP;
    -- what has room and somebody waiting is looked at again: rows that are locked, more than we take at once
    INSERT INTO kr_recount (kind, name)
        SELECT 'limit', r.name FROM unnest(locked, rooms) r (name, room) WHERE coalesce(r.room, 1) > 0
            AND EXISTS (SELECT FROM kr_task_stat t WHERE t.exec_status = 0 AND t.gate = 'limit' AND t.waits_for COLLATE "C" = r.name);
END $$;

-- These names, and in place of a pattern the limits on flows that it fits, as far as somebody is inside or waits there.
CREATE OR REPLACE FUNCTION kr_flow_limit_names(names text[]) RETURNS text[] LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM unnest(names) n WHERE n LIKE 'workflow:%*') THEN
        RETURN names;
    END IF;
    RETURN ARRAY(
        WITH RECURSIVE door AS (        -- each name once, by skipping through the index
            (SELECT t.waits_for COLLATE "C" AS name FROM kr_task_stat t WHERE t.exec_status = 0 AND t.gate = 'limit' ORDER BY t.waits_for COLLATE "C" LIMIT 1)
            UNION ALL
            SELECT n.* FROM door d CROSS JOIN LATERAL (
                SELECT t.waits_for COLLATE "C" FROM kr_task_stat t WHERE t.exec_status = 0 AND t.gate = 'limit'
                    AND t.waits_for COLLATE "C" > d.name ORDER BY t.waits_for COLLATE "C" LIMIT 1) n)
        SELECT n FROM unnest(names) n WHERE n NOT LIKE 'workflow:%*'
        UNION
        SELECT x.name FROM (SELECT d.name FROM door d UNION SELECT i.name FROM kr_flow_inside i UNION SELECT DISTINCT 'workflow:' || t.task_id FROM kr_task_stat t WHERE t.exec_status = 1) x
        WHERE EXISTS (SELECT FROM unnest(names) n WHERE n LIKE 'workflow:%*' AND starts_with(x.name, left(n, -1))));
END $$;

-- Tasks of flows that are not let in, and came past the place where these limits hold now: at a slot, or in the queue of another limit. Up to *most*
-- of each; where there may be more, they are looked for again.
CREATE OR REPLACE FUNCTION kr_past_flow_limits(names text[], most integer)
RETURNS TABLE (flow text, seq numeric) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    found_ integer;
BEGIN
    RETURN QUERY
        SELECT h.task_flow_id::text, h.task_exec_seq FROM unnest(names) n CROSS JOIN LATERAL (
            (SELECT s.* FROM (SELECT t.task_flow_id, t.task_exec_seq FROM kr_task_stat t
                WHERE t.exec_status = 0 AND t.gate = 'slot' AND t.crashes < 2 AND kr_is_limit_of(n, t.task_id) AND EXISTS (SELECT FROM kr_flow_slots('workflow:' || t.task_id))
                    AND NOT EXISTS (SELECT FROM kr_flow_inside i WHERE i.task_flow_id = t.task_flow_id AND i.name = 'workflow:' || t.task_id)
                ORDER BY t.run_order LIMIT most FOR UPDATE SKIP LOCKED) s)
            UNION ALL (SELECT s.* FROM (SELECT t.task_flow_id, t.task_exec_seq FROM kr_task_stat t
                WHERE t.exec_status = 0 AND t.gate = 'slot' AND t.crashes >= 2 AND kr_is_limit_of(n, t.task_id) AND EXISTS (SELECT FROM kr_flow_slots('workflow:' || t.task_id))
                    AND NOT EXISTS (SELECT FROM kr_flow_inside i WHERE i.task_flow_id = t.task_flow_id AND i.name = 'workflow:' || t.task_id)
                LIMIT most FOR UPDATE SKIP LOCKED) s)
            UNION ALL (SELECT s.* FROM (SELECT t.task_flow_id, t.task_exec_seq FROM kr_task_stat t
                WHERE t.exec_status = 0 AND t.gate = 'limit' AND NOT kr_counts_flows(t.waits_for) AND kr_is_limit_of(n, t.task_id)
                    AND EXISTS (SELECT FROM kr_flow_slots('workflow:' || t.task_id))
                    AND NOT EXISTS (SELECT FROM kr_flow_inside i WHERE i.task_flow_id = t.task_flow_id AND i.name = 'workflow:' || t.task_id)
                LIMIT most FOR UPDATE SKIP LOCKED) s)) h;
    GET DIAGNOSTICS found_ = ROW_COUNT;
    IF found_ >= most THEN
        INSERT INTO kr_recount (kind, name) SELECT 'new flow limit', n FROM unnest(names) n;
    END IF;
END $$;

-- Whether a limit, or a pattern of limits, is one on the flows of this workflow.
CREATE OR REPLACE FUNCTION kr_is_limit_of(limit_name text, workflow text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT limit_name = 'workflow:' || workflow OR (limit_name LIKE 'workflow:%*' AND starts_with('workflow:' || workflow, left(limit_name, -1)))
$$;
