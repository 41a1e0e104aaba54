-- Run a flow again, in part: what failed or was cancelled and what depends on it; or, with "from" (a seq as a number, a name as a text), that task
-- and all that depends on it, of a finished flow as well; with "only", that task alone; with "whole", all that has run. Results that are not run again are kept and reused.
-- definition: same, or latest: the flow gets the latest revision of its workflow, and what that defines in another way runs.
-- parameters: new values for parameters of the flow, for the tasks that run. dryRun: only answer the plan. ifUnchanged: the version of a plan;
-- refuse if the flow or its latest definition has moved on since, or this is another plan. cancelRunning: take away what runs, and run it again;
-- without it, refuse while something runs.
-- Answers the plan: version; run: [{seq, name, was}]; reused: [{seq, name, finishedAt, ageSeconds}]; changed: names of steps that the workflow
-- defines in another way by now; gone: names of tasks that are there no more after that, with what is known of them; running: names of tasks
-- that run, if any; suspended: true if nothing will start before the flow is resumed.
CREATE OR REPLACE FUNCTION flower_rerun(flow text, options jsonb DEFAULT '{}') RETURNS jsonb
LANGUAGE plpgsql SET search_path FROM CURRENT SET lock_timeout = '1s' AS $$
#variable_conflict use_variable
DECLARE
    task     kr_task_stat;
    again    numeric[];
    renewed  numeric[] := '{}';      -- what waits after the flow got another definition
    version  text;
    was      jsonb;
    changed  jsonb;
    gone     jsonb;
    running  text[];
    plan     jsonb;
