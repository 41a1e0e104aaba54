-- What was before the current attempts of some tasks of a flow: when the last of their parents ended, and when earlier attempts began and ended.
-- $1 flow   $2 seqs   $3 how many earlier attempts of each, the latest
-- The parents one by one, by their key: given as an array, PostgreSQL 15 and 16 may read the whole flow for each task.
SELECT s.seq, (
        SELECT max((SELECT coalesce(p.finished_ts, p.suspended_ts) FROM kr_task_stat p WHERE p.task_flow_id = e.task_flow_id AND p.task_exec_seq = e.parent_seq))
        FROM kr_task_edge e WHERE e.task_flow_id = $1::text AND e.task_exec_seq = s.seq) AS parents_ended,
    a.began, a.ended
FROM unnest($2::numeric[]) s (seq) CROSS JOIN LATERAL (
    SELECT coalesce(array_agg(l.started_ts ORDER BY l.attempt), '{}') AS began, coalesce(array_agg(l.ended_ts ORDER BY l.attempt), '{}') AS ended FROM (
        SELECT t.attempt, t.started_ts, t.ended_ts FROM kr_task_attempt t WHERE t.task_flow_id = $1 AND t.task_exec_seq = s.seq AND t.started_ts IS NOT NULL
        ORDER BY t.attempt DESC LIMIT $3::integer) l) a
