-- Give a flow the latest revision of its workflow. A task keeps its result where a step of the same name, program and parameters is there; all
-- others wait, as if they were new. Answers the seqs of all that wait. Refuses while something of the flow runs, unless cancelRunning.
CREATE OR REPLACE FUNCTION kr_repin(flow text, options jsonb) RETURNS numeric[] LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
    pinned kr_flow_stat;
    latest integer;
    taken  jsonb;
    given  jsonb;
    known  text[];
    made   numeric[];
    same   text[];        -- the names of the steps that are as they were
    unique_ text[];       -- the limit of its unique key
BEGIN
    SELECT f.* INTO pinned FROM kr_flow_stat f WHERE f.task_flow_id = flow;
    latest := kr_revise(pinned.task_id, checked => false);
    unique_ := CASE WHEN pinned.unique_key IS NOT NULL THEN ARRAY[kr_unique_name(pinned.task_id, pinned.unique_key)] END;
    IF latest IS NULL OR pinned.revision IS NULL THEN
        PERFORM kr_not_now(format('flow %s has no definition that could be newer: %s', flow, CASE WHEN latest IS NULL THEN 'its workflow is gone' ELSE 'a hand wrote its rows' END));
    ELSIF latest = pinned.revision THEN
        RETURN '{}';
    END IF;
    IF options -> 'cancelRunning' = 'true' THEN
        UPDATE kr_task_stat t SET exec_status = 0 WHERE t.task_flow_id = flow AND t.exec_status = 1;
    ELSIF EXISTS (SELECT FROM kr_task_stat t WHERE t.task_flow_id = flow AND t.exec_status = 1) THEN
        PERFORM kr_not_now(format('something of flow %s runs at this moment: wait for its end, or have it taken away (cancelRunning, or --cancel-running)', flow));
    END IF;
    SELECT w.takes INTO taken FROM ms_workflow w WHERE w.task_id = pinned.task_id;
    given := coalesce(pinned.parameters, '{}');
    IF taken IS NOT NULL THEN
        given := kr_completed(taken, (SELECT coalesce(jsonb_object_agg(g.key, g.value), '{}') FROM jsonb_each(given || coalesce(options -> 'parameters', '{}')) g WHERE taken ? g.key));
    ELSE
        known := kr_known_names(pinned.task_id, latest);
    END IF;

    same := ARRAY(SELECT o.name FROM kr_step o WHERE o.task_id = pinned.task_id AND o.revision = pinned.revision EXCEPT SELECT kr_changed_steps(pinned.task_id, pinned.revision, latest));
    INSERT INTO kr_recount (kind, name) SELECT DISTINCT 'limit', l FROM kr_task_stat t CROSS JOIN unnest(t.limits) l WHERE t.task_flow_id = flow;
    -- with a step that is gone goes what is known of it; else ended attempts that do not stay in their rows go into the history, and the history goes with the names
    INSERT INTO kr_task_attempt (task_flow_id, task_exec_seq, attempt, exec_status, outcome, started_ts, ended_ts, result, error, worker_id)
        SELECT t.task_flow_id, t.task_exec_seq, t.attempt, t.exec_status, t.outcome, t.started_ts, coalesce(t.finished_ts, t.suspended_ts, clock_timestamp()), t.result, t.error, t.worker_id
        FROM kr_task_stat t WHERE t.task_flow_id = flow AND t.attempt > 0 AND t.exec_status <> 0
            AND NOT EXISTS (SELECT FROM kr_task_attempt a WHERE a.task_flow_id = flow AND a.task_exec_seq = t.task_exec_seq AND a.attempt = t.attempt)
            AND NOT EXISTS (
            SELECT FROM kr_step n WHERE n.task_id = pinned.task_id AND n.revision = latest AND n.name = t.name AND kr_is_kept(t) AND t.name = ANY (same));
    DELETE FROM kr_task_attempt a USING kr_task_stat t WHERE a.task_flow_id = flow AND t.task_flow_id = flow AND t.task_exec_seq = a.task_exec_seq
        AND NOT EXISTS (SELECT FROM kr_step n WHERE n.task_id = pinned.task_id AND n.revision = latest AND n.name = t.name);
    DELETE FROM kr_task_log l USING kr_task_stat t WHERE l.task_flow_id = flow AND t.task_flow_id = flow AND t.task_exec_seq = l.task_exec_seq
        AND NOT EXISTS (SELECT FROM kr_step n WHERE n.task_id = pinned.task_id AND n.revision = latest AND n.name = t.name);
    UPDATE kr_task_attempt a SET task_exec_seq = n.task_exec_seq FROM kr_task_stat t JOIN kr_step n ON n.task_id = pinned.task_id AND n.revision = latest AND n.name = t.name
        WHERE a.task_flow_id = flow AND t.task_flow_id = flow AND t.task_exec_seq = a.task_exec_seq AND n.task_exec_seq <> a.task_exec_seq;
    UPDATE kr_task_log l SET task_exec_seq = n.task_exec_seq FROM kr_task_stat t JOIN kr_step n ON n.task_id = pinned.task_id AND n.revision = latest AND n.name = t.name
        WHERE l.task_flow_id = flow AND t.task_flow_id = flow AND t.task_exec_seq = l.task_exec_seq AND n.task_exec_seq <> l.task_exec_seq;

    WITH old AS MATERIALIZED (
        SELECT DISTINCT ON (t.name) t AS task, t.name, t.task_exec_seq FROM kr_task_stat t WHERE t.task_flow_id = flow ORDER BY t.name, t.task_exec_seq),
    new AS MATERIALIZED (
        SELECT n.*, coalesce(kr_is_kept(o.task) AND n.name = ANY (same), false) AS kept, (o.task).attempt, (o.task).result, (o.task).started_ts, (o.task).finished_ts, (o.task).registered_ts,
            (o.task).exec_status AS status, (o.task).parameters AS own_parameters, (o.task).outcome, (o.task).error, (SELECT max(x.run_after) FROM kr_task_stat x WHERE x.task_flow_id = flow) AS run_after,
            kr_filled(n.own || CASE WHEN taken IS NULL THEN kr_given_to(n.program, n.own, n.inputs, n.given, given, known) ELSE '{}' END, n.given, given)::json AS parameters
        FROM kr_step n LEFT JOIN old o ON o.name = n.name WHERE n.task_id = pinned.task_id AND n.revision = latest),
    gone AS (
        DELETE FROM kr_task_stat t WHERE t.task_flow_id = flow AND t.task_exec_seq NOT IN (SELECT n.task_exec_seq FROM new n)),
    changed AS (     -- the claim changes: by that the triggers know the engine's hand
        UPDATE kr_task_stat t SET claim_id = gen_random_uuid(), depends_task_exec_seq = coalesce(n.parents[1], -1), task_seq = n.task_seq, parameters = CASE WHEN n.kept THEN n.own_parameters ELSE n.parameters END, inputs = n.inputs, name = n.name,
            program = n.program, limits = kr_written_limits(n.limits, n.program) || unique_, keyed = kr_keyed(kr_written_limits(n.limits, n.program)), run_order = kr_run_order(t.registered_ts, t.task_priority), options = n.options, rank = -n.depth, gate = NULL, waits_seq = NULL, waits_for = NULL, waits_since = NULL, waits_until = NULL, worker_id = NULL, tries = 0, crashes = 0,
            exec_status = CASE WHEN n.kept THEN n.status ELSE 0 END, outcome = CASE WHEN n.kept THEN n.outcome END, error = CASE WHEN n.kept THEN n.error END,
            notice = NULL, progress = NULL, run_after = n.run_after, suspended_ts = NULL, attempt = coalesce(n.attempt, 0),
            result = CASE WHEN n.kept THEN n.result END, started_ts = CASE WHEN n.kept THEN n.started_ts END, finished_ts = CASE WHEN n.kept THEN n.finished_ts END
        FROM new n WHERE t.task_flow_id = flow AND t.task_exec_seq = n.task_exec_seq)
    INSERT INTO kr_task_stat (task_flow_id, task_exec_seq, depends_task_exec_seq, task_id, task_seq, exec_status, task_priority, parameters, inputs, registered_ts, name, program, limits, keyed, options, rank, run_order,
            attempt, result, started_ts, finished_ts, outcome, error, run_after, scheduled_ts, gate, claim_id)
        SELECT flow, n.task_exec_seq, coalesce(n.parents[1], -1), pinned.task_id, n.task_seq, CASE WHEN n.kept THEN n.status ELSE 0 END, pinned.task_priority, CASE WHEN n.kept THEN n.own_parameters ELSE n.parameters END, n.inputs,
            coalesce(n.registered_ts, clock_timestamp()), n.name, n.program, kr_written_limits(n.limits, n.program) || unique_, kr_keyed(kr_written_limits(n.limits, n.program)), n.options, -n.depth, kr_run_order(coalesce(n.registered_ts, clock_timestamp()), pinned.task_priority), coalesce(n.attempt, 0),
            CASE WHEN n.kept THEN n.result END, CASE WHEN n.kept THEN n.started_ts END, CASE WHEN n.kept THEN n.finished_ts END,
            CASE WHEN n.kept THEN n.outcome END, CASE WHEN n.kept THEN n.error END, n.run_after, pinned.scheduled_ts, NULL, NULL
        FROM new n WHERE n.task_exec_seq NOT IN (SELECT t.task_exec_seq FROM kr_task_stat t WHERE t.task_flow_id = flow);
    DELETE FROM kr_task_edge e WHERE e.task_flow_id = flow;
    INSERT INTO kr_task_edge (task_flow_id, parent_seq, task_exec_seq, by_hand)
        SELECT flow, p, n.task_exec_seq, false FROM kr_step n CROSS JOIN unnest(n.parents) p WHERE n.task_id = pinned.task_id AND n.revision = latest;
    UPDATE kr_flow_stat f SET revision = latest, parameters = nullif(given, '{}') WHERE f.task_flow_id = flow;
    INSERT INTO kr_recount (kind, task_flow_id, task_exec_seq) SELECT 'edge', flow, n.task_exec_seq FROM kr_step n WHERE n.task_id = pinned.task_id AND n.revision = latest;
    PERFORM pg_notify('flower', '');
    SELECT array_agg(t.task_exec_seq) INTO made FROM kr_task_stat t WHERE t.task_flow_id = flow AND t.exec_status = 0;
    RETURN coalesce(made, '{}');
END $$;

-- The steps of one revision of a workflow that another does not have as they are: by name, program, parameters, and where those come from.
CREATE OR REPLACE FUNCTION kr_changed_steps(workflow text, one integer, other integer) RETURNS SETOF text LANGUAGE sql STABLE AS $$
    SELECT s.name FROM (
        SELECT a.name, a.program, a.own, a.given, kr_named_inputs(a.inputs) FROM kr_step a WHERE a.task_id = workflow AND a.revision = one
        EXCEPT
        SELECT b.name, b.program, b.own, b.given, kr_named_inputs(b.inputs) FROM kr_step b WHERE b.task_id = workflow AND b.revision = other) s
$$;

-- Whether a task's outcome stays if its step does: its result, or that a person has skipped it.
CREATE OR REPLACE FUNCTION kr_is_kept(task kr_task_stat) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT task.exec_status = 3 OR (task.exec_status = 9 AND task.error ->> 'type' = 'Skipped')
$$;

-- Inputs without the numbers of the steps: a step in between changes them all.
CREATE OR REPLACE FUNCTION kr_named_inputs(inputs jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
    SELECT jsonb_agg(i - 'seq' ORDER BY i -> 'at') FROM jsonb_array_elements(inputs) i
$$;
