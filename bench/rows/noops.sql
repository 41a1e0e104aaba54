-- Flows of one task that may run at once. $1 how many   $2 its program   $3 its parameters
WITH flow AS (
    INSERT INTO kr_flow_stat (task_flow_id, task_id) SELECT flower_uuid7(), 'one' FROM generate_series(1, $1::integer) RETURNING task_flow_id)
INSERT INTO kr_task_stat (task_flow_id, task_exec_seq, depends_task_exec_seq, task_id, task_seq, exec_status, parameters, registered_ts, name, program, gate)
    SELECT task_flow_id, 1, -1, 'one', 1, 0, $3::json, clock_timestamp(), $2::text, $2::text, 'slot' FROM flow
