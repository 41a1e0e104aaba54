-- What a task is called with, as two JSON texts: its parameters, with the results of earlier tasks in the places that *inputs* names; and
-- the places that only the worker can fill or judge, NULL if there are none: {"at": …, "env": name}, {"at": …, "ignored": name of the
-- source}, {"at": …, "missing": what its result lacks}, {"at": …, "large": bytes so far}.
CREATE OR REPLACE FUNCTION kr_input(flow text, parameters jsonb, inputs jsonb) RETURNS text[] LANGUAGE plpgsql STABLE AS $$
DECLARE
    places jsonb[] := '{}';
    open_  jsonb[] := '{}';
    one    record;
    bytes  bigint := 0;
BEGIN
    FOR one IN
        SELECT i.at, i.env, i.name, i.path, t.exec_status, coalesce(t.result, 'null') #> ARRAY(SELECT jsonb_array_elements_text(i.path)) AS part
        FROM jsonb_to_recordset(inputs) i (at jsonb, seq numeric, env text, name text, path jsonb)
            LEFT JOIN kr_task_stat t ON t.task_flow_id = flow AND t.task_exec_seq = i.seq
    LOOP
        IF one.env IS NOT NULL THEN
            open_ := open_ || jsonb_build_object('at', one.at, 'env', one.env);
        ELSIF one.exec_status IS DISTINCT FROM 3 THEN
            open_ := open_ || jsonb_build_object('at', one.at, 'ignored', one.name);
        ELSIF one.part IS NULL THEN
            open_ := open_ || jsonb_build_object('at', one.at, 'missing', one.name || kr_path(ARRAY(SELECT jsonb_array_elements_text(one.path))));
        ELSE
            bytes := bytes + octet_length(one.part::text);
            IF bytes > 16777216 THEN
                RETURN ARRAY[parameters::text, jsonb_build_array(jsonb_build_object('at', one.at, 'large', bytes))::text];
            END IF;
            places := places || jsonb_build_object('at', one.at, 'part', one.part);
        END IF;
    END LOOP;
    RETURN ARRAY[kr_put(parameters, to_jsonb(places))::text, CASE WHEN open_ <> '{}' THEN to_jsonb(open_)::text END];
END $$;

-- Whether no source of a task runs or waits (again): somebody may have set one back since the task came to its slot.
CREATE OR REPLACE FUNCTION kr_has_sources(flow text, inputs jsonb) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN NOT EXISTS (
        SELECT FROM jsonb_to_recordset(inputs) i (seq numeric) JOIN kr_task_stat t ON t.task_flow_id = flow AND t.task_exec_seq = i.seq
        WHERE t.exec_status + 0 NOT IN (3, 9));
END $$;

-- *value* with each part of *places*, [{"at": […], "part": …}], in its place. In one pass: setting one after the other copies all of it each time.
CREATE OR REPLACE FUNCTION kr_put(value jsonb, places jsonb) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    changed jsonb;
BEGIN
    IF places = '[]' THEN
        RETURN value;
    ELSIF places #> '{0,at}' = '[]' THEN
        RETURN places #> '{0,part}';
    END IF;
    SELECT jsonb_object_agg(p.key, kr_put(CASE jsonb_typeof(value) WHEN 'array' THEN value -> p.key::integer ELSE value -> p.key END, p.inside)) INTO changed FROM (
        SELECT p.at ->> 0 AS key, jsonb_agg(jsonb_build_object('at', p.at - 0, 'part', p.part)) AS inside FROM jsonb_to_recordset(places) p (at jsonb, part jsonb) GROUP BY 1) p;
    RETURN CASE jsonb_typeof(value)
        WHEN 'object' THEN value || changed
        WHEN 'array' THEN (SELECT jsonb_agg(coalesce(changed -> (e.n - 1)::text, e.item) ORDER BY e.n) FROM jsonb_array_elements(value) WITH ORDINALITY e (item, n))
        ELSE value END;      -- a hand has changed it: there is no such place any more
END $$;

-- The parameters of a task as people see them: with the results that are there, and otherwise what they come from.
CREATE OR REPLACE FUNCTION kr_shown_input(flow text, parameters text, inputs jsonb) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN kr_put(parameters::jsonb, (
        SELECT jsonb_agg(jsonb_build_object('at', i.at, 'part', coalesce(
            CASE t.exec_status WHEN 3 THEN coalesce(t.result, 'null') #> ARRAY(SELECT jsonb_array_elements_text(i.path)) END,
            jsonb_build_object(CASE WHEN i.env IS NULL THEN '$task' ELSE '$env' END, i.name) || CASE i.path WHEN '[]' THEN '{}' ELSE jsonb_build_object('path', i.path) END)))
        FROM jsonb_to_recordset(inputs) i (at jsonb, seq numeric, env text, name text, path jsonb)
            LEFT JOIN kr_task_stat t ON t.task_flow_id = flow AND t.task_exec_seq = i.seq));
EXCEPTION WHEN data_exception THEN
    RETURN to_jsonb(parameters);      -- a hand may have written anything
END $$;
