-- The references in the parameters of a definition, {"$task": "fetch", "path": ["links", 0]} and $param and $env, each with the place where
-- it stands; {"$literal": …} hides what is in it. Read in definitions only, never in what is given at registration.
CREATE OR REPLACE FUNCTION kr_references(value jsonb, at text[] DEFAULT '{}') RETURNS TABLE (place text[], kind text, name text, path jsonb)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    one record;
BEGIN
    IF jsonb_typeof(value) = 'object' AND value ? '$literal' THEN
        IF value - '$literal' <> '{}' THEN
            PERFORM kr_refuse('parameters' || kr_path(at), '{"$literal": …} stands alone: nothing else beside it is read');
        END IF;
    ELSIF jsonb_typeof(value) = 'object' THEN
        kind := CASE WHEN value ? '$task' THEN 'task' WHEN value ? '$param' THEN 'param' WHEN value ? '$env' THEN 'env' END;
        IF kind IS NOT NULL THEN
            place := at;
            name := CASE jsonb_typeof(value -> ('$' || kind)) WHEN 'string' THEN value ->> ('$' || kind) END;
            path := coalesce(value -> 'path', '[]');
            IF name IS NULL OR jsonb_typeof(path) <> 'array' OR value - ARRAY['$' || kind, 'path'] <> '{}' THEN
                PERFORM kr_refuse('parameters' || kr_path(at), format('%s is no reference: it has %L, a text, and perhaps "path", an array', value, '$' || kind));
            END IF;
            RETURN NEXT;
        ELSE
            FOR one IN SELECT e.key, e.value FROM jsonb_each(value) e LOOP
                RETURN QUERY SELECT * FROM kr_references(one.value, at || one.key);
            END LOOP;
        END IF;
    ELSIF jsonb_typeof(value) = 'array' THEN
        FOR one IN SELECT (e.n - 1)::text AS key, e.value FROM jsonb_array_elements(value) WITH ORDINALITY e (value, n) LOOP
            RETURN QUERY SELECT * FROM kr_references(one.value, at || one.key);
        END LOOP;
    END IF;
END $$;

-- The same value with null where a reference stands, and what {"$literal": …} hides in its place.
CREATE OR REPLACE FUNCTION kr_without_references(value jsonb) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF jsonb_typeof(value) = 'object' THEN
        RETURN CASE WHEN value ? '$literal' THEN value -> '$literal'
            WHEN value ?| '{$task,$param,$env}' THEN 'null'
            ELSE coalesce((SELECT jsonb_object_agg(e.key, kr_without_references(e.value)) FROM jsonb_each(value) e), '{}') END;
    ELSIF jsonb_typeof(value) = 'array' THEN
        RETURN coalesce((SELECT jsonb_agg(kr_without_references(e.value) ORDER BY e.n) FROM jsonb_array_elements(value) WITH ORDINALITY e (value, n)), '[]');
    END IF;
    RETURN value;
END $$;

-- How a place is written for people: .pages[0].url
CREATE OR REPLACE FUNCTION kr_path(at text[]) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(string_agg(CASE WHEN p ~ '^\d+$' THEN '[' || p || ']' ELSE '.' || p END, '' ORDER BY n), '') FROM unnest(at) WITH ORDINALITY u (p, n)
$$;

-- Write the references of a revision's steps as places that something else takes. Each must name a step that comes before, or a parameter
-- that a flow takes.
CREATE OR REPLACE FUNCTION kr_work_out_references(workflow text, made integer, listed jsonb, takes jsonb) RETURNS void LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    found_ jsonb := (
        SELECT jsonb_agg(jsonb_build_object('n', l.n, 'at', r.place, 'kind', r.kind, 'name', r.name, 'path', r.path, 'source', s.task_exec_seq))
        FROM jsonb_array_elements(listed) WITH ORDINALITY l (step, n) CROSS JOIN LATERAL kr_references(l.step -> 'parameters') r
            LEFT JOIN kr_step s ON s.task_id = workflow AND s.revision = made AND s.name = r.name AND r.kind = 'task');
    later jsonb := (          -- of each source that is no parent of its user: who comes after it
        SELECT jsonb_agg(jsonb_build_object('source', f.source, 'later', l)) FROM (
            SELECT DISTINCT f.source FROM jsonb_to_recordset(found_) f (n integer, source integer)
                JOIN kr_step s ON s.task_id = workflow AND s.revision = made AND s.task_exec_seq = f.n WHERE f.source <> ALL (s.parents)) f
            CROSS JOIN LATERAL unnest(kr_after(workflow, made, f.source)) l);
    odd record;
