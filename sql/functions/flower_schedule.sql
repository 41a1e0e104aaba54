-- What a person does to a schedule, in a transaction of the caller's if he likes; rows of ms_schedule may as well be written by hand. Refusals: FL404 no such
-- schedule or workflow, FL422 wrong options, FL409 somebody else writes to it. Options of pause, unpause and fire: reason, by (kept in kr_audit). Whether a cron expression can be read is seen by the next worker that looks
-- (the command line, HTTP and Python look before): one that cannot be stops itself, with a message.

-- Write a schedule, new or in place of what is there; whether it is paused stays. options: workflow, cron and zone, or every (seconds, or a text like 15m);
-- parameters, priority, catchUp (none, last, all), catchUpMost, overlap (skip, queue, cancel), onFailure (go-on, hold). Answers {"schedule", "became"}.
CREATE OR REPLACE FUNCTION flower_schedule(name text, options jsonb) RETURNS jsonb
LANGUAGE plpgsql SET search_path FROM CURRENT SET lock_timeout = '1s' AS $$
#variable_conflict use_variable
DECLARE
    wish   ms_schedule;
    before ms_schedule;
BEGIN
    wish := kr_schedule_wish(name, options);
    PERFORM kr_would_register(wish.task_id, wish.parameters, jsonb_strip_nulls(jsonb_build_object('priority', wish.priority)));
    SELECT * INTO before FROM ms_schedule s WHERE s.name = name FOR UPDATE;
    INSERT INTO ms_schedule (name, task_id, cron, every, zone, parameters, priority, catch_up, catch_up_most, overlap, on_failure)
        VALUES (name, wish.task_id, wish.cron, wish.every, wish.zone, wish.parameters, wish.priority, wish.catch_up, wish.catch_up_most, wish.overlap, wish.on_failure)
        ON CONFLICT ON CONSTRAINT ms_schedule_pkey DO UPDATE SET task_id = excluded.task_id, cron = excluded.cron, every = excluded.every, zone = excluded.zone, parameters = excluded.parameters,
            priority = excluded.priority, catch_up = excluded.catch_up, catch_up_most = excluded.catch_up_most, overlap = excluded.overlap, on_failure = excluded.on_failure, error = NULL;
    RETURN jsonb_build_object('schedule', name, 'became', CASE WHEN before.name IS NULL THEN 'added' ELSE 'changed' END);
EXCEPTION WHEN lock_not_available THEN
    PERFORM kr_schedule_busy(name);
END $$;

-- What options say of a schedule, as a row. Refuses what makes no sense, all of it by its path.
CREATE OR REPLACE FUNCTION kr_schedule_wish(name text, options jsonb) RETURNS ms_schedule LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
    known CONSTANT text[] := '{workflow,cron,zone,every,parameters,priority,catchUp,catchUpMost,overlap,onFailure}';
    wish  ms_schedule;
    given jsonb;
    odd   jsonb;
