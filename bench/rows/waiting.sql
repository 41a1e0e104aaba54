-- Flows of three tasks: one waits for its time, one for the first, one for a program that no worker has. $1 how many
-- The flows are older than all others: whoever lists those that wait has to find them behind the finished ones.
WITH flow AS (
    INSERT INTO kr_flow_stat (task_flow_id, task_id, registered_ts)
        SELECT flower_uuid7(), 'waiting', timestamptz '2020-01-01' + n * interval '1 ms' FROM generate_series(1, $1::integer) n RETURNING task_flow_id),
edge AS (
    INSERT INTO kr_task_edge (task_flow_id, parent_seq, task_exec_seq, by_hand) SELECT task_flow_id, 1, 2, false FROM flow)
INSERT INTO kr_task_stat (task_flow_id, task_exec_seq, depends_task_exec_seq, task_id, task_seq, exec_status, parameters, registered_ts, name, program,
        gate, run_after, waits_seq, waits_for, rank)
    SELECT task_flow_id, seq, CASE seq WHEN 2 THEN 1 ELSE -1 END, 'waiting', seq, 0, '{}', clock_timestamp(), seq, program, gate, run_after, waits_seq, waits_for, rank
    FROM flow CROSS JOIN (VALUES (1, 'noop', 'time', timestamptz '2999-01-01', NULL::integer, NULL, -1), (2, 'noop', 'dependencies', NULL, 1, NULL, 0),
        (3, 'absent', 'program', NULL, NULL, 'absent', 0)) task (seq, program, gate, run_after, waits_seq, waits_for, rank)
