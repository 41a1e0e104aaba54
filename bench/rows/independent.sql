-- A workflow of steps that depend on nothing. $1 its name   $2 how many
INSERT INTO ms_task_definition (task_id, task_seq, program, depends_on) SELECT $1, n, 'noop', '{}' FROM generate_series(1, $2::integer) n
