-- Give a flow the latest revision of its workflow. A task keeps its result where a step of the same name, program and parameters is there; all
-- others wait, as if they were new. Answers the seqs of those. Refuses while something of the flow runs, unless cancelRunning.
CREATE OR REPLACE FUNCTION kr_repin(flow text, options jsonb) RETURNS numeric[] LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
    pinned kr_flow_stat;
    latest integer;
    taken  jsonb;
    given  jsonb;
    known  text[];
    made   numeric[];
BEGIN
    SELECT f.* INTO pinned FROM kr_flow_stat f WHERE f.task_flow_id = flow;
    latest := kr_revise(pinned.task_id, checked => false);
    IF latest IS NULL OR pinned.revision IS NULL THEN
        PERFORM kr_not_now(format('flow %s has no definition that could be newer: %s', flow, CASE WHEN latest IS NULL THEN 'its workflow is gone' ELSE 'a hand wrote its rows' END));
    ELSIF latest = pinned.revision THEN
        RETURN '{}';
    END IF;
    IF options -> 'cancelRunning' = 'true' THEN
        UPDATE kr_task_stat t SET exec_status = 0 WHERE t.task_flow_id = flow AND t.exec_status = 1;
    ELSIF EXISTS (SELECT FROM kr_task_stat t WHERE t.task_flow_id = flow AND t.exec_status = 1) THEN
        PERFORM kr_not_now(format('something of flow %s runs at this moment: wait for its end, or have it taken away (cancelRunning)', flow));
    END IF;
    SELECT w.takes INTO taken FROM ms_workflow w WHERE w.task_id = pinned.task_id;
    given := coalesce(pinned.parameters, '{}');
    IF taken IS NOT NULL THEN
        given := kr_completed(taken, (SELECT coalesce(jsonb_object_agg(g.key, g.value), '{}') FROM jsonb_each(given) g WHERE taken ? g.key));
    ELSE
        known := kr_known_names(pinned.task_id, latest);
    END IF;

    -- ended attempts that do not stay in their rows go into the history, and the history goes with the names
    INSERT INTO kr_task_attempt (task_flow_id, task_exec_seq, attempt, exec_status, outcome, started_ts, ended_ts, result, error, worker_id)
        SELECT t.task_flow_id, t.task_exec_seq, t.attempt, t.exec_status, t.outcome, t.started_ts, coalesce(t.finished_ts, t.suspended_ts, clock_timestamp()), t.result, t.error, t.worker_id
        FROM kr_task_stat t WHERE t.task_flow_id = flow AND t.attempt > 0 AND t.exec_status <> 0 AND NOT EXISTS (
            SELECT FROM kr_step n WHERE n.task_id = pinned.task_id AND n.revision = latest AND n.name = t.name AND t.exec_status = 3 AND kr_is_same_step(pinned.task_id, t.name, pinned.revision, latest));
    UPDATE kr_task_attempt a SET task_exec_seq = n.task_exec_seq FROM kr_task_stat t JOIN kr_step n ON n.task_id = pinned.task_id AND n.revision = latest AND n.name = t.name
        WHERE a.task_flow_id = flow AND t.task_flow_id = flow AND t.task_exec_seq = a.task_exec_seq AND n.task_exec_seq <> a.task_exec_seq;
    UPDATE kr_task_log l SET task_exec_seq = n.task_exec_seq FROM kr_task_stat t JOIN kr_step n ON n.task_id = pinned.task_id AND n.revision = latest AND n.name = t.name
        WHERE l.task_flow_id = flow AND t.task_flow_id = flow AND t.task_exec_seq = l.task_exec_seq AND n.task_exec_seq <> l.task_exec_seq;

    WITH old AS MATERIALIZED (
        SELECT t.* FROM kr_task_stat t WHERE t.task_flow_id = flow),
    new AS MATERIALIZED (
        SELECT n.*, o.exec_status = 3 AND kr_is_same_step(pinned.task_id, n.name, pinned.revision, latest) AS kept, o.attempt, o.result, o.started_ts, o.finished_ts, o.registered_ts,
            kr_filled(n.own || CASE WHEN taken IS NULL THEN kr_given_to(n.program, n.own, n.inputs, n.given, given, known) ELSE '{}' END, n.given, given)::json AS parameters
        FROM kr_step n LEFT JOIN old o ON o.name = n.name WHERE n.task_id = pinned.task_id AND n.revision = latest),
    gone AS (
        DELETE FROM kr_task_stat t WHERE t.task_flow_id = flow AND t.task_exec_seq NOT IN (SELECT n.task_exec_seq FROM new n)),
    changed AS (     -- the claim changes: by that the triggers know the engine's hand
        UPDATE kr_task_stat t SET claim_id = gen_random_uuid(), depends_task_exec_seq = coalesce(n.parents[1], -1), task_seq = n.task_seq, parameters = n.parameters, inputs = n.inputs, name = n.name,
            program = n.program, limits = n.limits, options = n.options, rank = -n.depth, gate = NULL, waits_seq = NULL, waits_for = NULL, worker_id = NULL, tries = 0, crashes = 0,
            exec_status = CASE WHEN n.kept THEN 3 ELSE 0 END, outcome = NULL, error = NULL, notice = NULL, progress = NULL, run_after = NULL, suspended_ts = NULL, attempt = coalesce(n.attempt, 0),
            result = CASE WHEN n.kept THEN n.result END, started_ts = CASE WHEN n.kept THEN n.started_ts END, finished_ts = CASE WHEN n.kept THEN n.finished_ts END
        FROM new n WHERE t.task_flow_id = flow AND t.task_exec_seq = n.task_exec_seq)
    INSERT INTO kr_task_stat (task_flow_id, task_exec_seq, depends_task_exec_seq, task_id, task_seq, exec_status, task_priority, parameters, inputs, registered_ts, name, program, limits, options, rank,
            attempt, result, started_ts, finished_ts, gate, claim_id)
        SELECT flow, n.task_exec_seq, coalesce(n.parents[1], -1), pinned.task_id, n.task_seq, CASE WHEN n.kept THEN 3 ELSE 0 END, pinned.task_priority, n.parameters, n.inputs,
            coalesce(n.registered_ts, clock_timestamp()), n.name, n.program, n.limits, n.options, -n.depth, coalesce(n.attempt, 0),
            CASE WHEN n.kept THEN n.result END, CASE WHEN n.kept THEN n.started_ts END, CASE WHEN n.kept THEN n.finished_ts END, NULL, NULL
        FROM new n WHERE n.task_exec_seq NOT IN (SELECT o.task_exec_seq FROM old o);
    DELETE FROM kr_task_edge e WHERE e.task_flow_id = flow;
    INSERT INTO kr_task_edge (task_flow_id, parent_seq, task_exec_seq, by_hand)
        SELECT flow, p, n.task_exec_seq, false FROM kr_step n CROSS JOIN unnest(n.parents) p WHERE n.task_id = pinned.task_id AND n.revision = latest;
    UPDATE kr_flow_stat f SET revision = latest, parameters = nullif(given, '{}') WHERE f.task_flow_id = flow;
    INSERT INTO kr_recount (kind, task_flow_id, task_exec_seq) SELECT 'edge', flow, n.task_exec_seq FROM kr_step n WHERE n.task_id = pinned.task_id AND n.revision = latest;
    PERFORM pg_notify('flower', '');
    SELECT array_agg(t.task_exec_seq) INTO made FROM kr_task_stat t WHERE t.task_flow_id = flow AND t.exec_status = 0;
    RETURN coalesce(made, '{}');
END $$;

-- Whether two revisions of a workflow have the same step of this name: program, parameters, and where they come from.
CREATE OR REPLACE FUNCTION kr_is_same_step(workflow text, step text, one integer, other integer) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (
        SELECT FROM kr_step a JOIN kr_step b ON b.task_id = a.task_id AND b.name = a.name
        WHERE a.task_id = workflow AND a.name = step AND a.revision = one AND b.revision = other AND (a.program, a.own, a.given, kr_named_inputs(a.inputs)) IS NOT DISTINCT FROM (b.program, b.own, b.given, kr_named_inputs(b.inputs)))
$$;

-- Inputs without the numbers of the steps: a step in between changes them all.
CREATE OR REPLACE FUNCTION kr_named_inputs(inputs jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
    SELECT jsonb_agg(i - 'seq' ORDER BY i -> 'at') FROM jsonb_array_elements(inputs) i
$$;
