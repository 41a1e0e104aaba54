-- What programs take, as far as no live worker says otherwise: two releases may roll over each other.
CREATE OR REPLACE VIEW kr_agreed_program AS
    SELECT p.program, p.takes, p.accepts, ARRAY(SELECT r FROM unnest(p.requires) r WHERE p.takes IS NULL OR r = ANY (p.takes)) AS requires FROM kr_program p
    WHERE p.accepts IS NOT NULL AND NOT EXISTS (SELECT FROM kr_worker w WHERE w.signatures[array_position(w.programs, p.program::text)] <> p.signature);

-- The clean names: one row per flow and one per task.

CREATE OR REPLACE VIEW flower_tasks AS
    SELECT t.task_flow_id AS flow_id, t.task_exec_seq AS seq, t.task_seq AS step_seq, t.task_id AS workflow, coalesce(t.name, t.program, t.task_seq::text)::text AS name,
        t.program, t.exec_status AS status_number,
        CASE t.exec_status WHEN 0 THEN 'wait' WHEN 1 THEN 'running' WHEN 2 THEN 'suspend' WHEN 3 THEN 'finish' WHEN 9 THEN 'ignore' ELSE t.exec_status::text END AS status,
        t.outcome, t.attempt, t.crashes, t.task_priority AS priority,
        CASE WHEN t.inputs IS NULL THEN t.parameters ELSE kr_shown_input(t.task_flow_id, t.parameters::text, t.inputs)::json END AS parameters, t.result, t.error, t.gate, t.waits_seq, t.waits_for, t.worker_id,
        t.registered_ts AS registered_at, t.started_ts AS started_at, t.finished_ts AS finished_at, t.suspended_ts AS suspended_at, t.run_after, t.notice, t.progress, t.tries,
        CASE WHEN jsonb_typeof(o.attempts) = 'number' THEN o.attempts::numeric ELSE 1 END AS attempts
    FROM kr_task_stat t CROSS JOIN LATERAL (SELECT coalesce(t.options -> 'attempts', (SELECT p.options -> 'attempts' FROM kr_program p WHERE p.program = t.program)) AS attempts) o;

-- status: suspend if a task is suspended, else running, else wait, else finish; ignore if it was cancelled.
-- stalled: all that is left waits on a suspended task; stopped_at: since when.
CREATE OR REPLACE VIEW flower_flows AS
    SELECT f.task_flow_id AS flow_id, f.task_id AS workflow,
        CASE WHEN s.suspended > 0 THEN 'suspend' WHEN s.running > 0 THEN 'running' WHEN s.open > 0 THEN 'wait' WHEN s.cancelled > 0 THEN 'ignore' ELSE 'finish' END AS status,
        s.suspended > 0 AND s.running = 0 AND s.open = s.blocked AS stalled,
        s.outcome, f.task_priority AS priority, f.registered_ts AS registered_at,
        CASE WHEN s.suspended + s.running + s.open = 0 THEN s.finished_ts END AS finished_at,
        s.open AS waiting, s.running, s.suspended, s.finished, s.ignored, s.failing_seq, s.failing, f.revision, z.paused_ts AS suspended_at, z.reason AS suspended_reason,
        CASE WHEN s.suspended > 0 AND s.running = 0 AND s.open = s.blocked THEN s.stopped_ts END AS stopped_at,
        f.schedule, f.scheduled_ts AS scheduled_for
    FROM kr_flow_stat f LEFT JOIN ms_pause z ON z.door = f.task_flow_id AND z.kind IN ('workflow', 'flow') CROSS JOIN LATERAL (
        SELECT count(*) FILTER (WHERE t.exec_status NOT IN (1, 2, 3, 9)) AS open,
            count(*) FILTER (WHERE t.exec_status = 0 AND t.gate = 'dependencies') AS blocked,
            count(*) FILTER (WHERE t.exec_status = 1) AS running, count(*) FILTER (WHERE t.exec_status = 2) AS suspended,
            count(*) FILTER (WHERE t.exec_status = 3) AS finished, count(*) FILTER (WHERE t.exec_status = 9) AS ignored,
            count(*) FILTER (WHERE t.exec_status = 9 AND t.outcome = 'cancelled') AS cancelled,
            max(t.finished_ts) AS finished_ts, max(t.suspended_ts) FILTER (WHERE t.exec_status = 2) AS stopped_ts,
            min(t.outcome) FILTER (WHERE t.exec_status = 2) AS outcome,
            min(t.task_exec_seq) FILTER (WHERE t.exec_status = 2 AND t.outcome IN ('failed', 'poison', 'invalid')) AS failing_seq,
            (array_agg(coalesce(t.name, t.program, t.task_seq::text)::text ORDER BY t.task_exec_seq)
                FILTER (WHERE t.exec_status = 2 AND t.outcome IN ('failed', 'poison', 'invalid')))[1] AS failing
        FROM kr_task_stat t WHERE t.task_flow_id = f.task_flow_id) s;

