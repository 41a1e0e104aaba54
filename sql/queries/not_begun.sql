-- Tasks that have not begun, of these programs ($1), each with its parameters and the names of those that earlier tasks will fill, or fill a part of.
SELECT t.task_id::text AS workflow, t.program::text AS program, t.parameters::text AS parameters,
    ARRAY(SELECT i ->> 0 FROM jsonb_path_query(t.inputs, '$[*].at') i) AS filled
FROM kr_task_stat t WHERE t.exec_status = 0 AND t.program = ANY ($1::text[])