BEGIN
    PERFORM kr_begin_verb(flow, options, '{from,only,whole,parameters,dryRun,ifUnchanged,cancelRunning,definition}');
    PERFORM kr_check_rerun(options);
    IF options -> 'dryRun' IS DISTINCT FROM 'true' THEN
        -- A worker that claims one of them meanwhile would go on with a result that is to be another one: it has claimed it by now, or finds it locked.
        PERFORM FROM kr_task_stat t WHERE t.task_flow_id = flow ORDER BY t.task_exec_seq FOR UPDATE;
    END IF;
    version := concat_ws(' ', flow, kr_version(flow), '{"definition": "same"}' || options - '{dryRun,ifUnchanged,cancelRunning,reason,by}'::text[]);
    changed := kr_defined_otherwise(flow);
    SELECT jsonb_object_agg(kr_name(t), concat_ws(' ', kr_status_word(t.exec_status), t.outcome)) INTO was FROM kr_task_stat t WHERE t.task_flow_id = flow;
    SELECT array_agg(kr_name(t) ORDER BY t.task_exec_seq) INTO running FROM kr_task_stat t WHERE t.task_flow_id = flow AND t.exec_status = 1;
    IF options ->> 'definition' = 'latest' THEN
        renewed := kr_repin(flow, options);
        version := concat(version, (SELECT string_agg((to_jsonb(s) - '{place,revision}'::text[])::text, ',' ORDER BY s.task_exec_seq) FROM kr_flow_stat f JOIN kr_step s ON s.task_id = f.task_id AND s.revision = f.revision
            WHERE f.task_flow_id = flow));
    END IF;
    version := md5(version);
    IF options ? 'ifUnchanged' AND options ->> 'ifUnchanged' <> version THEN
        PERFORM kr_not_now(format('flow %s has moved on since that plan was made, or it was a plan with other options: make a new one', flow));
    END IF;
    IF options ?| '{from,only}' THEN
        task := kr_task_for(flow, coalesce(options ->> 'from', options ->> 'only'), by_name => jsonb_typeof(coalesce(options -> 'from', options -> 'only')) = 'string');
        IF task.exec_status = 0 AND task.attempt = 0 AND task.task_exec_seq <> ALL (renewed) THEN
            PERFORM kr_not_now(format('task %s of flow %s has not run yet, so it cannot run again: it waits (python -m flower why %s)', quote_literal(kr_name(task)), flow, flow));
        END IF;
        again := ARRAY[task.task_exec_seq];
    ELSIF options -> 'whole' = 'true' THEN
        again := ARRAY(SELECT t.task_exec_seq FROM kr_task_stat t WHERE t.task_flow_id = flow AND t.exec_status NOT IN (0, 1));
        IF again || renewed = '{}' AND (running IS NULL OR options -> 'cancelRunning' IS DISTINCT FROM 'true') THEN
            PERFORM kr_not_now(format('nothing of flow %s has run yet, so it cannot run again: it waits (python -m flower why %s)', flow, flow));
        END IF;
    ELSE
        again := ARRAY(SELECT t.task_exec_seq FROM kr_task_stat t WHERE t.task_flow_id = flow AND ((t.exec_status = 2 AND t.outcome IN ('failed', 'poison', 'invalid'))
            OR (t.exec_status = 9 AND t.outcome = 'cancelled')));
        IF again || renewed = '{}' AND (running IS NULL OR options -> 'cancelRunning' IS DISTINCT FROM 'true') THEN
            PERFORM kr_not_now(format('nothing of flow %s has failed or was cancelled: name the task to begin from (from, or --from STEP)', flow));
        END IF;
    END IF;
    again := again || renewed;
    IF NOT options ? 'only' THEN
        again := kr_with_what_follows(flow, again);
    END IF;
    IF running IS NOT NULL AND options -> 'cancelRunning' IS DISTINCT FROM 'true' AND options -> 'dryRun' IS DISTINCT FROM 'true' THEN
        PERFORM kr_not_now(format('%s of flow %s runs at this moment: wait for its end, or have it taken away (cancelRunning, or --cancel-running)', array_to_string(running[:5], ', '), flow));
    ELSIF running IS NOT NULL THEN
        again := again || ARRAY(SELECT t.task_exec_seq FROM kr_task_stat t WHERE t.task_flow_id = flow AND t.exec_status = 1 AND t.task_exec_seq <> ALL (again));
    END IF;
    SELECT coalesce(jsonb_agg(k ORDER BY k), '[]') INTO gone FROM jsonb_object_keys(was) k WHERE NOT EXISTS (SELECT FROM kr_task_stat t WHERE t.task_flow_id = flow AND kr_name(t) = k);
    plan := jsonb_build_object('version', version, 'changed', changed, 'gone', gone) || kr_rerun_plan(flow, again, was) || jsonb_strip_nulls(jsonb_build_object(
        'running', to_jsonb(running), 'suspended', (SELECT true FROM ms_pause p WHERE p.door = flow AND p.kind IN ('workflow', 'flow'))));
    IF options ? 'parameters' THEN
        PERFORM kr_change_parameters(flow, again, options -> 'parameters');
    END IF;
    IF options -> 'dryRun' = 'true' THEN
        RAISE EXCEPTION 'only a plan' USING ERRCODE = 'FL001';      -- whatever it took to make it is undone
    END IF;
    UPDATE kr_flow_stat f SET deadline_ts = clock_timestamp() + make_interval(secs => (SELECT w.timeout FROM ms_workflow w WHERE w.task_id = f.task_id)) WHERE f.task_flow_id = flow;
    UPDATE kr_task_stat t SET exec_status = 0 WHERE t.task_flow_id = flow AND t.task_exec_seq = ANY (again) AND t.exec_status <> 0;
    -- those that wait at a slot already wait for their parents again: nobody has looked; they leave room in their limits
    WITH moved AS (
        UPDATE kr_task_stat t SET gate = NULL, waits_seq = NULL, waits_for = NULL, waits_since = NULL
        WHERE t.task_flow_id = flow AND t.task_exec_seq = ANY (again) AND t.exec_status = 0 AND t.gate <> 'dependencies' RETURNING t.limits)
    INSERT INTO kr_recount (kind, name) SELECT DISTINCT 'limit', l FROM moved m CROSS JOIN unnest(m.limits) l;
    PERFORM pg_notify('flower', '');
    RETURN kr_end_verb('rerun', flow, task.task_exec_seq, options, jsonb_build_object('run', plan -> 'run')) || plan;
EXCEPTION
    WHEN lock_not_available THEN
        PERFORM kr_busy(flow);
    WHEN SQLSTATE 'FL001' THEN
        RETURN jsonb_build_object('flowId', flow, 'dryRun', true) || plan;
END $$;

