-- Flows of one task at the gate limit. $1 how many   $2 how many keys they have, by turns: l:1, l:2, …   $3 the first key is 1 + this
WITH flow AS (
    INSERT INTO kr_flow_stat (task_flow_id, task_id) SELECT flower_uuid7(), 'one' FROM generate_series(1, $1::integer) RETURNING task_flow_id),
numbered AS (
    SELECT f.task_flow_id, 'l:' || (row_number() OVER () - 1) % $2::integer + 1 + $3::integer AS name FROM flow f)
INSERT INTO kr_task_stat (task_flow_id, task_exec_seq, depends_task_exec_seq, task_id, task_seq, exec_status, parameters, registered_ts, name, program, gate, limits, waits_for)
    SELECT n.task_flow_id, 1, -1, 'one', 1, 0, '{}', clock_timestamp(), 'noop', 'noop', 'limit', ARRAY[n.name], n.name FROM numbered n
