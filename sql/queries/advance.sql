-- Make it time for those of a flow's waiting tasks whose time comes first, if all that is left of the flow waits for a time, for a signal that is
-- waited for until a time and has not come, or for a task that does.
-- $1 flow
WITH due AS (
    SELECT t.task_exec_seq, t.gate, CASE t.gate WHEN 'time' THEN t.run_after ELSE t.waits_until END AS due_ts
    FROM kr_task_stat t WHERE t.task_flow_id = $1 AND t.exec_status = 0 AND t.gate IN ('time', 'signal')),
advanced AS (
    UPDATE kr_task_stat t SET run_after = CASE d.gate WHEN 'time' THEN clock_timestamp() ELSE t.run_after END,
        waits_until = CASE d.gate WHEN 'signal' THEN clock_timestamp() ELSE t.waits_until END
    FROM due d WHERE t.task_flow_id = $1 AND t.task_exec_seq = d.task_exec_seq AND d.due_ts = (SELECT min(f.due_ts) FROM due f)
        AND NOT EXISTS (SELECT FROM kr_task_stat o WHERE o.task_flow_id = $1 AND (o.exec_status = 1 OR (o.exec_status = 0 AND coalesce(o.gate, '') NOT IN ('time', 'signal', 'dependencies'))))
        AND NOT EXISTS (SELECT FROM kr_task_stat o JOIN kr_signal s ON s.door = o.waits_for WHERE o.task_flow_id = $1 AND o.exec_status = 0 AND o.gate = 'signal' AND s.stage <> 'taken')
    RETURNING 1)
SELECT pg_notify('flower', '') FROM advanced LIMIT 1
