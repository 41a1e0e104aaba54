-- Up to $1 tasks that run now and of which their worker has noticed something, the latest first.
SELECT t.flow_id, t.seq, t.workflow, t.name, t.program, t.worker_id, t.notice::text AS notice FROM flower_tasks t
WHERE t.status_number = 1 AND t.notice IS NOT NULL ORDER BY t.notice ->> 'at' DESC LIMIT $1::integer
