-- The workflows that are measured: one task, three in a row, a chain of 40, and 1 -> 1,000 -> 1.
INSERT INTO ms_task_definition (task_id, task_seq, program) VALUES ('one', 1, 'noop'), ('stamp', 1, 'stamp');
INSERT INTO ms_task_definition (task_id, task_seq, program) SELECT 'three', n, 'noop' FROM generate_series(1, 3) n;
INSERT INTO ms_task_definition (task_id, task_seq, program, parameters) SELECT 'chain', n, 'fibo', '{"n": 10}' FROM generate_series(1, 40) n;
INSERT INTO ms_task_definition (task_id, task_seq, program, depends_on)
    SELECT 'fan', n, 'noop', CASE WHEN n = 0 THEN '{}' WHEN n <= 1000 THEN '{0}' ELSE (SELECT array_agg(m) FROM generate_series(1, 1000) m) END::numeric[]
    FROM generate_series(0, 1001) n;
