-- Limits, pauses and schedules beside what is there: a limit that all that runs has and that $1 flows wait for, a hundred others, a hundred schedules that have made flows.
-- To be sent without triggers. $1 how many flows of the workflow queued, which are there
WITH held AS (
    UPDATE kr_task_stat SET limits = '{busy}' WHERE exec_status = 1 RETURNING 1),
waits AS (
    UPDATE kr_task_stat SET limits = '{busy}', waits_for = 'busy' WHERE ctid = ANY (ARRAY(SELECT ctid FROM kr_task_stat WHERE exec_status = 0 AND gate = 'limit' LIMIT $1::integer)) RETURNING 1),
limits AS (
    INSERT INTO ms_limit (name, slots) SELECT 'busy', 100 UNION ALL SELECT CASE WHEN n % 10 = 0 THEN 'kind-' || n || ':*' ELSE 'limit-' || n END, n % 7 FROM generate_series(1, 99) n RETURNING 1),
pauses AS (
    INSERT INTO ms_pause (kind, task_id, reason) SELECT 'program', 'program-' || n, 'for a while' FROM generate_series(1, 100) n RETURNING 1),
schedules AS (
    INSERT INTO ms_schedule (name, task_id, cron, zone, next_ts)
        SELECT 'schedule-' || lpad(n::text, 5, '0'), 'usual', '30 2 1 1 *', 'Europe/Paris', now() + interval '1 year' FROM generate_series(1, 100) n RETURNING 1)
UPDATE kr_flow_stat f SET schedule = 'schedule-' || lpad((1 + s.n % 100)::text, 5, '0')
    FROM (SELECT task_flow_id, row_number() OVER () AS n FROM kr_flow_stat WHERE task_id = 'usual' LIMIT 50000) s WHERE f.task_flow_id = s.task_flow_id
