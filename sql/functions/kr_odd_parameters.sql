-- What is wrong with the parameters of listed steps, by what workers said of their programs, as a list of {path, message}; NULL if nothing is:
-- a name that the program does not take, a value of a wrong type and, where nobody can give it at registration (whole), a missing one.
-- What a reference stands for is known only when a flow runs.
CREATE OR REPLACE FUNCTION kr_odd_parameters(listed jsonb, whole boolean) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (
        WITH step AS MATERIALIZED (
            SELECT s.seq, s.parameters, p.* FROM jsonb_to_recordset(listed) s (seq numeric, program text, parameters jsonb) JOIN kr_program p ON p.program = s.program)
        SELECT jsonb_agg(o.odd ORDER BY o.seq) FROM (
            SELECT s.seq, kr_odd(format('steps[%s].parameters.%s', s.seq, k), format('%s takes no parameter of this name; it takes %s', s.program,
                    coalesce(nullif(array_to_string(s.takes, ', '), ''), 'none'))) -> 0 AS odd
                FROM step s CROSS JOIN jsonb_object_keys(s.parameters) k WHERE k <> ALL (s.takes)
            UNION ALL
            SELECT s.seq, kr_odd(format('steps[%s].parameters.%s', s.seq, r), 'is missing and has no default') -> 0
                FROM step s CROSS JOIN unnest(s.requires) r WHERE whole AND NOT s.parameters ? r
            UNION ALL
            SELECT s.seq, kr_misfit(s.accepts -> e.key -> 'schema', kr_without_references(e.value), format('steps[%s].parameters.%s', s.seq, e.key), s.accepts -> e.key -> 'schema') -> 0
                FROM step s CROSS JOIN jsonb_each(s.parameters) e WHERE s.accepts ? e.key AND NOT EXISTS (SELECT FROM kr_references(e.value))) o
        WHERE o.odd IS NOT NULL);
END $$;
