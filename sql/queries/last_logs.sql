-- The last lines that a task has said, the oldest first. $1 flow   $2 seq   $3 how many
SELECT * FROM (
    SELECT l.id, l.task_exec_seq AS seq, l.attempt, l.said_ts AS at, l.level, l.source, l.message FROM kr_task_log l
    WHERE l.task_flow_id = $1::text AND l.task_exec_seq = $2::numeric ORDER BY l.id DESC LIMIT $3::integer) l
ORDER BY l.id
