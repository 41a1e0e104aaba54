-- Take up to *slots* claimable tasks for a worker, in order, from a position on (the whole key of the last one claimed), and mark them
-- running. ctid = ANY (ARRAY (…)): joined by key, the planner may hash the whole table once many rows wait.
-- Rows that a session has locked are passed over. A suspect (it was running when two workers were lost) comes alone, one at a time per
-- worker, when it is its turn. What is paused (as kr_pauses has it), or has a program that no worker has any more, may stand at a slot until
-- the next look: it is never claimed.
-- let_in: tasks that their limits have just let through, which this call has locked; they stand at let_in_orders.
-- Without bitmaps and sorts: planned for any number of slots, it would else read all that wait, sort them, and take the first hundred.
CREATE OR REPLACE FUNCTION kr_claim(worker uuid, slots integer, at_order double precision, at_rank integer, at_seq numeric, at_flow text, let_in tid[], let_in_orders double precision[],
    careful boolean)
RETURNS TABLE (flow text, seq numeric, workflow text, name text, program text, parameters text, attempt integer, claim uuid,
    run_order double precision, rank integer, tries integer, input text[]) LANGUAGE plpgsql SET enable_bitmapscan = off SET enable_sort = off SET jit = off AS $$
#variable_conflict use_column
DECLARE
    mine    text[];                -- but for those that are paused
    paused  boolean;
    workflows text[] := '{}';      -- that are paused, as are these flows
    flows   text[] := '{}';
    held    text[];                -- limits and patterns of such; NULL: none
    rows_   tid[];
    found_  tid[];
    by_program boolean;
    suspects boolean;
    suspect tid[];
    is_full boolean;
    orders  double precision[];
BEGIN
    SELECT w.programs, EXISTS (SELECT FROM ms_pause), EXISTS (SELECT FROM kr_worker o WHERE NOT o.programs <@ w.programs),
            EXISTS (SELECT FROM kr_task_stat q WHERE q.exec_status = 0 AND q.gate = 'slot' AND q.crashes >= 2)
        INTO mine, paused, by_program, suspects FROM kr_worker w WHERE w.worker_id = worker;
    IF NOT FOUND THEN
        RETURN;                                  -- this worker was given up for lost: it may not start anything
    END IF;
    IF paused THEN
        IF EXISTS (SELECT FROM ms_pause p WHERE p.door = 'all:*' AND p.kind = 'all') THEN
            RETURN;
        END IF;
        SELECT coalesce(array_agg(p.task_id) FILTER (WHERE p.kind = 'workflow'), '{}'), coalesce(array_agg(p.task_id) FILTER (WHERE p.kind IN ('workflow', 'flow')), '{}'),
                array_agg(p.task_id) FILTER (WHERE p.kind = 'limit') INTO workflows, flows, held FROM ms_pause p;
        mine := ARRAY(SELECT m FROM unnest(mine) m WHERE NOT EXISTS (SELECT FROM ms_pause p WHERE p.door = 'program:' || m AND p.kind = 'program'));
    END IF;
    IF NOT by_program THEN
        SELECT coalesce(array_agg(c.ctid), '{}'), coalesce(bool_or(c.program <> ALL (mine)), false) INTO rows_, by_program FROM (
            SELECT q.ctid, q.program FROM kr_task_stat q
            WHERE q.exec_status = 0 AND q.gate = 'slot' AND q.crashes < 2 AND q.task_id <> ALL (workflows) AND q.task_flow_id <> ALL (flows)
                AND (held IS NULL OR q.limits IS NULL OR NOT kr_fits(q.limits, held))
                AND (q.run_order, q.rank, q.task_exec_seq, q.task_flow_id) >= (at_order, at_rank, at_seq, at_flow)
            ORDER BY q.run_order, q.rank, q.task_exec_seq, q.task_flow_id LIMIT slots FOR UPDATE SKIP LOCKED) c;
    END IF;
    IF by_program THEN
        found_ := ARRAY(
            SELECT q.ctid FROM unnest(mine) p (program) CROSS JOIN LATERAL (
                SELECT q.ctid, q.run_order, q.rank, q.task_exec_seq, q.task_flow_id FROM kr_task_stat q
                WHERE q.exec_status = 0 AND q.gate = 'slot' AND q.crashes < 2 AND q.program = p.program AND q.task_id <> ALL (workflows) AND q.task_flow_id <> ALL (flows)
                    AND (held IS NULL OR q.limits IS NULL OR NOT kr_fits(q.limits, held))
                    AND (q.run_order, q.rank, q.task_exec_seq, q.task_flow_id) >= (at_order, at_rank, at_seq, at_flow)
                ORDER BY q.run_order, q.rank, q.task_exec_seq, q.task_flow_id LIMIT slots) q
            ORDER BY q.run_order, q.rank, q.task_exec_seq, q.task_flow_id LIMIT slots);
        rows_ := ARRAY(SELECT t.ctid FROM kr_task_stat t WHERE t.exec_status + 0 = 0 AND t.gate || '' = 'slot' AND t.ctid = ANY (found_) FOR UPDATE SKIP LOCKED);
        IF cardinality(rows_) < cardinality(found_) THEN       -- some are locked, and may stand before others for ever: lock first, more than are wanted
            rows_ := ARRAY(
                SELECT q.ctid FROM unnest(mine) p (program) CROSS JOIN LATERAL (
                    SELECT q.ctid, q.run_order, q.rank, q.task_exec_seq, q.task_flow_id FROM kr_task_stat q
                    WHERE q.exec_status = 0 AND q.gate = 'slot' AND q.crashes < 2 AND q.program = p.program AND q.task_id <> ALL (workflows) AND q.task_flow_id <> ALL (flows)
                        AND (held IS NULL OR q.limits IS NULL OR NOT kr_fits(q.limits, held))
                        AND (q.run_order, q.rank, q.task_exec_seq, q.task_flow_id) >= (at_order, at_rank, at_seq, at_flow)
                    ORDER BY q.run_order, q.rank, q.task_exec_seq, q.task_flow_id LIMIT slots FOR UPDATE SKIP LOCKED) q
                ORDER BY q.run_order, q.rank, q.task_exec_seq, q.task_flow_id LIMIT slots);
        END IF;
    END IF;
    IF let_in <> '{}' THEN
        SELECT array_agg(c.row_), array_agg(c.new_order) INTO rows_, orders FROM (
            SELECT t.ctid AS row_, j.new_order FROM (SELECT u, NULL::float8 FROM unnest(rows_) u UNION ALL SELECT * FROM unnest(let_in, let_in_orders)) j (row_, new_order) JOIN kr_task_stat t ON t.ctid = j.row_
            WHERE j.new_order IS NULL OR (t.crashes < 2 AND t.program = ANY (mine) AND t.task_id <> ALL (workflows) AND t.task_flow_id <> ALL (flows)
                AND (held IS NULL OR t.limits IS NULL OR NOT kr_fits(t.limits, held)))
            ORDER BY coalesce(j.new_order, t.run_order), t.rank, t.task_exec_seq, t.task_flow_id LIMIT slots) c;
        rows_ := coalesce(rows_, '{}');
    END IF;
    -- two lanes of the worker may claim at once: only one of them takes a suspect, and looks with a snapshot of after the other
    IF suspects AND pg_try_advisory_xact_lock(hashtextextended(worker::text, 0)) THEN
        IF NOT EXISTS (SELECT FROM kr_task_stat r WHERE r.exec_status = 1 AND r.worker_id = worker AND r.crashes >= 2) THEN
            is_full := cardinality(rows_) >= slots;
            suspect := ARRAY(
                SELECT q.ctid FROM kr_task_stat q
                WHERE q.exec_status = 0 AND q.gate = 'slot' AND q.crashes >= 2 AND q.program = ANY (mine) AND q.task_id <> ALL (workflows) AND q.task_flow_id <> ALL (flows)
                    AND (held IS NULL OR q.limits IS NULL OR NOT kr_fits(q.limits, held))
                    AND (NOT is_full OR q.run_order < (SELECT l.run_order FROM kr_task_stat l WHERE l.ctid = rows_[slots]))
                ORDER BY q.run_order, q.task_exec_seq, q.task_flow_id LIMIT 1 FOR UPDATE SKIP LOCKED);
            IF cardinality(suspect) > 0 THEN         -- while all slots are wanted it takes the place of the last one
                rows_ := rows_[: slots - 1] || suspect;
                orders := orders[: slots - 1];
            END IF;
        END IF;
    END IF;
    IF careful THEN
        RETURN QUERY SELECT * FROM kr_start_each(worker, rows_, orders);
    ELSE
        RETURN QUERY SELECT * FROM kr_start(worker, rows_, orders);
    END IF;
