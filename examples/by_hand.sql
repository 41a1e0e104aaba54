-- A flow without a workflow: rows written by hand run. Here `first`, and `second` once it has finished.
-- python -m flower psql < examples/by_hand.sql, then: python -m flower show last
BEGIN;
INSERT INTO kr_task_stat (task_flow_id, task_exec_seq, depends_task_exec_seq, task_id, task_seq, exec_status, parameters, name, program) VALUES
    ('by-hand-1', 1, -1, 'by_hand', 1, 0, '{"name": "first"}', 'first', 'Hello'),
    ('by-hand-1', 2, 1, 'by_hand', 2, 0, '{"name": "second"}', 'second', 'Hello')
ON CONFLICT DO NOTHING;
-- What a transaction rolls back never existed; what it commits runs.
COMMIT;
