-- Have nothing new start of a workflow {"workflow": "digest"}, a program {"program": "fetch"}, what names a limit {"limit": "stripe"}, or a limit that
-- begins so {"limit": "tenant:*"}, or of everything {"all": true}. What runs goes on to its end. until (ISO 8601 with a zone): when it ends by itself.
-- What is paused already stays so since then, and ends as is said now. Answers the pause; "known": false where no worker has such a program, or no task
-- and no row of ms_limit such a limit: it may come. FL404: no such workflow.
CREATE OR REPLACE FUNCTION flower_pause(options jsonb) RETURNS jsonb LANGUAGE plpgsql SET search_path FROM CURRENT SET lock_timeout = '1s' AS $$
#variable_conflict use_variable
DECLARE
    what   record;
    ends   timestamptz;
    paused ms_pause;
    told   jsonb;
BEGIN
    what := kr_thing_to_pause(options, '{until}');
    IF jsonb_typeof(options -> 'until') <> 'null' THEN
        ends := kr_time(options -> 'until', 'until');
        IF ends <= clock_timestamp() THEN
            PERFORM kr_refuse('until', 'is over: give a time to come');
        END IF;
    END IF;
    IF what.kind = 'workflow' AND NOT kr_is_known(what.kind, what.name) THEN
        RAISE EXCEPTION 'there is no workflow %', quote_literal(what.name) USING ERRCODE = 'FL404', DETAIL = jsonb_build_object('workflow', what.name);
    END IF;
    INSERT INTO ms_pause (kind, task_id, reason, until_ts, who) VALUES (what.kind, what.name, options ->> 'reason', ends, coalesce(options ->> 'by', session_user))
        ON CONFLICT (door) DO UPDATE SET reason = coalesce(excluded.reason, ms_pause.reason), until_ts = excluded.until_ts, who = excluded.who WHERE ms_pause.kind = excluded.kind
        RETURNING * INTO paused;
    IF NOT FOUND THEN
        PERFORM kr_not_now(format('%s is called like a pause that is there (python -m flower pauses), and cannot be paused beside it', kr_called(what.kind, what.name)));
    END IF;
    told := jsonb_build_object('kind', what.kind, 'name', what.name, 'reason', paused.reason, 'since', kr_moment(paused.paused_ts), 'until', kr_moment(paused.until_ts), 'by', paused.who);
    PERFORM kr_end_verb('pause', NULL, NULL, options, '{}');
    RETURN told || CASE WHEN kr_is_known(what.kind, what.name) THEN '{}' ELSE '{"known": false}' END::jsonb;
EXCEPTION WHEN lock_not_available THEN
    PERFORM kr_not_now(format('somebody else is pausing or unpausing %s at this moment, and has not ended within a second: try again', kr_called(what.kind, what.name)));
END $$;

-- Let what is paused go on: named as flower_pause names it. FL409: it is not paused. everythingPaused: whether it is held all the same.
CREATE OR REPLACE FUNCTION flower_unpause(options jsonb) RETURNS jsonb LANGUAGE plpgsql SET search_path FROM CURRENT SET lock_timeout = '1s' AS $$
#variable_conflict use_variable
DECLARE
    what   record;
    others text;
BEGIN
    what := kr_thing_to_pause(options, '{}');
    DELETE FROM ms_pause p WHERE p.kind = what.kind AND p.task_id = what.name;
    IF NOT FOUND THEN
        SELECT string_agg(o.called, ', ' ORDER BY o.n) INTO others FROM (
            SELECT kr_called(p.kind, p.task_id) AS called, row_number() OVER (ORDER BY p.kind <> what.kind, p.kind, p.task_id) AS n FROM ms_pause p WHERE p.kind <> 'flow' ORDER BY n LIMIT 5) o;
        PERFORM kr_not_now(format('%s is not paused%s', kr_called(what.kind, what.name), coalesce('; paused: ' || others, '')));
    END IF;
    PERFORM kr_end_verb('unpause', NULL, NULL, options, '{}');
    RETURN jsonb_build_object('kind', what.kind, 'name', what.name, 'everythingPaused', EXISTS (SELECT FROM ms_pause p WHERE p.kind = 'all'));
EXCEPTION WHEN lock_not_available THEN
    PERFORM kr_not_now(format('somebody else is pausing or unpausing %s at this moment, and has not ended within a second: try again', kr_called(what.kind, what.name)));
END $$;

-- What the options of both name: one workflow, program or limit, or everything.
CREATE OR REPLACE FUNCTION kr_thing_to_pause(options jsonb, known text[], OUT kind text, OUT name text) LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
    many integer;
BEGIN
    PERFORM kr_check_options(options, known || '{workflow,program,limit,all}'::text[]);
    SELECT min(k), count(*) INTO kind, many FROM unnest('{workflow,program,limit,all}'::text[]) k WHERE jsonb_typeof(options -> k) <> 'null';
    IF many <> 1 THEN
        PERFORM kr_refuse('options', 'must name one: workflow, program or limit (with its name), or all (true)');
    ELSIF kind = 'all' THEN
        IF options -> 'all' <> 'true' THEN
            PERFORM kr_refuse('all', 'must be true');
        END IF;
        name := '*';
    ELSE
        IF jsonb_typeof(options -> kind) <> 'string' OR char_length(options ->> kind) NOT BETWEEN 1 AND 256 THEN
            PERFORM kr_refuse(kind, 'must be a name of 1 to 256 characters');
        END IF;
        name := options ->> kind;
    END IF;
END $$;

-- Whether anything is called so by now. A workflow is also one of which there are only flows; a limit also one that a step, or its function, builds from a key.
CREATE OR REPLACE FUNCTION kr_is_known(kind text, name text) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT CASE kind
        WHEN 'workflow' THEN EXISTS (SELECT FROM ms_task_definition d WHERE d.task_id = kr_is_known.name) OR EXISTS (SELECT FROM kr_flow_stat f WHERE f.task_id = kr_is_known.name)
        WHEN 'program' THEN EXISTS (SELECT FROM kr_worker w WHERE kr_is_known.name = ANY (w.programs))
        WHEN 'limit' THEN EXISTS (SELECT FROM ms_limit l WHERE kr_fits(ARRAY[l.name], ARRAY[kr_is_known.name]) OR kr_fits(ARRAY[kr_is_known.name], ARRAY[l.name]))
            OR EXISTS (SELECT FROM (SELECT d.limits FROM ms_task_definition d UNION ALL SELECT p.limits FROM kr_program p) d
                CROSS JOIN LATERAL (SELECT regexp_replace(unnest(d.limits), '\{.*', '*') AS name) s WHERE kr_fits(ARRAY[s.name], ARRAY[kr_is_known.name]) OR kr_fits(ARRAY[kr_is_known.name], ARRAY[s.name]))
        ELSE true END
$$;

CREATE OR REPLACE FUNCTION kr_called(kind text, name text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE kind WHEN 'all' THEN 'everything' ELSE format('the %s %L', kind, name) END
$$;