BEGIN
    SELECT s.name, s.task_seq, f.at, f.kind, f.name AS what, f.source INTO odd
    FROM jsonb_to_recordset(found_) f (n integer, at text[], kind text, name text, source integer)
        JOIN kr_step s ON s.task_id = workflow AND s.revision = made AND s.task_exec_seq = f.n
    WHERE f.at = '{}' OR CASE f.kind
        WHEN 'param' THEN NOT takes ? f.name
        WHEN 'env' THEN f.name ~ '^(FLOWER|DB|PG)'
        WHEN 'task' THEN f.source IS NULL OR NOT (f.source = ANY (s.parents) OR f.n = ANY (
            SELECT l.later FROM jsonb_to_recordset(later) l (source integer, later integer) WHERE l.source = f.source))
        END ORDER BY f.n LIMIT 1;
    IF FOUND THEN
        PERFORM kr_refuse(format('steps[%s].parameters%s', odd.task_seq, kr_path(odd.at)), CASE
            WHEN odd.at = '{}' THEN 'must be an object with names: a reference stands under one of them'
            WHEN odd.kind = 'env' THEN format('%s is no variable for tasks: Flower and PostgreSQL read it themselves', quote_literal(odd.what))
            WHEN odd.kind = 'param' THEN format('a flow takes no parameter %s', quote_literal(odd.what))
            WHEN odd.source IS NULL THEN format('the workflow has no step %s', quote_literal(odd.what))
            ELSE format('%s does not come before %s: name it in dependsOn', quote_literal(odd.what), quote_literal(odd.name)) END);
    END IF;
    UPDATE kr_step s SET inputs = f.inputs, given = f.given
        FROM (SELECT r.n, jsonb_agg(jsonb_strip_nulls(jsonb_build_object('at', r.at, 'seq', r.source, 'env', CASE r.kind WHEN 'env' THEN r.name END, 'name', r.name, 'path', r.path)))
                FILTER (WHERE r.kind <> 'param') AS inputs,
                jsonb_agg(jsonb_build_object('at', r.at, 'param', r.name, 'path', r.path)) FILTER (WHERE r.kind = 'param') AS given
            FROM jsonb_to_recordset(found_) r (n integer, at text[], kind text, name text, path jsonb, source integer) GROUP BY 1) f
        WHERE s.task_id = workflow AND s.revision = made AND s.task_exec_seq = f.n;
END $$;

-- The steps that come after one, directly or not.
CREATE OR REPLACE FUNCTION kr_after(workflow text, made integer, source integer) RETURNS integer[] LANGUAGE sql STABLE AS $$
    WITH RECURSIVE edge AS MATERIALIZED (
        SELECT s.task_exec_seq AS child, p AS parent FROM kr_step s CROSS JOIN unnest(s.parents) p WHERE s.task_id = workflow AND s.revision = made),
    down AS (
        SELECT e.child FROM edge e WHERE e.parent = source
        UNION
        SELECT e.child FROM down d JOIN edge e ON e.parent = d.child)
    SELECT array_agg(d.child) FROM down d
$$;

-- The references in what a flow results in: they must name steps.
CREATE OR REPLACE FUNCTION kr_result_inputs(workflow text, made integer, result jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    odd    text;
    inputs jsonb;
BEGIN
    SELECT min(r.name) FILTER (WHERE s.task_exec_seq IS NULL), jsonb_agg(jsonb_build_object('at', r.place, 'seq', s.task_exec_seq, 'name', r.name, 'path', r.path)) INTO odd, inputs
        FROM kr_references(result) r LEFT JOIN kr_step s ON s.task_id = workflow AND s.revision = made AND s.name = r.name AND r.kind = 'task';
    IF odd IS NOT NULL THEN
        PERFORM kr_refuse('result', format('the workflow has no step %s', quote_literal(odd)));
    END IF;
    RETURN inputs;
END $$;
