-- The verbs: what a person does to a flow. Each is one function, which psql, HTTP, the command line and Python call, in a transaction of the
-- caller's if he likes. They change rows as a hand may, and the triggers and the engine do the rest.
-- Options of all: reason, by (who says so; kept in kr_audit). Refusals: FL404 no such flow or task, FL409 not in this state, FL422 wrong
-- options. For no lock is waited longer than a second (FL409). Two at once: the second sees what the first has done.

-- Make everything unfinished of a flow ignored (cancelled). What runs is told to stop, and its late result is refused. resumed: whether the flow
-- was suspended, which it is no more.
CREATE OR REPLACE FUNCTION flower_cancel(flow text, options jsonb DEFAULT '{}') RETURNS jsonb
LANGUAGE plpgsql SET search_path FROM CURRENT SET lock_timeout = '1s' AS $$
#variable_conflict use_variable
DECLARE
    gone numeric[];
BEGIN
    PERFORM kr_begin_verb(flow, options, '{}');
    WITH cancelled AS (
        UPDATE kr_task_stat t SET exec_status = 9, outcome = 'cancelled', error = kr_told('Cancelled', options)
        WHERE t.task_flow_id = flow AND t.exec_status NOT IN (3, 9) RETURNING t.task_exec_seq)
    SELECT array_agg(c.task_exec_seq ORDER BY c.task_exec_seq) INTO gone FROM cancelled c;
    IF gone IS NULL AND NOT EXISTS (SELECT FROM kr_task_stat t WHERE t.task_flow_id = flow AND t.exec_status = 9 AND t.outcome = 'cancelled') THEN
        PERFORM kr_not_now(format('flow %s is over: nothing of it is left to cancel (rerun it, if it is to run again)', flow));
    END IF;
    DELETE FROM ms_pause p WHERE p.door = flow AND p.kind IN ('workflow', 'flow') AND NOT EXISTS (SELECT FROM ms_task_definition d WHERE d.task_id = flow);
    RETURN kr_end_verb('cancel', flow, NULL, options, jsonb_build_object('cancelled', coalesce(to_jsonb(gone), '[]'), 'resumed', FOUND));
EXCEPTION WHEN lock_not_available THEN
    PERFORM kr_busy(flow);
END $$;

-- Have nothing new of a flow start; what runs goes on to its end.
CREATE OR REPLACE FUNCTION flower_suspend(flow text, options jsonb DEFAULT '{}') RETURNS jsonb
LANGUAGE plpgsql SET search_path FROM CURRENT SET lock_timeout = '1s' AS $$
#variable_conflict use_variable
BEGIN
    PERFORM kr_begin_verb(flow, options, '{}');
    IF NOT EXISTS (SELECT FROM kr_task_stat t WHERE t.task_flow_id = flow AND t.exec_status NOT IN (3, 9)) THEN
        PERFORM kr_not_now(format('flow %s is over: nothing of it is left to suspend', flow));
    ELSIF EXISTS (SELECT FROM ms_task_definition d WHERE d.task_id = flow) THEN
        PERFORM kr_not_now(format('a workflow is called like flow %s, and would be paused with it', flow));
    END IF;
    INSERT INTO ms_pause (kind, task_id, reason, who) VALUES ('flow', flow, options ->> 'reason', coalesce(options ->> 'by', session_user))
        ON CONFLICT (door) DO UPDATE SET reason = coalesce(excluded.reason, ms_pause.reason);
    RETURN kr_end_verb('suspend', flow, NULL, options, '{}');
EXCEPTION WHEN lock_not_available THEN
    PERFORM kr_busy(flow);
END $$;

-- Let a suspended flow go on.
CREATE OR REPLACE FUNCTION flower_resume(flow text, options jsonb DEFAULT '{}') RETURNS jsonb
LANGUAGE plpgsql SET search_path FROM CURRENT SET lock_timeout = '1s' AS $$
#variable_conflict use_variable
BEGIN
    PERFORM kr_begin_verb(flow, options, '{}');
    DELETE FROM ms_pause p WHERE p.door = flow AND p.kind IN ('workflow', 'flow') AND NOT EXISTS (SELECT FROM ms_task_definition d WHERE d.task_id = flow);
    IF NOT FOUND THEN
        PERFORM kr_not_now(format('flow %s is not suspended, so nothing is there to resume (rerun runs again what failed)', flow));
    END IF;
    RETURN kr_end_verb('resume', flow, NULL, options, '{}');
EXCEPTION WHEN lock_not_available THEN
    PERFORM kr_busy(flow);
END $$;

-- Make a flow more or less urgent: {"priority": -20 to 19}. It counts at once for its tasks that have not ended.
CREATE OR REPLACE FUNCTION flower_priority(flow text, options jsonb DEFAULT '{}') RETURNS jsonb
LANGUAGE plpgsql SET search_path FROM CURRENT SET lock_timeout = '1s' AS $$
#variable_conflict use_variable
DECLARE
    urgency numeric;
