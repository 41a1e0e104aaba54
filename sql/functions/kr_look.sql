-- What the engine must look at: tasks that a hand changed or nobody has seen, tasks whose time has come, tasks at a door that opened or
-- closed; and the children of all those. Answers tasks (flow, seq, edges_changed) and the names of limits (limit_name; edges_changed: of one on
-- flows, which is to be looked at closely), each up to *most* per reason, and takes them out of kr_recount; where locked rows would stand before others for ever, they are passed over. Makes the row
-- of a flow that was written by hand, and removes that of a deleted one. What rang for signals is left to kr_signals.
CREATE OR REPLACE FUNCTION kr_look(most integer)
RETURNS TABLE (flow text, seq numeric, edges_changed boolean, limit_name text) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    now_  timestamptz := clock_timestamp();      -- a variable: clock_timestamp() is volatile and no index condition
    taken kr_recount[];
    found_ integer;
    due   text[];          -- limits by whose rate somebody may start
BEGIN
    -- by the key: as EXISTS, all pages are read where many rows were
    IF NOT ((SELECT r.id FROM kr_recount r WHERE r.kind <> 'signal' ORDER BY r.id LIMIT 1) IS NOT NULL OR EXISTS (SELECT FROM kr_task_stat t WHERE t.exec_status = 0 AND t.gate IS NULL)
            OR EXISTS (SELECT FROM kr_task_stat t WHERE t.exec_status = 0 AND t.gate = 'time' AND t.run_after <= now_)
            OR EXISTS (SELECT FROM kr_turn k WHERE k.look_at <= now_)
            OR EXISTS (SELECT FROM ms_pause p WHERE p.until_ts <= now_)) THEN
        RETURN;
    END IF;
    -- a pause whose time is over: its trigger writes down the door that opens, which is looked at below
    PERFORM kr_end_pauses(now_);
    WITH d AS (
        DELETE FROM kr_recount WHERE ctid = ANY (ARRAY(SELECT r.ctid FROM kr_recount r WHERE r.kind <> 'signal' ORDER BY r.id LIMIT most FOR UPDATE SKIP LOCKED))
        RETURNING kr_recount)
    SELECT array_agg(d.kr_recount) INTO taken FROM d;
    RETURN QUERY SELECT NULL, NULL::numeric, bool_or(k.kind <> 'limit'), k.name FROM unnest(taken) k
        WHERE k.kind IN ('limit', 'flow limit', 'new flow limit') AND k.name IS NOT NULL GROUP BY k.name;
    WITH d AS (          -- who lets them in says when to look again
        UPDATE kr_turn k SET look_at = NULL WHERE k.name = ANY (ARRAY(SELECT n.name FROM kr_turn n WHERE n.look_at <= now_ ORDER BY n.look_at LIMIT most FOR UPDATE SKIP LOCKED)) RETURNING k.name)
    SELECT array_agg(d.name) INTO due FROM d;
    RETURN QUERY SELECT NULL, NULL::numeric, NULL::boolean, k.name FROM unnest(due) k (name)
        -- a pattern that is gone holds none of its keys any more
        UNION SELECT NULL, NULL, NULL, w.name FROM unnest(taken) k CROSS JOIN LATERAL kr_freed_keys(k.name, most) w (name) WHERE k.kind = 'limit' AND k.name LIKE '%*';
    RETURN QUERY SELECT p.flow, p.seq, false, NULL FROM kr_past_flow_limits(ARRAY(SELECT DISTINCT k.name FROM unnest(taken) k WHERE k.kind = 'new flow limit'), most) p;

    -- a door opened: who waits there for it; a door closed: who came past it and may no longer. Not if it is as it was by now: a worker that
    -- went and came back would have every task of its programs written twice. The door of a pause is open, or shut for one flow only, whose name it has: then for all others.
    RETURN QUERY
        SELECT h.task_flow_id::text, h.task_exec_seq, false, NULL
        FROM (SELECT DISTINCT k.kind, k.name, k.kind = 'unpause' AND EXISTS (SELECT FROM ms_pause p WHERE p.door = k.name AND p.kind = 'flow') AS but_one_flow FROM unnest(taken) k WHERE k.kind IN ('program', 'unpause') AND CASE k.kind
                WHEN 'unpause' THEN NOT EXISTS (SELECT FROM ms_pause p WHERE p.door = k.name AND p.kind <> 'flow')
                ELSE EXISTS (SELECT FROM kr_worker w WHERE k.name = ANY (w.programs)) END) d CROSS JOIN LATERAL (
            SELECT t.task_flow_id, t.task_exec_seq FROM kr_task_stat t
            WHERE t.exec_status = 0 AND t.gate IN ('pause', 'program') AND t.gate = CASE d.kind WHEN 'unpause' THEN 'pause' ELSE 'program' END AND t.waits_for = d.name
                AND (NOT d.but_one_flow OR t.task_flow_id <> d.name)
            ORDER BY t.run_order LIMIT most FOR UPDATE SKIP LOCKED) h;
    GET DIAGNOSTICS found_ = ROW_COUNT;
    IF found_ >= most THEN
        INSERT INTO kr_recount (kind, name) SELECT DISTINCT k.kind, k.name FROM unnest(taken) k WHERE k.kind IN ('program', 'unpause');
    END IF;
    RETURN QUERY
        SELECT h.task_flow_id::text, h.task_exec_seq, false, NULL
        FROM (SELECT k.kind, k.name, false AS is_flow FROM unnest(taken) k
                WHERE k.kind = 'no program' AND NOT EXISTS (SELECT FROM kr_worker w WHERE k.name = ANY (w.programs))
              UNION SELECT p.kind, p.task_id, i.is_flow       -- a name may be that of a workflow and of a flow of another
                FROM unnest(taken) k JOIN ms_pause p ON p.door = k.name CROSS JOIN (VALUES (false), (true)) i (is_flow)
                WHERE k.kind = 'pause' AND CASE WHEN i.is_flow THEN p.kind = 'flow' OR (p.kind = 'workflow' AND EXISTS (SELECT FROM kr_flow_stat f WHERE f.task_flow_id = p.task_id))
                    ELSE p.kind <> 'flow' END) d CROSS JOIN LATERAL (
            (SELECT s.* FROM (SELECT t.task_flow_id, t.task_exec_seq FROM kr_task_stat t
                WHERE t.exec_status = 0 AND t.gate = 'slot' AND t.crashes < 2 AND NOT d.is_flow AND kr_is_behind(d.kind, d.name, t.task_id, t.program, t.limits)
                ORDER BY t.run_order LIMIT most FOR UPDATE SKIP LOCKED) s)
            UNION ALL (SELECT s.* FROM (SELECT t.task_flow_id, t.task_exec_seq FROM kr_task_stat t
                WHERE t.exec_status = 0 AND t.gate = 'slot' AND t.crashes >= 2 AND NOT d.is_flow AND kr_is_behind(d.kind, d.name, t.task_id, t.program, t.limits)
                LIMIT most FOR UPDATE SKIP LOCKED) s)
            UNION ALL (SELECT s.* FROM (SELECT t.task_flow_id, t.task_exec_seq FROM kr_task_stat t       -- of one flow, by its key
                WHERE d.is_flow AND t.task_flow_id = d.name AND t.exec_status + 0 = 0 AND t.gate || '' IN ('slot', 'program', 'limit')
                LIMIT most FOR UPDATE SKIP LOCKED) s)
            UNION ALL (SELECT s.* FROM (SELECT t.task_flow_id, t.task_exec_seq FROM kr_task_stat t       -- they wait at a later gate
                WHERE t.exec_status = 0 AND t.gate IN ('pause', 'program') AND t.gate = 'program' AND d.kind <> 'no program'
                    AND NOT d.is_flow AND kr_is_behind(d.kind, d.name, t.task_id, t.program, t.limits)
                LIMIT most FOR UPDATE SKIP LOCKED) s)
            UNION ALL (SELECT s.* FROM (SELECT t.task_flow_id, t.task_exec_seq FROM kr_task_stat t
                WHERE t.exec_status = 0 AND t.gate = 'limit' AND NOT d.is_flow AND kr_is_behind(d.kind, d.name, t.task_id, t.program, t.limits)
                LIMIT most FOR UPDATE SKIP LOCKED) s)) h;
    GET DIAGNOSTICS found_ = ROW_COUNT;
    IF found_ >= most THEN
        INSERT INTO kr_recount (kind, name) SELECT DISTINCT k.kind, k.name FROM unnest(taken) k WHERE k.kind IN ('no program', 'pause');
    END IF;

    RETURN QUERY
    WITH one AS MATERIALIZED (
        SELECT k.task_flow_id AS f, k.task_exec_seq AS s, k.kind = 'edge' AS e FROM unnest(taken) k WHERE k.kind IN ('task', 'edge')
        UNION ALL SELECT u.* FROM (SELECT t.task_flow_id, t.task_exec_seq, false FROM kr_task_stat t WHERE t.exec_status = 0 AND t.gate IS NULL
            ORDER BY t.run_order, t.task_exec_seq, t.task_flow_id LIMIT most FOR UPDATE SKIP LOCKED) u
        UNION ALL SELECT u.* FROM (SELECT t.task_flow_id, t.task_exec_seq, false FROM kr_task_stat t WHERE t.exec_status = 0 AND t.gate = 'time' AND t.run_after <= now_
            ORDER BY t.run_after LIMIT most FOR UPDATE SKIP LOCKED) u),
    flows AS (
        INSERT INTO kr_flow_stat (task_flow_id, task_id, task_priority, registered_ts)
            SELECT DISTINCT ON (t.task_flow_id) t.task_flow_id, t.task_id, t.task_priority, CASE WHEN isfinite(t.registered_ts) THEN t.registered_ts ELSE now_ END
            FROM one JOIN kr_task_stat t ON t.task_flow_id = one.f AND t.task_exec_seq = one.s
            -- a scalar subquery: as a join, without statistics, all flows are read for each task
            WHERE (SELECT x.task_flow_id FROM kr_flow_stat x WHERE x.task_flow_id = one.f) IS NULL
            ORDER BY t.task_flow_id, t.task_exec_seq ON CONFLICT DO NOTHING),
    gone AS (
        DELETE FROM kr_flow_stat WHERE ctid = ANY (ARRAY(
            SELECT x.ctid FROM (SELECT DISTINCT k.task_flow_id AS f FROM unnest(taken) k WHERE k.kind = 'task') k JOIN kr_flow_stat x ON x.task_flow_id = k.f
            WHERE NOT EXISTS (SELECT FROM kr_task_stat t WHERE t.task_flow_id = k.f) FOR UPDATE OF x SKIP LOCKED)))
    SELECT x.f::text, x.s, bool_or(x.e), NULL FROM (
        SELECT one.* FROM one
        UNION ALL SELECT e.task_flow_id, e.task_exec_seq, false FROM one JOIN kr_task_edge e ON e.task_flow_id || '' = one.f AND e.parent_seq + 0 = one.s) x
    GROUP BY 1, 2;
    IF EXISTS (SELECT FROM kr_waiter w WHERE w.task_flow_id = ANY (ARRAY(SELECT k.task_flow_id FROM unnest(taken) k))) THEN
        PERFORM pg_notify('flower_end', '');
    END IF;
END $$;

-- Whether a door is that of a task: of its workflow, one of its limits, everything, or its program.
CREATE OR REPLACE FUNCTION kr_is_behind(kind text, name text, workflow text, program text, limits text[]) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE kind WHEN 'workflow' THEN workflow = name WHEN 'all' THEN true WHEN 'limit' THEN limits IS NOT NULL AND kr_fits(limits, ARRAY[name]) ELSE program = name END
$$;
