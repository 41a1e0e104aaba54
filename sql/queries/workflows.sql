-- The steps of one workflow ($1), or of all (NULL), in order, each with what its workflow says as a whole.
SELECT d.task_id::text AS workflow, d.task_seq AS seq, d.program::text AS program, d.task_priority AS priority, d.depends_on, d.limits, d.place,
    kr_own_parameters(ARRAY[[d.param1_key, d.param1_value], [d.param2_key, d.param2_value], [d.param3_key, d.param3_value],
        [d.param4_key, d.param4_value], [d.param5_key, d.param5_value]]::text[], d.parameters)::text AS parameters,
    coalesce(d.name, d.program || coalesce('-' || nullif(row_number() OVER (PARTITION BY d.task_id, d.program, d.name IS NULL ORDER BY d.task_seq), 1), '')) AS name,
    EXISTS (SELECT FROM kr_worker w WHERE d.program = ANY (w.programs)) AS known, m.revision, m.takes::text AS takes, m.result::text AS result
FROM ms_task_definition d LEFT JOIN ms_workflow m USING (task_id) WHERE $1::text IS NULL OR d.task_id = $1 ORDER BY d.task_id, d.task_seq
