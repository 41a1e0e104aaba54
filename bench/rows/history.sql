-- Flows of two tasks, the second after the first, with ids of the time that they are registered at. To be sent without triggers.
-- $1 how many   $2 workflow   $3 registered from then on   $4 so far apart   $5 status of their first task   $6 the gate where it stands   $7 outcome
WITH flow AS (
    INSERT INTO kr_flow_stat (task_flow_id, task_id, registered_ts, parameters)
        SELECT overlay(flower_uuid7() PLACING overlay(lpad(to_hex(floor(date_part('epoch', m.at) * 1000)::bigint), 12, '0') PLACING '-' FROM 9 FOR 0) FROM 1), $2::text, m.at,
            jsonb_build_object('url', 'https://shop.example/orders/' || n, 'top', n % 100, 'note', 'some words, as many as usual')
        FROM generate_series(1, $1::integer) n CROSS JOIN LATERAL (SELECT $3::timestamptz + n * $4::interval AS at) m RETURNING task_flow_id, registered_ts AS at, parameters),
edge AS (
    INSERT INTO kr_task_edge (task_flow_id, parent_seq, task_exec_seq, by_hand) SELECT task_flow_id, 1, 2, false FROM flow WHERE $5::integer NOT IN (3, 9))
INSERT INTO kr_task_stat (task_flow_id, task_exec_seq, depends_task_exec_seq, task_id, task_seq, exec_status, parameters, registered_ts, name, program,
        started_ts, finished_ts, attempt, tries, result, gate, waits_seq, waits_for, outcome, error, worker_id, claim_id, rank)
    SELECT task_flow_id, seq, 2 * seq - 3, $2::text, seq, CASE WHEN seq = 1 OR $5::integer IN (3, 9) THEN $5::integer ELSE 0 END, parameters::json, at, 'step' || seq, 'absent',
        at, CASE WHEN $5::integer IN (3, 9) THEN at END, 1, 1, '{"ok": true}', CASE WHEN seq = 1 THEN $6::text WHEN $5::integer NOT IN (3, 9) THEN 'dependencies' END,
        CASE WHEN seq = 2 AND $5::integer NOT IN (3, 9) THEN 1 END, CASE WHEN seq = 1 AND $6::text = 'program' THEN 'absent' END, CASE WHEN seq = 1 THEN $7::text END,
        CASE WHEN seq = 1 AND $7::text = 'failed' THEN jsonb_build_object('type', 'Busy', 'message', 'the shop is closed') END,
        CASE WHEN seq = 1 AND $5::integer = 1 THEN '00000000-0000-0000-0000-000000000001'::uuid END,
        CASE WHEN seq = 1 AND $5::integer = 1 THEN gen_random_uuid() END, 1 - seq
    FROM flow CROSS JOIN generate_series(1, 2) seq
