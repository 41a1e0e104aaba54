-- What the tasks of a flow have said, in the order in which it was written.
-- $1 flow   $2 seq of a task, NULL for all   $3 after the line with this id   $4 how many
(SELECT l.id, l.task_exec_seq AS seq, l.attempt, l.said_ts AS at, l.level, l.source, l.message FROM kr_task_log l
    WHERE $2::numeric IS NULL AND l.task_flow_id = $1::text AND l.id > $3::bigint ORDER BY l.id LIMIT $4::integer)
UNION ALL
(SELECT l.id, l.task_exec_seq, l.attempt, l.said_ts, l.level, l.source, l.message FROM kr_task_log l
    WHERE l.task_flow_id = $1::text AND l.task_exec_seq = $2 AND l.id > $3 ORDER BY l.id LIMIT $4)
ORDER BY id LIMIT $4
