-- A flow called 'fan' of $1 tasks: one, all between after it, the last after those; each 2,222nd has failed. To be sent without triggers.
WITH flow AS (
    INSERT INTO kr_flow_stat (task_flow_id, task_id, registered_ts) VALUES ('fan', 'fan', now())),
edge AS (
    INSERT INTO kr_task_edge (task_flow_id, parent_seq, task_exec_seq, by_hand)
        SELECT 'fan', 1, n, false FROM generate_series(2, $1::integer - 1) n UNION ALL SELECT 'fan', n, $1, false FROM generate_series(2, $1 - 1) n)
INSERT INTO kr_task_stat (task_flow_id, task_exec_seq, depends_task_exec_seq, task_id, task_seq, exec_status, parameters, registered_ts, name, program,
        started_ts, finished_ts, suspended_ts, attempt, tries, result, gate, waits_seq, outcome, error, rank)
    SELECT 'fan', n, -1, 'fan', n, k.status, json_build_object('url', 'https://shop.example/orders/' || n), now(), 'step[' || n || ']',
        CASE n WHEN 1 THEN 'split' WHEN $1 THEN 'join' ELSE 'each' END, CASE WHEN k.status > 0 THEN now() END, CASE WHEN k.status = 3 THEN now() END, CASE WHEN k.status = 2 THEN now() END,
        (k.status > 0)::integer, (k.status > 0)::integer, CASE WHEN k.status = 3 THEN '{"ok": true}'::jsonb END, CASE WHEN k.status = 0 THEN 'dependencies' END, CASE WHEN k.status = 0 THEN 2222 END,
        CASE WHEN k.status = 2 THEN 'failed' END, CASE WHEN k.status = 2 THEN '{"type": "Busy", "message": "the shop is closed"}'::jsonb END,
        CASE n WHEN 1 THEN 0 WHEN $1 THEN -2 ELSE -1 END
    FROM generate_series(1, $1) n CROSS JOIN LATERAL (SELECT CASE WHEN n = $1 THEN 0 WHEN n % 2222 = 0 THEN 2 ELSE 3 END AS status) k