BEGIN
    PERFORM kr_begin_verb(flow, options, '{priority}');
    IF jsonb_typeof(options -> 'priority') IS DISTINCT FROM 'number' OR (options ->> 'priority')::numeric NOT IN (SELECT generate_series(-20, 19)) THEN
        PERFORM kr_refuse('priority', 'must be a whole number from -20 to 19');
    END IF;
    urgency := options ->> 'priority';
    UPDATE kr_flow_stat f SET task_priority = urgency WHERE f.task_flow_id = flow;
    UPDATE kr_task_stat t SET task_priority = urgency WHERE t.task_flow_id = flow AND t.exec_status NOT IN (3, 9) AND t.task_priority <> urgency;
    RETURN kr_end_verb('priority', flow, NULL, options, jsonb_build_object('priority', urgency));
EXCEPTION WHEN lock_not_available THEN
    PERFORM kr_busy(flow);
END $$;

-- Skip a task: it is ignored, and whatever depends on it goes on; what cannot do without its result is ignored, too. dryRun: only say what
-- follows, {"runs": names, "ignored": names}.
CREATE OR REPLACE FUNCTION flower_ignore(flow text, step text, options jsonb DEFAULT '{}') RETURNS jsonb
LANGUAGE plpgsql SET search_path FROM CURRENT SET lock_timeout = '1s' AS $$
#variable_conflict use_variable
DECLARE
    task    kr_task_stat;
    follows jsonb;
BEGIN
    PERFORM kr_begin_verb(flow, options, '{dryRun}');
    task := kr_task_for(flow, step);
    IF task.exec_status IN (3, 9) THEN
        PERFORM kr_wrong_state(task, 'ignore');
    END IF;
    follows := kr_follows(flow, task.task_exec_seq);
    IF options -> 'dryRun' = 'true' THEN
        RETURN jsonb_build_object('flowId', flow, 'seq', task.task_exec_seq, 'name', kr_name(task), 'dryRun', true) || follows;
    END IF;
    UPDATE kr_task_stat t SET exec_status = 9, outcome = 'skipped', error = kr_told('Skipped', options) WHERE t.task_flow_id = flow AND t.task_exec_seq = task.task_exec_seq;
    RETURN kr_end_verb('ignore', flow, task.task_exec_seq, options, jsonb_build_object('name', kr_name(task)) || follows);
EXCEPTION WHEN lock_not_available THEN
    PERFORM kr_busy(flow);
END $$;

-- Hand in the result of a task in place of its function: {"result": JSON}. checked: hold it against what the worker said that the function
-- returns; otherwise whoever depends on it finds out.
CREATE OR REPLACE FUNCTION flower_complete(flow text, step text, options jsonb DEFAULT '{}') RETURNS jsonb
LANGUAGE plpgsql SET search_path FROM CURRENT SET lock_timeout = '1s' AS $$
#variable_conflict use_variable
DECLARE
    task  kr_task_stat;
    value jsonb := coalesce(options -> 'result', 'null');
    odd   jsonb;
BEGIN
    PERFORM kr_begin_verb(flow, options, '{result,checked}');
    task := kr_task_for(flow, step);
    IF task.exec_status IN (3, 9) THEN
        PERFORM kr_wrong_state(task, 'complete');
    ELSIF octet_length(value::text) > 1048576 THEN
        PERFORM kr_refuse('result', format('has %s bytes of JSON, the limit is 1048576 (1 MiB): hand in a key or a path instead', octet_length(value::text)));
    ELSIF options -> 'checked' = 'true' THEN
        SELECT kr_misfit(p.result || '{"x-strict": true}', value, 'result') INTO odd FROM kr_program p WHERE p.program = task.program;
        PERFORM kr_refuse_all(CASE WHEN odd IS NOT NULL THEN jsonb_build_array(odd) END);
    END IF;
    UPDATE kr_task_stat t SET exec_status = 3, result = value WHERE t.task_flow_id = flow AND t.task_exec_seq = task.task_exec_seq;
    RETURN kr_end_verb('complete', flow, task.task_exec_seq, options, jsonb_build_object('name', kr_name(task)));
EXCEPTION WHEN lock_not_available THEN
    PERFORM kr_busy(flow);
END $$;

-- Run a suspended task again, or have one that waits for its next attempt begin it now. Nothing else of the flow changes.
CREATE OR REPLACE FUNCTION flower_retry(flow text, step text, options jsonb DEFAULT '{}') RETURNS jsonb
LANGUAGE plpgsql SET search_path FROM CURRENT SET lock_timeout = '1s' AS $$
#variable_conflict use_variable
DECLARE
    task kr_task_stat;