-- Why the unfinished tasks that do not run do not: all reasons at once, in the order of the gates, the first being that of the gate where the
-- task stands. An empty list: it starts as soon as a worker with a free slot looks. Facts, not sentences: {"gate": …} and what belongs to it.
CREATE OR REPLACE VIEW flower_why AS
    SELECT t.task_flow_id AS flow_id, t.task_exec_seq AS seq, coalesce(t.name, t.program, t.task_seq::text)::text AS name, t.task_id AS workflow, t.program,
        t.exec_status AS status_number, t.outcome, t.gate, t.crashes, t.task_priority AS priority, t.tries, r.reasons
    FROM kr_task_stat t CROSS JOIN LATERAL (
        SELECT coalesce(jsonb_agg(f.fact ORDER BY f.n, f.fact ->> 'seq', f.fact ->> 'limit', f.fact ->> 'name'), '[]') AS reasons FROM (
            SELECT 1 AS n, jsonb_build_object('gate', 'dependencies', 'seq', e.parent_seq, 'name', coalesce(p.name, p.program), 'status', kr_status_word(p.exec_status),
                    'outcome', p.outcome, 'since', coalesce(p.suspended_ts, p.started_ts)) AS fact
                FROM kr_task_edge e LEFT JOIN kr_task_stat p ON p.task_flow_id = e.task_flow_id AND p.task_exec_seq = e.parent_seq
                WHERE e.task_flow_id = t.task_flow_id AND e.task_exec_seq = t.task_exec_seq AND coalesce(p.exec_status, -1) <> ALL (e.counts)
            UNION ALL
            SELECT 2, jsonb_build_object('gate', 'time', 'until', t.run_after, 'error', t.error ->> 'type') WHERE t.run_after > clock_timestamp()
            UNION ALL
            SELECT 3, jsonb_build_object('gate', 'pause', 'of', CASE WHEN z.kind = 'workflow' AND z.task_id <> t.task_id THEN 'flow' ELSE z.kind END, 'name', z.task_id,
                    'reason', z.reason, 'since', z.paused_ts, 'until', z.until_ts, 'by', z.who)
                FROM kr_pauses(t.task_flow_id, t.task_id, t.program, t.limits) z
            UNION ALL
            SELECT 0, jsonb_build_object('gate', 'signal', 'signal', split_part(t.waits_for, E'\n', 1), 'key', substr(t.waits_for, strpos(t.waits_for, E'\n') + 1),
                'since', t.waits_since, 'until', t.waits_until) WHERE t.gate = 'signal'
            UNION ALL
            SELECT 4, jsonb_build_object('gate', 'program', 'program', t.program) WHERE t.program IS DISTINCT FROM 'WaitForSignal' AND NOT EXISTS (SELECT FROM kr_worker w WHERE t.program = ANY (w.programs))
            UNION ALL       -- limits on flows: which are inside
            SELECT 5, jsonb_build_object('gate', 'limit', 'limit', d.name, 'slots', (SELECT s.slots FROM kr_flow_slots(d.name) s),
                    'unique', (SELECT x.unique_key FROM kr_flow_stat x WHERE x.task_flow_id = t.task_flow_id AND starts_with(d.name, 'unique:')), 'flows', (
                    SELECT coalesce(jsonb_agg(h.task_flow_id), '[]') FROM (
                        SELECT i.task_flow_id FROM kr_flow_inside i WHERE i.name = d.name AND kr_goes_on(i.task_flow_id) ORDER BY i.since_ts LIMIT 5) h))
                FROM kr_flow_door(t.task_flow_id, t.task_id, t.limits) d WHERE d.name IS NOT NULL AND t.gate IS DISTINCT FROM 'slot' AND ((t.gate, t.waits_for) = ('limit', d.name) OR kr_flow_room(d.name) <= 0)
            UNION ALL
            SELECT 6, jsonb_build_object('gate', 'limit', 'limit', l.name, 'slots', l.slots, 'holders', l.holders) || jsonb_strip_nulls(jsonb_build_object('until', l.until))
                FROM kr_full_limits(t.limits) l WHERE t.gate IS DISTINCT FROM 'slot'
            UNION ALL
            SELECT 7, jsonb_build_object('gate', 'slot', 'slots', s.slots, 'running', s.running, 'workers', s.workers, 'before', b.before, 'urgent', b.urgent)
                FROM (SELECT coalesce(sum(w.slots), 0) AS slots, count(*) AS workers, coalesce(sum((
                          SELECT count(*) FROM kr_task_stat x WHERE x.exec_status = 1 AND x.worker_id = w.worker_id)), 0) AS running
                      FROM kr_worker w WHERE t.program = ANY (w.programs)) s
                    CROSS JOIN LATERAL (SELECT count(*) AS before, count(*) FILTER (WHERE q.registered_ts > t.registered_ts) AS urgent FROM (
                        SELECT c.registered_ts FROM kr_task_stat c WHERE c.exec_status = 0 AND c.gate = 'slot' AND c.crashes < 2
                            AND (c.run_order, c.rank, c.task_exec_seq, c.task_flow_id) < (t.run_order, t.rank, t.task_exec_seq, t.task_flow_id) LIMIT 1000) q) b
                WHERE (t.gate = 'slot' OR (t.gate = 'limit' AND NOT EXISTS (SELECT FROM kr_full_limits(t.limits)))) AND s.workers > 0 AND s.running >= s.slots) f
        WHERE t.exec_status = 0) r
    WHERE t.exec_status NOT IN (1, 3, 9);
