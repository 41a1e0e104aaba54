-- A part of the tasks of a flow in brief, in order of seq.
-- $1 flow   $2 after this seq   $6 from this one on, each NULL from the first   $3 how many   $4 status   $5 outcome, each NULL for any, as $7 program; status 0 takes what no status means, too
-- The suspended ones have an index of their own. Each half asks first whether it is the one that is meant, so the other costs nothing.
-- A message comes whole, because what hides secrets must see all of it; of one that is very long only the beginning, or nothing if it may be JSON.
WITH part AS MATERIALIZED (
    (SELECT t.task_exec_seq AS seq FROM kr_task_stat t
        WHERE $4::numeric = 2 AND t.task_flow_id = $1::text AND t.exec_status = 2 AND ($2::numeric IS NULL OR t.task_exec_seq > $2) AND ($6::numeric IS NULL OR t.task_exec_seq >= $6)
            AND ($5::text IS NULL OR t.outcome = $5) AND ($7::text IS NULL OR t.program = $7)
        ORDER BY t.task_exec_seq LIMIT $3::integer)
    UNION ALL
    (SELECT t.task_exec_seq FROM kr_task_stat t
        WHERE $4 IS DISTINCT FROM 2 AND t.task_flow_id = $1 AND ($2 IS NULL OR t.task_exec_seq > $2) AND ($6 IS NULL OR t.task_exec_seq >= $6) AND ($5 IS NULL OR t.outcome = $5)
            AND ($7 IS NULL OR t.program = $7) AND ($4 IS NULL OR t.exec_status = $4 OR ($4 = 0 AND t.exec_status NOT IN (1, 2, 3, 9)))
        ORDER BY t.task_exec_seq LIMIT $3))
SELECT t.seq, t.name, t.program, t.status_number, t.outcome, t.gate, t.attempt, t.tries, t.attempts, t.registered_at, t.started_at, t.finished_at, t.suspended_at, t.run_after,
    t.progress, t.error ->> 'type' AS error_type, CASE WHEN m.size <= 20000 THEN m.message WHEN ltrim(m.message) ~ '^[[{]' THEN '…' ELSE left(m.message, 1000) END AS error_message,
    EXISTS (SELECT FROM kr_task_stat l WHERE l.task_flow_id = $1 AND l.task_exec_seq = t.seq AND l.limits <> '{}') AS limited
FROM flower_tasks t CROSS JOIN LATERAL (SELECT t.error ->> 'message' AS message, octet_length(t.error ->> 'message') AS size) m
WHERE t.flow_id = $1 AND t.seq = ANY (ARRAY(SELECT p.seq FROM part p)) ORDER BY t.seq
