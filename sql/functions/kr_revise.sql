-- Work out what a workflow's rows say now: check them, and where they differ from its current revision, make a new one. Answers the
-- number of the current revision, NULL if the workflow has no steps (any more). One session at a time per workflow.
-- Refuses with FL422: two steps of one name, an unknown dependency, a circle, a reference to a step that does not come before, or to none, and
-- (checked) parameters that do not fit what workers said of their programs. Code that is newer than the workers knows better.
CREATE OR REPLACE FUNCTION kr_revise(workflow text, hash text DEFAULT NULL, origin text DEFAULT NULL, checked boolean DEFAULT true) RETURNS integer
LANGUAGE plpgsql SET search_path FROM CURRENT SET jit = off AS $$
#variable_conflict use_column
DECLARE
    whole   ms_workflow;
    current_ ms_workflow_revision;
    listed  jsonb;
    odd     text;
    graph   record;
    made    integer;
BEGIN
    IF NOT EXISTS (SELECT FROM ms_task_definition d WHERE d.task_id = workflow) AND NOT EXISTS (SELECT FROM ms_workflow w WHERE w.task_id = workflow) THEN
        RETURN NULL;
    END IF;
    INSERT INTO ms_workflow (task_id) VALUES (workflow) ON CONFLICT DO NOTHING;
    SELECT w.* INTO whole FROM ms_workflow w WHERE w.task_id = workflow FOR UPDATE;
    DELETE FROM kr_changed_workflow c WHERE c.task_id = workflow AND c.transaction = pg_current_xact_id();
    listed := kr_listed_steps(workflow);
    IF listed IS NULL THEN
        PERFORM kr_define_max_flows(workflow, whole.max_flows, NULL);
        UPDATE ms_workflow w SET revision = 0, takes = NULL, result = NULL, timeout = NULL, max_flows = NULL WHERE w.task_id = workflow;
        RETURN NULL;
    END IF;
    SELECT r.* INTO current_ FROM ms_workflow_revision r WHERE r.task_id = workflow AND r.revision = whole.revision;
    IF FOUND AND (current_.steps, current_.takes, current_.result, current_.timeout, current_.max_flows) IS NOT DISTINCT FROM (listed, whole.takes, whole.result, whole.timeout, whole.max_flows) THEN
        RETURN whole.revision;
    END IF;
    SELECT s.name INTO odd FROM jsonb_to_recordset(listed) s (name text) GROUP BY s.name HAVING count(*) > 1 ORDER BY 1 LIMIT 1;
    IF FOUND THEN
        PERFORM kr_refuse('steps', format('two steps have the name %s', quote_literal(odd)));
    END IF;
    IF EXISTS (SELECT FROM ms_task_definition d WHERE d.task_id = workflow AND array_ndims(d.depends_on) > 1) THEN
        PERFORM kr_refuse('steps', 'depends_on must be a plain list, like {1,2}');
    END IF;
    graph := kr_graph(listed);
    IF checked THEN
        -- those that this change touches: a step that code wrote may be ahead of the workers
        PERFORM kr_refuse_all(kr_odd_parameters((
            SELECT jsonb_agg(n.step) FROM jsonb_array_elements(listed) n (step) WHERE NOT coalesce(current_.steps, '[]') @> jsonb_build_array(
                jsonb_build_object('seq', n.step -> 'seq', 'program', n.step -> 'program', 'parameters', n.step -> 'parameters'))), whole.takes IS NOT NULL));
    END IF;
    SELECT coalesce(max(r.revision), 0) + 1 INTO made FROM ms_workflow_revision r WHERE r.task_id = workflow;

    INSERT INTO kr_step (task_id, revision, task_exec_seq, task_seq, name, program, task_priority, limits, parents, depth, own, place, options)
        SELECT workflow, made, s.n, s.seq, s.name, s.program, s.priority, d.limits, '{}', graph.depths[s.n], kr_without_references(s.parameters), d.place,
            nullif(jsonb_strip_nulls(kr_step_options(d.attempts, d.backoff, d.retry_on, d.give_up_on, d.timeout, d.on_lost)), '{}')
        FROM (SELECT row_number() OVER (ORDER BY x.seq)::integer AS n, x.* FROM jsonb_to_recordset(listed) x (seq numeric, name text, program text, priority numeric, parameters jsonb)) s
            JOIN ms_task_definition d ON d.task_id = workflow AND d.task_seq = s.seq;
    UPDATE kr_step s SET parents = e.parents
        FROM (SELECT g.child, array_agg(g.parent ORDER BY g.parent) AS parents FROM unnest(graph.children, graph.parents) g (child, parent) GROUP BY 1) e
        WHERE s.task_id = workflow AND s.revision = made AND s.task_exec_seq = e.child;
    IF listed::text LIKE '%"$%' THEN
        PERFORM kr_work_out_references(workflow, made, listed, whole.takes);
    END IF;
    INSERT INTO ms_workflow_revision (task_id, revision, steps, takes, result, timeout, max_flows, result_inputs, code_hash, source)
        VALUES (workflow, made, listed, whole.takes, whole.result, whole.timeout, whole.max_flows, kr_result_inputs(workflow, made, whole.result), hash, coalesce(origin, nullif(current_setting('application_name'), '')));
    UPDATE ms_workflow w SET revision = made WHERE w.task_id = workflow;
    RETURN made;
END $$;

-- The steps of a workflow as they stand in its rows, in the shape of the HTTP interface; NULL if there are none.
CREATE OR REPLACE FUNCTION kr_listed_steps(workflow text) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT jsonb_agg(jsonb_strip_nulls(jsonb_build_object('seq', d.task_seq, 'name', d.name, 'program', d.program, 'priority', d.task_priority, 'dependsOn', d.depends_on,
            'limits', d.limits, 'place', d.place) || kr_step_options(d.attempts, d.backoff, d.retry_on, d.give_up_on, d.timeout, d.on_lost)) || jsonb_build_object('parameters', d.parameters) ORDER BY d.task_seq)
    FROM (SELECT d.task_seq, d.program, d.task_priority, d.depends_on, d.limits, d.place, d.attempts, d.backoff, d.retry_on, d.give_up_on, d.timeout, d.on_lost,
            coalesce(d.name, left(d.program || coalesce('-' || nullif(row_number() OVER (PARTITION BY d.program, d.name IS NULL ORDER BY d.task_seq), 1), ''), 256)) AS name,
            kr_own_parameters(ARRAY[[d.param1_key, d.param1_value], [d.param2_key, d.param2_value], [d.param3_key, d.param3_value],
                [d.param4_key, d.param4_value], [d.param5_key, d.param5_value]]::text[], d.parameters) AS parameters
        FROM ms_task_definition d WHERE d.task_id = workflow) d
$$;

-- How often a step is tried and how long it may take, as far as it says so itself, in the shape of the HTTP interface.
CREATE OR REPLACE FUNCTION kr_step_options(attempts integer, backoff jsonb, retry_on text[], give_up_on text[], timeout double precision, on_lost text)
RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_object('attempts', attempts, 'backoff', backoff, 'retryOn', retry_on, 'giveUpOn', give_up_on, 'timeout', timeout, 'onLost', on_lost)
$$;

-- The parameters that a step itself has: its pairs, then its own object.
CREATE OR REPLACE FUNCTION kr_own_parameters(pairs text[], own jsonb) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN coalesce((SELECT jsonb_object_agg(pairs[i][1], coalesce(pairs[i][2], '') ORDER BY i) FROM generate_series(1, 5) i WHERE pairs[i][1] <> ''), '{}') || coalesce(own, '{}');
END $$;
