-- The last lines that a task has said, the oldest first; one that a hand made longer than workers do is cut. $1 flow   $2 seq   $3 how many
SELECT * FROM (
    SELECT l.id, l.task_exec_seq AS seq, l.attempt, l.said_ts AS at, l.level, l.source, left(l.message, 20000) AS message FROM kr_task_log l
    WHERE l.task_flow_id = $1::text AND l.task_exec_seq = $2::numeric ORDER BY l.id DESC LIMIT $3::integer) l
ORDER BY l.id