CREATE OR REPLACE FUNCTION kr_check_rerun(options jsonb) RETURNS void LANGUAGE plpgsql AS $$
#variable_conflict use_variable
BEGIN
    IF options ?& '{from,only}' THEN
        PERFORM kr_refuse('only', 'stands in place of from, not beside it');
    ELSIF options -> 'whole' = 'true' AND options ?| '{from,only}' THEN
        PERFORM kr_refuse('whole', 'stands in place of from and only, not beside them');
    ELSIF options ? 'only' AND options ->> 'definition' = 'latest' THEN
        PERFORM kr_refuse('only', 'cannot stand beside the latest definition: whatever that defines in another way runs, too');
    ELSIF jsonb_typeof(coalesce(options -> 'from', options -> 'only')) NOT IN ('string', 'number') THEN
        PERFORM kr_refuse(CASE WHEN options ? 'from' THEN 'from' ELSE 'only' END, 'must be the seq of a task, a number, or its name, a text');
    ELSIF jsonb_typeof(options -> 'parameters') <> 'object' THEN
        PERFORM kr_refuse('parameters', 'must be a JSON object');
    ELSIF octet_length((options -> 'parameters')::text) > 262144 THEN
        PERFORM kr_refuse('parameters', format('are %s bytes of JSON, the limit is 262144 (256 KiB): pass a key or a path instead', octet_length((options -> 'parameters')::text)));
    ELSIF jsonb_typeof(options -> 'ifUnchanged') <> 'string' THEN
        PERFORM kr_refuse('ifUnchanged', 'must be the version of a plan, a text');
    ELSIF options ->> 'definition' NOT IN ('same', 'latest') THEN
        PERFORM kr_refuse('definition', 'must be same or latest');
    END IF;
END $$;

-- What tells whether a flow has moved on: statuses, attempts, parameters and results of its tasks.
CREATE OR REPLACE FUNCTION kr_version(flow text) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT md5(string_agg(concat_ws(' ', t.task_exec_seq, t.name, t.exec_status, t.attempt, md5(t.parameters::text), md5(t.result::text)), ',' ORDER BY t.task_exec_seq) || coalesce((SELECT f.revision::text FROM kr_flow_stat f WHERE f.task_flow_id = flow), ''))
    FROM kr_task_stat t WHERE t.task_flow_id = flow
$$;

-- These tasks, and all that depend on them, directly or not.
CREATE OR REPLACE FUNCTION kr_with_what_follows(flow text, seqs numeric[]) RETURNS numeric[] LANGUAGE sql STABLE AS $$
    WITH RECURSIVE edge AS MATERIALIZED (
        SELECT e.task_exec_seq AS child, e.parent_seq AS parent FROM kr_task_edge e WHERE e.task_flow_id = flow),
    down AS (
        SELECT s AS seq FROM unnest(seqs) s
        UNION
        SELECT e.child FROM down d JOIN edge e ON e.parent = d.seq)
    SELECT coalesce(array_agg(DISTINCT t.task_exec_seq), '{}') FROM down d JOIN kr_task_stat t ON t.task_flow_id = flow AND t.task_exec_seq = d.seq
$$;

-- What runs, by what it was before, and what is reused.
CREATE OR REPLACE FUNCTION kr_rerun_plan(flow text, again numeric[], was jsonb) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_object(
        'run', coalesce(jsonb_agg(jsonb_build_object('seq', t.task_exec_seq, 'name', kr_name(t), 'was', coalesce(was ->> kr_name(t), 'new')) ORDER BY t.task_exec_seq)
            FILTER (WHERE a.seq IS NOT NULL), '[]'),
        'reused', coalesce(jsonb_agg(jsonb_build_object('seq', t.task_exec_seq, 'name', kr_name(t), 'finishedAt', kr_moment(t.finished_ts),
                'ageSeconds', CASE WHEN isfinite(t.finished_ts) THEN round(extract(epoch FROM clock_timestamp() - t.finished_ts)) END) ORDER BY t.task_exec_seq)
            FILTER (WHERE t.exec_status = 3 AND a.seq IS NULL), '[]'))
    FROM kr_task_stat t LEFT JOIN unnest(again) a (seq) ON a.seq = t.task_exec_seq WHERE t.task_flow_id = flow
$$;