BEGIN
    IF jsonb_typeof(options) IS DISTINCT FROM 'object' THEN
        PERFORM kr_refuse('options', 'must be a JSON object');
    END IF;
    given := jsonb_strip_nulls(options - 'parameters') || CASE WHEN options -> 'parameters' <> 'null' THEN jsonb_build_object('parameters', options -> 'parameters') ELSE '{}' END;
    wish.name := name;
    wish.task_id := given ->> 'workflow';
    wish.cron := given ->> 'cron';
    wish.zone := coalesce(given ->> 'zone', 'UTC');
    wish.parameters := coalesce(given -> 'parameters', '{}');
    wish.catch_up := coalesce(given ->> 'catchUp', 'last');
    wish.overlap := coalesce(given ->> 'overlap', 'queue');
    wish.on_failure := coalesce(given ->> 'onFailure', 'go-on');
    SELECT jsonb_agg(kr_odd(o.path, o.message)) INTO odd FROM (
        SELECT k AS path, 'no such option; there are ' || array_to_string(known, ', ') AS message FROM jsonb_object_keys(given - known) k
        UNION ALL SELECT 'name', 'must have 1 to 256 characters' WHERE name IS NULL OR length(name) NOT BETWEEN 1 AND 256
        UNION ALL SELECT k, 'must be a text' FROM unnest('{workflow,cron,zone,catchUp,overlap,onFailure}'::text[]) k WHERE jsonb_typeof(given -> k) <> 'string'
        UNION ALL SELECT 'workflow', 'is missing: which workflow is to start?' WHERE NOT given ? 'workflow'
        UNION ALL SELECT 'cron', 'give cron or every, one of them' WHERE (given ? 'cron') = (given ? 'every')
        UNION ALL SELECT 'cron', CASE cardinality(regexp_split_to_array(trim(wish.cron), '\s+')) WHEN 6 THEN 'has six fields, and here are no seconds' ELSE 'is no cron expression' END
            || '; write five fields: minute, hour, day of the month, month, weekday; like "30 2 * * *"' WHERE cardinality(regexp_split_to_array(trim(wish.cron), '\s+')) <> 5 OR length(wish.cron) > 256
        UNION ALL SELECT 'zone', 'is for cron: every counts in UTC' WHERE given ? 'zone' AND given ? 'every'
        UNION ALL SELECT 'zone', format('no time zone is called %s (names are like Europe/Paris or UTC)', quote_literal(wish.zone)) WHERE jsonb_typeof(given -> 'zone') = 'string' AND NOT kr_is_zone(wish.zone)
        UNION ALL SELECT 'parameters', 'must be a JSON object' WHERE jsonb_typeof(wish.parameters) <> 'object'
        UNION ALL SELECT 'catchUp', 'must be none, last or all' WHERE wish.catch_up NOT IN ('none', 'last', 'all')
        UNION ALL SELECT 'catchUpMost', 'must be a whole number from 1 to 1000' WHERE given ? 'catchUpMost' AND NOT (given ->> 'catchUpMost') ~ '^([1-9]\d{0,2}|1000)$'
        UNION ALL SELECT 'overlap', 'must be skip, queue or cancel' WHERE wish.overlap NOT IN ('skip', 'queue', 'cancel')
        UNION ALL SELECT 'onFailure', 'must be go-on or hold' WHERE wish.on_failure NOT IN ('go-on', 'hold')) o;
    PERFORM kr_refuse_all(odd);
    wish.every := CASE WHEN given ? 'every' THEN kr_every(given -> 'every') END;
    wish.catch_up_most := coalesce((given ->> 'catchUpMost')::integer, 100);
    wish.priority := CASE WHEN given ? 'priority' THEN kr_priority(given) END;
    RETURN wish;
END $$;

-- How long a text like 15m, or a number of seconds, is: as flower/core/quantities.py reads it.
CREATE OR REPLACE FUNCTION kr_every(every jsonb) RETURNS interval LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
    text_   text := every #>> '{}';
    seconds numeric;
BEGIN
    IF jsonb_typeof(every) = 'number' THEN
        seconds := text_::numeric;
    ELSIF jsonb_typeof(every) = 'string' AND text_ ~ '^[0-9]+(\.[0-9]+)?[smhd]$' THEN
        seconds := left(text_, -1)::numeric * CASE right(text_, 1) WHEN 's' THEN 1 WHEN 'm' THEN 60 WHEN 'h' THEN 3600 ELSE 86400 END;
    ELSE
        PERFORM kr_refuse('every', format('%s is no time; write one like 10s, 15m, 2h or 1d (for months and years use cron)', left(every::text, 100)));
    END IF;
    IF seconds NOT BETWEEN 1 AND 3650 * 86400 THEN
        PERFORM kr_refuse('every', format('%s: at least a second and at most 3650 days are possible', left(text_, 100)));
    END IF;
    RETURN make_interval(secs => seconds::float8);
END $$;