END $$;

-- Mark these rows running, for a worker. orders: where they stand, NULL where that is as before. Answers them, in no order.
CREATE OR REPLACE FUNCTION kr_start(worker uuid, rows_ tid[], orders double precision[])
RETURNS TABLE (flow text, seq numeric, workflow text, name text, program text, parameters text, attempt integer, claim uuid,
    run_order double precision, rank integer, tries integer, input text[]) LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    UPDATE kr_task_stat t SET exec_status = 1, gate = NULL, waits_seq = NULL, waits_for = NULL, started_ts = clock_timestamp(), notice = NULL, progress = NULL,
        attempt = least(t.attempt, 2147483646) + 1, tries = least(t.tries, 2147483646) + 1, worker_id = worker, claim_id = gen_random_uuid(), run_order = coalesce(j.new_order, t.run_order)
    FROM unnest(rows_, orders) j (row_, new_order)
    WHERE t.ctid = j.row_ AND t.exec_status + 0 = 0 AND (t.inputs IS NULL OR kr_has_sources(t.task_flow_id, t.inputs))
        -- a parent may have been set back since the task came to its slot
        AND (t.depends_task_exec_seq < 0 OR NOT EXISTS (
            SELECT FROM kr_task_edge e WHERE e.task_flow_id = t.task_flow_id AND e.task_exec_seq = t.task_exec_seq AND e.parent_seq >= '-Infinity'
            AND coalesce((SELECT p.exec_status FROM kr_task_stat p WHERE p.task_flow_id = e.task_flow_id AND p.task_exec_seq = e.parent_seq), -1) <> ALL (e.counts)))
    RETURNING t.task_flow_id::text, t.task_exec_seq, t.task_id::text, t.name::text, t.program::text, t.parameters::text, t.attempt, t.claim_id, t.run_order, t.rank, t.tries,
        CASE WHEN t.inputs IS NOT NULL THEN kr_input(t.task_flow_id, t.parameters::jsonb, t.inputs) || ARRAY[t.options::text, t.scheduled_ts::text]
             WHEN t.options IS NOT NULL OR t.scheduled_ts IS NOT NULL THEN ARRAY[t.parameters::text, NULL, t.options::text, t.scheduled_ts::text] END;
END $$;
