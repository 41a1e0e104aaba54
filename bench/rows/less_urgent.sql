-- A task more for each waiting flow: it may run, after everything else.
INSERT INTO kr_task_stat (task_flow_id, task_exec_seq, depends_task_exec_seq, task_id, task_seq, exec_status, task_priority, parameters, registered_ts, name, program, gate)
    SELECT task_flow_id, 4, -1, 'waiting', 4, 0, 19, '{}', clock_timestamp(), 'noop', 'noop', 'slot' FROM kr_flow_stat WHERE task_id = 'waiting'