BEGIN
    PERFORM kr_begin_verb(flow, options, '{}');
    task := kr_task_for(flow, step);
    IF task.exec_status = 2 THEN
        UPDATE kr_task_stat t SET exec_status = 0 WHERE t.task_flow_id = flow AND t.task_exec_seq = task.task_exec_seq;
    ELSIF task.exec_status = 0 AND task.run_after > clock_timestamp() THEN
        UPDATE kr_task_stat t SET run_after = NULL WHERE t.task_flow_id = flow AND t.task_exec_seq = task.task_exec_seq;
    ELSE
        PERFORM kr_wrong_state(task, 'retry');
    END IF;
    RETURN kr_end_verb('retry', flow, task.task_exec_seq, options, jsonb_build_object('name', kr_name(task)));
EXCEPTION WHEN lock_not_available THEN
    PERFORM kr_busy(flow);
END $$;

-- What all verbs begin with: the options are known, the flow is there, and nobody else does something to it meanwhile.
CREATE OR REPLACE FUNCTION kr_begin_verb(flow text, options jsonb, known text[]) RETURNS void LANGUAGE plpgsql AS $$
#variable_conflict use_variable
BEGIN
    PERFORM kr_check_options(options, known);
    PERFORM FROM kr_flow_stat f WHERE f.task_flow_id = flow FOR UPDATE;
    IF FOUND THEN
        RETURN;
    END IF;
    -- written by a hand, and not looked at yet: a row that we made here the engine would have to wait for
    IF NOT EXISTS (SELECT FROM kr_task_stat t WHERE t.task_flow_id = flow) THEN
        RAISE EXCEPTION 'there is no flow %', quote_literal(flow) USING ERRCODE = 'FL404', DETAIL = '{"flow": true}';
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended(flow, 0));
END $$;

-- Refuse options that are not among *known*, or not what they should be.
CREATE OR REPLACE FUNCTION kr_check_options(options jsonb, known text[]) RETURNS void LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
    odd text;
BEGIN
    IF jsonb_typeof(options) IS DISTINCT FROM 'object' THEN
        PERFORM kr_refuse('options', 'must be a JSON object');
    END IF;
    SELECT o INTO odd FROM jsonb_object_keys(options - (known || '{reason,by}'::text[])) o ORDER BY 1 LIMIT 1;
    IF FOUND THEN
        PERFORM kr_refuse(odd, format('no such option; there are %s', array_to_string(known || '{reason,by}'::text[], ', ')));
    END IF;
    SELECT o INTO odd FROM unnest('{dryRun,checked,cancelRunning,whole}'::text[]) o WHERE jsonb_typeof(options -> o) NOT IN ('boolean', 'null') LIMIT 1;
    IF FOUND THEN
        PERFORM kr_refuse(odd, 'must be true or false');
    END IF;
    IF jsonb_typeof(options -> 'reason') NOT IN ('string', 'null') OR octet_length(options ->> 'reason') > 8192 THEN
        PERFORM kr_refuse('reason', 'must be a text of at most 8192 bytes');
    END IF;
END $$;

