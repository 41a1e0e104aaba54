-- The workflow diamond: a beginning, three naps of which two may go on at once, and an end that comes after all three.
-- Built-in programs only: python -m flower psql < examples/diamond.sql, then: python -m flower start diamond --wait
INSERT INTO ms_limit (name, slots) VALUES ('naps', 2) ON CONFLICT DO NOTHING;

-- depends_on names the task_seq of the steps before; NULL, as in the first row, is the step before it.
INSERT INTO ms_task_definition (task_id, task_seq, name, program, depends_on, limits, parameters) VALUES
    ('diamond', 1, 'begin', 'Hello', NULL, NULL, '{"name": "diamond"}'),
    ('diamond', 2, 'left', 'EchoParamTimeSleep', '{1}', '{naps}', '{"SLEEP_TIME_SECOND": 1}'),
    ('diamond', 3, 'middle', 'EchoParamTimeSleep', '{1}', '{naps}', '{"SLEEP_TIME_SECOND": 1}'),
    ('diamond', 4, 'right', 'EchoParamTimeSleep', '{1}', '{naps}', '{"SLEEP_TIME_SECOND": 1}'),
    ('diamond', 5, 'end', 'Hello', '{2,3,4}', NULL, '{"name": "world"}')
ON CONFLICT DO NOTHING;
