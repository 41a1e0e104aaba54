-- Flows of one finished task, a millisecond apart. $1 how many. To be sent without triggers: they would take the rows for a hand's.
WITH flow AS (
    INSERT INTO kr_flow_stat (task_flow_id, task_id, registered_ts)
        SELECT flower_uuid7(), 'one', clock_timestamp() - n * interval '1 ms' FROM generate_series(1, $1::integer) n RETURNING task_flow_id, registered_ts AS at)
INSERT INTO kr_task_stat (task_flow_id, task_exec_seq, depends_task_exec_seq, task_id, task_seq, exec_status, parameters, registered_ts, name, program,
        started_ts, finished_ts, attempt, tries, result)
    SELECT task_flow_id, 1, -1, 'one', 1, 3, '{}', at, 'noop', 'noop', at, at, 1, 1, 'null' FROM flow
