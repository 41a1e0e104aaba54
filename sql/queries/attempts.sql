-- Earlier attempts of a task, the latest first; the current one stands in kr_task_stat. $1 flow   $2 seq   $3 how many   $4 with their results, which may be large
SELECT a.attempt, a.exec_status, a.outcome, a.started_ts, a.ended_ts, a.error, CASE WHEN $4::boolean THEN a.result END AS result, a.worker_id
FROM kr_task_attempt a WHERE a.task_flow_id = $1::text AND a.task_exec_seq = $2::numeric ORDER BY a.attempt DESC, a.ended_ts DESC LIMIT $3::integer
