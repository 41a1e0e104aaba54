-- Flows of one task that waits for a limit. $1 how many   $2 their limits, by turns: key:1 to key:$2   $3 the workflow that they are of
WITH flow AS (
    INSERT INTO kr_flow_stat (task_flow_id, task_id) SELECT flower_uuid7(), $3::text FROM generate_series(1, $1::integer) RETURNING task_flow_id),
numbered AS (
    SELECT f.task_flow_id, 'key:' || (row_number() OVER () - 1) % $2::integer + 1 AS name FROM flow f),
task AS (
    INSERT INTO kr_task_stat (task_flow_id, task_exec_seq, depends_task_exec_seq, task_id, task_seq, exec_status, parameters, registered_ts, name, program, gate, limits, waits_for)
        SELECT n.task_flow_id, 1, -1, $3, 1, 0, '{}', clock_timestamp(), 'noop', 'noop', 'limit', ARRAY[n.name], n.name FROM numbered n)
INSERT INTO kr_recount (kind, name) SELECT DISTINCT 'limit', n.name FROM numbered n
