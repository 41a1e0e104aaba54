-- Tasks that have not begun, of these programs ($1), each with its parameters and the places in them that earlier tasks will fill.
SELECT t.task_id::text AS workflow, t.program::text AS program, t.parameters::text AS parameters, t.inputs::text AS inputs
FROM kr_task_stat t WHERE t.exec_status = 0 AND t.program = ANY ($1::text[])