-- What all verbs end with: a line in kr_audit. Answers what is told to the caller.
CREATE OR REPLACE FUNCTION kr_end_verb(verb text, flow text, seq numeric, options jsonb, what jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
#variable_conflict use_variable
BEGIN
    INSERT INTO kr_audit (verb, task_flow_id, task_exec_seq, who, reason, what) VALUES (verb, flow, seq, options ->> 'by', options ->> 'reason', what || (options - '{reason,by,result,checked}'::text[]));
    RETURN jsonb_strip_nulls(jsonb_build_object('flowId', flow, 'seq', seq)) || what;
END $$;

-- The task of a flow that a step means, locked: its seq or, if there is none, its name; the other way round by_name.
CREATE OR REPLACE FUNCTION kr_task_for(flow text, step text, by_name boolean DEFAULT false) RETURNS kr_task_stat LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
    task kr_task_stat;
    seq  numeric := CASE WHEN step ~ '^-?\d{1,40}(\.\d{1,40})?$' OR step IN ('NaN', 'Infinity', '-Infinity') THEN step::numeric END;
BEGIN
    SELECT t.* INTO task FROM kr_task_stat t WHERE t.task_flow_id = flow AND (t.task_exec_seq = seq OR kr_name(t) = step)
        ORDER BY coalesce(t.task_exec_seq = seq, false) <> by_name DESC, t.task_exec_seq LIMIT 1 FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'flow % has no task %', flow, quote_literal(step) USING ERRCODE = 'FL404', DETAIL = jsonb_build_object('step', step);
    END IF;
    RETURN task;
END $$;

CREATE OR REPLACE FUNCTION kr_name(task kr_task_stat) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(task.name, task.program, task.task_seq::text)
$$;

CREATE OR REPLACE FUNCTION kr_status_word(status numeric) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE status WHEN 0 THEN 'wait' WHEN 1 THEN 'running' WHEN 2 THEN 'suspend' WHEN 3 THEN 'finish' WHEN 9 THEN 'ignore' ELSE status::text END
$$;

-- What stands in the error column of a task that a person has set aside.
CREATE OR REPLACE FUNCTION kr_told(kind text, options jsonb) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_object('type', kind, 'message', coalesce(options ->> 'reason', 'no reason was given'), 'by', coalesce(options ->> 'by', session_user))
$$;

CREATE OR REPLACE FUNCTION kr_not_now(message text) RETURNS void LANGUAGE plpgsql AS $$
#variable_conflict use_variable
BEGIN
    RAISE EXCEPTION '%', message USING ERRCODE = 'FL409', DETAIL = '[]';
END $$;

CREATE OR REPLACE FUNCTION kr_wrong_state(task kr_task_stat, verb text) RETURNS void LANGUAGE plpgsql AS $$
#variable_conflict use_variable
BEGIN
    PERFORM kr_not_now(format('task %s of flow %s is in status %s: %s', quote_literal(kr_name(task)), task.task_flow_id, kr_status_word(task.exec_status), CASE
        WHEN verb = 'retry' THEN 'retry is for one that is suspended, or waits for its next attempt; to run it again: rerun, from it'
        WHEN verb = 'ignore' THEN 'ignore is for one that is not over; to run it again: rerun, from it'
        ELSE 'complete is for one that is not over; to run it again: rerun, from it' END));
END $$;

CREATE OR REPLACE FUNCTION kr_busy(flow text) RETURNS void LANGUAGE plpgsql AS $$
#variable_conflict use_variable
BEGIN
    PERFORM kr_not_now(format('somebody else is writing to flow %s at this moment, and has not ended within a second: try again', flow));
END $$;

-- What follows if a task is ignored: who runs next, and who is ignored in turn, because it needs a result that is not there (as
-- flower/sdk/inputs.py decides it in the worker). In waves: the children of those that went last.
CREATE OR REPLACE FUNCTION kr_follows(flow text, seq numeric) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_variable
DECLARE
    gone    numeric[] := ARRAY[seq];
    last_   numeric[] := gone;
    runs    numeric[] := '{}';
    ignored numeric[] := '{}';
    next_   record;
BEGIN
    WHILE last_ <> '{}' LOOP
        SELECT coalesce(array_agg(c.task_exec_seq) FILTER (WHERE c.lacks), '{}') AS lack, coalesce(array_agg(c.task_exec_seq) FILTER (WHERE NOT c.lacks), '{}') AS free INTO next_ FROM (
            SELECT t.task_exec_seq, EXISTS (
                    SELECT FROM jsonb_to_recordset(t.inputs) i (at jsonb, seq numeric) JOIN kr_program p ON p.program = t.program
                    WHERE i.seq = ANY (gone) AND jsonb_array_length(i.at) = 1 AND ((i.at ->> 0 = ANY (p.requires) AND kr_misfit(p.accepts -> (i.at ->> 0), 'null', '') IS NOT NULL)
                        OR (p.program = 'WaitForSignal' AND i.at ->> 0 IN ('name', 'key')))) AS lacks
            FROM (SELECT DISTINCT e.task_exec_seq FROM unnest(last_) l JOIN kr_task_edge e ON e.task_flow_id || '' = flow AND e.parent_seq + 0 = l) k
                JOIN kr_task_stat t ON t.task_flow_id = flow AND t.task_exec_seq = k.task_exec_seq
            WHERE t.exec_status = 0 AND NOT EXISTS (      -- a scalar subquery: as a join, without statistics, all edges are read for each task
                SELECT FROM kr_task_edge o WHERE o.task_flow_id = t.task_flow_id AND o.task_exec_seq = t.task_exec_seq AND o.parent_seq <> ALL (gone)
                AND coalesce((SELECT x.exec_status FROM kr_task_stat x WHERE x.task_flow_id = o.task_flow_id AND x.task_exec_seq = o.parent_seq), -1) <> ALL (o.counts) OFFSET 0)) c;
        last_ := next_.lack;
        gone := gone || last_;
        ignored := ignored || last_;
        runs := runs || next_.free;
    END LOOP;
    RETURN jsonb_build_object('runs', kr_names(flow, runs), 'ignored', kr_names(flow, ignored));
END $$;

-- The names of these tasks of a flow, in order. Joined: an array of ten thousand is too long to be looked through for each.
CREATE OR REPLACE FUNCTION kr_names(flow text, seqs numeric[]) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT coalesce(jsonb_agg(kr_name(t) ORDER BY t.task_exec_seq), '[]') FROM unnest(seqs) s JOIN kr_task_stat t ON t.task_flow_id = flow AND t.task_exec_seq = s
$$;