-- The steps of a flow that its workflow defines in another way by now.
CREATE OR REPLACE FUNCTION kr_defined_otherwise(flow text) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT coalesce(jsonb_agg(s ORDER BY s), '[]') FROM kr_flow_stat f JOIN ms_workflow w ON w.task_id = f.task_id AND w.revision > f.revision
        CROSS JOIN LATERAL kr_changed_steps(f.task_id, f.revision, w.revision) s WHERE f.task_flow_id = flow
$$;

-- Give tasks other values of parameters of their flow. Refuses a name that the workflow does not take, and a value of a wrong type.
CREATE OR REPLACE FUNCTION kr_change_parameters(flow text, again numeric[], given jsonb) RETURNS void LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
    pinned kr_flow_stat;
    taken  jsonb;
    odd    jsonb;
    known  text[];
BEGIN
    UPDATE kr_flow_stat f SET parameters = coalesce(f.parameters, '{}') || given WHERE f.task_flow_id = flow RETURNING f.* INTO pinned;
    SELECT r.takes INTO taken FROM ms_workflow_revision r WHERE r.task_id = pinned.task_id AND r.revision = pinned.revision;
    IF taken IS NOT NULL THEN
        SELECT jsonb_agg(o.odd) INTO odd FROM (
            SELECT CASE WHEN taken ? g.key THEN kr_misfit(taken -> g.key -> 'schema', g.value, 'parameters.' || g.key)
                ELSE kr_odd('parameters.' || g.key, format('the workflow takes no parameter of this name; it takes %s', coalesce((SELECT string_agg(k, ', ') FROM jsonb_object_keys(taken) k), 'none'))) END AS odd
            FROM jsonb_each(given) g) o WHERE o.odd IS NOT NULL;
        PERFORM kr_refuse_all(odd);
        UPDATE kr_task_stat t SET parameters = kr_put(t.parameters::jsonb, p.places)::json
        FROM (SELECT s.task_exec_seq, jsonb_agg(jsonb_build_object('at', g.at, 'part', coalesce(given -> g.param #> ARRAY(SELECT jsonb_array_elements_text(g.path)), 'null'))) AS places
              FROM kr_step s CROSS JOIN jsonb_to_recordset(s.given) g (at jsonb, param text, path jsonb)
              WHERE s.task_id = pinned.task_id AND s.revision = pinned.revision AND given ? g.param GROUP BY 1) p
        WHERE t.task_flow_id = flow AND t.task_exec_seq = p.task_exec_seq AND t.task_exec_seq = ANY (again);
        RETURN;
    END IF;
    known := ARRAY(SELECT DISTINCT k.name FROM kr_task_stat t LEFT JOIN kr_program p ON p.program = t.program CROSS JOIN LATERAL (
        SELECT unnest(p.takes) UNION ALL SELECT jsonb_object_keys(CASE json_typeof(t.parameters) WHEN 'object' THEN t.parameters::jsonb ELSE '{}' END)) k (name) WHERE t.task_flow_id = flow AND t.task_exec_seq = ANY (again) AND k.name IS NOT NULL);
    SELECT jsonb_agg(kr_odd('parameters.' || k, 'no task that runs again takes a parameter of this name')) INTO odd
        FROM jsonb_object_keys(given) k WHERE k <> ALL (known);
    PERFORM kr_refuse_all(odd);
    SELECT jsonb_agg(DISTINCT m.odd) INTO odd FROM kr_task_stat t JOIN kr_agreed_program a ON a.program = t.program
        CROSS JOIN LATERAL jsonb_each(kr_given_to(t.program, t.parameters::jsonb, t.inputs, NULL, given, known)) e
        CROSS JOIN LATERAL (SELECT kr_misfit(a.accepts -> e.key, e.value, 'parameters.' || e.key) AS odd) m
        WHERE t.task_flow_id = flow AND t.task_exec_seq = ANY (again) AND json_typeof(t.parameters) = 'object' AND a.accepts ? e.key AND m.odd IS NOT NULL;
    PERFORM kr_refuse_all(odd);
    UPDATE kr_task_stat t SET parameters = (t.parameters::jsonb || kr_given_to(t.program, t.parameters::jsonb, t.inputs, NULL, given, known))::json
        WHERE t.task_flow_id = flow AND t.task_exec_seq = ANY (again) AND json_typeof(t.parameters) = 'object';
END $$;
