-- The latest flows of each of these workflows, up to *flows* of each, the newest first, and how they stand. Few rows are read, however many tasks they
-- have: whether one is suspended or runs is known by index; else up to *tasks* of its tasks are looked at, the last by seq. "partly" says that there are
-- more of them: it counts as over when those are.
-- Neither tables, bitmaps nor sorts: planned by old statistics, all tasks of a flow would be read for the last few.
CREATE OR REPLACE FUNCTION kr_history(workflows text[], flows integer, tasks integer)
RETURNS TABLE (workflow text, flow_id text, status text, outcome text, stalled boolean, registered_at timestamptz, finished_at timestamptz, partly boolean)
LANGUAGE plpgsql STABLE SET search_path FROM CURRENT SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off SET jit = off AS $$
#variable_conflict use_column
DECLARE
    busy text[] := ARRAY(SELECT DISTINCT r.task_flow_id FROM (SELECT t.task_flow_id FROM kr_task_stat t WHERE t.exec_status = 1 LIMIT 10000) r);
BEGIN
    RETURN QUERY
    SELECT f.task_id::text, f.task_flow_id::text,
        CASE WHEN b.outcome IS NOT NULL THEN 'suspend' WHEN f.task_flow_id = ANY (busy) THEN 'running' WHEN s.open > 0 THEN 'wait' WHEN s.cancelled > 0 THEN 'ignore' ELSE 'finish' END,
        CASE WHEN b.outcome IS NOT NULL THEN nullif(b.outcome, '') WHEN s.open = 0 AND s.cancelled > 0 THEN 'cancelled' END,
        b.outcome IS NOT NULL AND f.task_flow_id <> ALL (busy) AND s.open = s.blocked,
        f.registered_ts, CASE WHEN b.outcome IS NULL AND f.task_flow_id <> ALL (busy) AND s.open = 0 THEN s.finished_ts END, s.looked > tasks
    FROM unnest(workflows) w (name)
        CROSS JOIN LATERAL (
            SELECT f.* FROM kr_flow_stat f WHERE f.task_id = w.name ORDER BY f.registered_ts DESC, f.task_flow_id DESC LIMIT flows) f
        CROSS JOIN LATERAL (
            SELECT count(*) AS looked, count(*) FILTER (WHERE t.exec_status NOT IN (1, 2, 3, 9)) AS open,
                count(*) FILTER (WHERE t.exec_status = 0 AND t.gate = 'dependencies') AS blocked,
                count(*) FILTER (WHERE t.exec_status = 9 AND t.outcome = 'cancelled') AS cancelled, max(t.finished_ts) AS finished_ts
            FROM (SELECT t.exec_status, t.outcome, t.gate, t.finished_ts FROM kr_task_stat t
                  WHERE t.task_flow_id = f.task_flow_id ORDER BY t.task_flow_id DESC, t.task_exec_seq DESC LIMIT tasks + 1) t) s
        CROSS JOIN LATERAL (        -- what went wrong comes before what was asked for
            SELECT (SELECT coalesce(t.outcome, '') FROM kr_task_stat t WHERE t.exec_status = 2 AND t.task_flow_id = f.task_flow_id AND t.outcome IN ('failed', 'poison', 'invalid') LIMIT 1),
                (SELECT coalesce(t.outcome, '') FROM kr_task_stat t WHERE t.exec_status = 2 AND t.task_flow_id = f.task_flow_id LIMIT 1)) o (fault, any_)
        CROSS JOIN LATERAL (SELECT coalesce(o.fault, o.any_)) b (outcome);
END $$;