CREATE OR REPLACE FUNCTION kr_is_zone(zone text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    RETURN now() AT TIME ZONE zone IS NOT NULL;
EXCEPTION WHEN data_exception THEN
    RETURN false;
END $$;

-- Refuse what registration would refuse: it is done, and undone. (Not FL000: that would stand for all of FL.)
CREATE OR REPLACE FUNCTION kr_would_register(workflow text, parameters jsonb, options jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM kr_register(workflow, ARRAY[parameters], ARRAY[options]);
    RAISE EXCEPTION 'it would be' USING ERRCODE = 'FL001';
EXCEPTION WHEN SQLSTATE 'FL001' THEN
    NULL;
END $$;

-- Write the schedule that code says a workflow has, if that has changed since it was written, or remove the one that it said before (options NULL). A row that
-- code has not written is left alone. Answers written, current, removed, edited (left alone) or none.
CREATE OR REPLACE FUNCTION kr_declare_schedule(name text, options jsonb, hash text) RETURNS text
LANGUAGE plpgsql SET search_path FROM CURRENT SET lock_timeout = '1s' AS $$
#variable_conflict use_variable
DECLARE
    before ms_schedule;
BEGIN
    SELECT * INTO before FROM ms_schedule s WHERE s.name = name FOR UPDATE;
    IF options IS NULL THEN
        DELETE FROM ms_schedule s WHERE s.name = name AND s.code_hash IS NOT NULL;
        RETURN CASE WHEN FOUND THEN 'removed' ELSE 'none' END;
    ELSIF before.code_hash = hash THEN
        RETURN 'current';
    ELSIF before.name IS NOT NULL AND before.code_hash IS NULL THEN
        RETURN 'edited';
    END IF;
    PERFORM flower_schedule(name, options);
    UPDATE ms_schedule s SET code_hash = hash WHERE s.name = name;
    RETURN 'written';
EXCEPTION WHEN lock_not_available THEN
    PERFORM kr_schedule_busy(name);
END $$;

-- Remove a schedule; its flows stay as they are, and its times that wait for their turn are dropped.
CREATE OR REPLACE FUNCTION flower_unschedule(name text) RETURNS jsonb LANGUAGE plpgsql SET search_path FROM CURRENT SET lock_timeout = '1s' AS $$
#variable_conflict use_variable
BEGIN
    DELETE FROM ms_schedule s WHERE s.name = name;
    PERFORM kr_found_schedule(name, FOUND);
    RETURN jsonb_build_object('schedule', name, 'removed', true);
EXCEPTION WHEN lock_not_available THEN
    PERFORM kr_schedule_busy(name);
END $$;

-- Let a schedule make nothing until it is unpaused; the reason is shown with it.
CREATE OR REPLACE FUNCTION flower_pause_schedule(name text, options jsonb DEFAULT '{}') RETURNS jsonb LANGUAGE plpgsql SET search_path FROM CURRENT SET lock_timeout = '1s' AS $$
#variable_conflict use_variable
BEGIN
    PERFORM kr_check_options(options, '{}');
    UPDATE ms_schedule s SET paused = true, reason = coalesce(options ->> 'reason', CASE WHEN s.paused THEN s.reason END) WHERE s.name = name;
    PERFORM kr_found_schedule(name, FOUND);
    RETURN kr_end_verb('pause', NULL, NULL, options, jsonb_build_object('schedule', name, 'paused', true));
EXCEPTION WHEN lock_not_available THEN
    PERFORM kr_schedule_busy(name);
END $$;

-- Let it go on, also where it had stopped itself. What it has missed is made up for as its catch_up says.
CREATE OR REPLACE FUNCTION flower_unpause_schedule(name text, options jsonb DEFAULT '{}') RETURNS jsonb LANGUAGE plpgsql SET search_path FROM CURRENT SET lock_timeout = '1s' AS $$
#variable_conflict use_variable
BEGIN
    PERFORM kr_check_options(options, '{}');
    UPDATE ms_schedule s SET paused = false, reason = NULL, error = NULL WHERE s.name = name;
    PERFORM kr_found_schedule(name, FOUND);
    RETURN kr_end_verb('unpause', NULL, NULL, options, jsonb_build_object('schedule', name, 'paused', false));
EXCEPTION WHEN lock_not_available THEN
    PERFORM kr_schedule_busy(name);
END $$;

-- Start the workflow of a schedule now, as the schedule would; its own times stay as they are. options: parameters (on top of its own), priority.
CREATE OR REPLACE FUNCTION flower_fire(name text, options jsonb DEFAULT '{}') RETURNS jsonb LANGUAGE plpgsql SET search_path FROM CURRENT SET lock_timeout = '1s' AS $$
#variable_conflict use_variable
DECLARE
    schedule ms_schedule;
    flow     text;
BEGIN
    PERFORM kr_check_options(options, '{parameters,priority}');
    IF jsonb_typeof(options -> 'parameters') NOT IN ('object', 'null') THEN
        PERFORM kr_refuse('parameters', 'must be a JSON object');
    END IF;
    SELECT * INTO schedule FROM ms_schedule s WHERE s.name = name;
    PERFORM kr_found_schedule(name, FOUND);
    SELECT r.flow_id INTO flow FROM kr_register(schedule.task_id, ARRAY[schedule.parameters || coalesce(nullif(options -> 'parameters', 'null'), '{}')],
        ARRAY[jsonb_strip_nulls(jsonb_build_object('priority', coalesce(nullif(options -> 'priority', 'null'), to_jsonb(schedule.priority))))], ARRAY[name]) r;
    INSERT INTO kr_schedule_turn (schedule, task_flow_id) VALUES (name, flow);
    -- the parameters stand with the flow
    RETURN kr_end_verb('fire', flow, NULL, options - 'parameters', jsonb_build_object('schedule', name));
END $$;

-- Make a flow for each of these times of a schedule that has none yet. They count for no overlap. Answers those that were made.
CREATE OR REPLACE FUNCTION kr_backfill(schedule_name text, times timestamptz[]) RETURNS TABLE (nominal timestamptz, flow_id text)
LANGUAGE plpgsql SET search_path FROM CURRENT SET lock_timeout = '1s' AS $$
#variable_conflict use_column
DECLARE
    s      ms_schedule;
    lacks  timestamptz[];
    many   integer;
BEGIN
    SELECT x.* INTO s FROM ms_schedule x WHERE x.name = schedule_name FOR UPDATE;
    PERFORM kr_found_schedule(schedule_name, FOUND);
    lacks := ARRAY(SELECT DISTINCT t FROM unnest(times) t WHERE NOT EXISTS (SELECT FROM kr_flow_stat f WHERE f.schedule = schedule_name AND f.scheduled_ts = t)
        AND NOT EXISTS (SELECT FROM kr_schedule_turn w WHERE w.schedule = schedule_name AND w.scheduled_ts = t) ORDER BY 1);
    many := cardinality(lacks);
    IF many > 0 THEN
        RETURN QUERY SELECT lacks[r.n], r.flow_id FROM kr_register(s.task_id, array_fill(s.parameters, ARRAY[many]),
            array_fill(jsonb_strip_nulls(jsonb_build_object('priority', s.priority)), ARRAY[many]), array_fill(schedule_name, ARRAY[many]), lacks) r;
    END IF;
EXCEPTION WHEN lock_not_available THEN
    PERFORM kr_schedule_busy(schedule_name);
END $$;

CREATE OR REPLACE FUNCTION kr_found_schedule(name text, is_found boolean) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF NOT is_found THEN
        RAISE EXCEPTION 'there is no schedule %', quote_literal(name) USING ERRCODE = 'FL404', DETAIL = '{"schedule": true}';
    END IF;
END $$;

CREATE OR REPLACE FUNCTION kr_schedule_busy(name text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM kr_not_now(format('somebody else is writing to the schedule %s at this moment, and has not ended within a second: try again', quote_literal(name)));
END $$;
