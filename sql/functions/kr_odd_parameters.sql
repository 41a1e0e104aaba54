-- What is wrong with the parameters of listed steps, by what workers said of their programs, as a list of {path, message}; NULL if nothing is:
-- a name that the program does not take, a value of a wrong type and, where they must be complete (nobody can give one at registration), a
-- missing one. What a reference stands for is known only when a flow runs.
CREATE OR REPLACE FUNCTION kr_odd_parameters(listed jsonb, complete boolean) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (
        WITH step AS MATERIALIZED (      -- looked up once
            SELECT s.seq, s.parameters, format('steps[%s].parameters.', s.seq) AS path, p.*
            FROM jsonb_to_recordset(listed) s (seq numeric, program text, parameters jsonb) JOIN kr_agreed_program p ON p.program = s.program),
        found AS (
            SELECT s.seq, kr_odd(s.path || k, format('%s takes no parameter of this name; it takes %s', s.program, coalesce(nullif(array_to_string(s.takes, ', '), ''), 'none'))) AS odd
                FROM step s CROSS JOIN jsonb_object_keys(s.parameters) k WHERE k <> ALL (s.takes)
            UNION ALL
            SELECT s.seq, kr_odd(s.path || r, 'is missing and has no default') FROM step s CROSS JOIN unnest(s.requires) r WHERE complete AND NOT s.parameters ? r
            UNION ALL
            SELECT s.seq, kr_misfit(s.accepts -> e.key, kr_without_references(e.value), s.path || e.key)
                FROM step s CROSS JOIN jsonb_each(s.parameters) e WHERE s.accepts ? e.key AND NOT EXISTS (SELECT FROM kr_references(e.value)))
        SELECT jsonb_agg(f.odd ORDER BY f.seq, f.odd ->> 'path') FROM found f WHERE f.odd IS NOT NULL);
END $$;
