-- A workflow of one task and $1 - 1 that depend on it.
INSERT INTO ms_task_definition (task_id, task_seq, program, depends_on)
    SELECT 'wide', n, 'noop', CASE n WHEN 1 THEN '{}'::numeric[] ELSE '{1}' END FROM generate_series(1, $1::integer) n
