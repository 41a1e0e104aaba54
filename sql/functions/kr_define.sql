-- Write a workflow as a whole: {"workflow", "steps": […], "parameters": what a flow takes, "result"}, in the shape of the HTTP interface.
-- hash tells whether code is the same as before; NULL, or forced: write it whatever is there. Answers what became of it: written; current;
-- superseded (this code was the current one and is no more: an old process that starts again); edited (somebody else wrote the rows since).
CREATE OR REPLACE FUNCTION kr_define(definition jsonb, hash text, origin text, forced boolean) RETURNS text
LANGUAGE plpgsql SET search_path FROM CURRENT SET jit = off AS $$
#variable_conflict use_column
DECLARE
    workflow text := definition ->> 'workflow';
    current_ ms_workflow_revision;
    before   integer;
BEGIN
    INSERT INTO ms_workflow (task_id) VALUES (workflow) ON CONFLICT DO NOTHING;
    PERFORM FROM ms_workflow w WHERE w.task_id = workflow FOR UPDATE;
    IF hash IS NOT NULL AND NOT forced THEN
        PERFORM kr_revise(workflow, checked => false);  -- rows of before there were revisions
    END IF;
    SELECT r.* INTO current_ FROM ms_workflow w JOIN ms_workflow_revision r ON r.task_id = w.task_id AND r.revision = w.revision WHERE w.task_id = workflow;
    IF current_.code_hash = hash THEN
        -- the same, but perhaps a few lines further down: no other revision
        UPDATE ms_task_definition d SET place = s.place FROM jsonb_to_recordset(definition -> 'steps') s (seq numeric, place text)
            WHERE d.task_id = workflow AND d.task_seq = s.seq AND d.place IS DISTINCT FROM s.place;
        IF FOUND THEN
            UPDATE ms_workflow_revision r SET steps = kr_listed_steps(workflow) WHERE r.task_id = workflow AND r.revision = current_.revision;
            UPDATE kr_step s SET place = d.place FROM ms_task_definition d
                WHERE d.task_id = workflow AND s.task_id = workflow AND s.revision = current_.revision AND s.task_seq = d.task_seq;
        END IF;
        RETURN 'current';
    ELSIF NOT forced AND hash IS NOT NULL AND current_.task_id IS NOT NULL THEN
        IF current_.code_hash IS NULL THEN
            RETURN 'edited';
        ELSIF EXISTS (SELECT FROM ms_workflow_revision r WHERE r.task_id = workflow AND r.code_hash = hash) THEN
            RETURN 'superseded';
        END IF;
    END IF;
    DELETE FROM ms_task_definition d WHERE d.task_id = workflow;
    INSERT INTO ms_task_definition (task_id, task_seq, name, program, task_priority, depends_on, parameters, limits, place,
            attempts, backoff, retry_on, give_up_on, timeout, on_lost)
        SELECT workflow, s.seq, s.name, s.program, coalesce(s.priority, 0), s."dependsOn", nullif(s.parameters, 'null'), s.limits, s.place,
            s.attempts, nullif(s.backoff, 'null'), s."retryOn", s."giveUpOn", s.timeout, s."onLost"
        FROM jsonb_to_recordset(definition -> 'steps') s (seq numeric, name text, program text, priority numeric, "dependsOn" numeric[], parameters jsonb, limits text[], place text,
            attempts integer, backoff jsonb, "retryOn" text[], "giveUpOn" text[], timeout double precision, "onLost" text);
    SELECT w.max_flows INTO before FROM ms_workflow w WHERE w.task_id = workflow;
    UPDATE ms_workflow w SET takes = nullif(definition -> 'parameters', 'null'), result = nullif(definition -> 'result', 'null'),
        timeout = (definition ->> 'timeout')::double precision, max_flows = (definition ->> 'maxFlows')::integer WHERE w.task_id = workflow;
    PERFORM kr_define_max_flows(workflow, before, (definition ->> 'maxFlows')::integer);
    IF hash IS NULL AND jsonb_typeof(definition -> 'parameters') = 'object' THEN
        PERFORM kr_refuse_all((
            SELECT jsonb_agg(m.odd) FROM jsonb_each(definition -> 'parameters') t
                CROSS JOIN LATERAL (SELECT kr_misfit(t.value -> 'schema', t.value -> 'default', format('parameters.%s.default', t.key)) AS odd) m
            WHERE t.value ? 'default' AND m.odd IS NOT NULL));
    END IF;
    PERFORM kr_revise(workflow, hash, origin, checked => hash IS NULL);
    -- the same as what was there already, perhaps by another hand
    UPDATE ms_workflow_revision r SET code_hash = hash FROM ms_workflow w WHERE w.task_id = workflow AND r.task_id = workflow AND r.revision = w.revision AND r.code_hash IS DISTINCT FROM hash AND hash IS NOT NULL;
    RETURN 'written';
END $$;

-- Write how many flows of a workflow may be in progress at once, where its definition says another number than before. Else what somebody has made of
-- the limit since, or that he has removed it, stays.
CREATE OR REPLACE FUNCTION kr_define_max_flows(workflow text, before integer, now_ integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF now_ IS NOT NULL AND workflow LIKE '%*' THEN
        PERFORM kr_refuse('maxFlows', 'cannot be for a workflow whose name ends in *: the limit would be a pattern, and hold others too');
    ELSIF now_ IS NOT NULL AND octet_length(workflow) > 503 THEN
        PERFORM kr_refuse('maxFlows', format('cannot be for a workflow whose name has %s bytes: 503 are the most', octet_length(workflow)));
    ELSIF now_ IS NOT DISTINCT FROM before THEN
        RETURN;
    ELSIF now_ IS NULL THEN
        DELETE FROM ms_limit l WHERE l.name = 'workflow:' || workflow;
    ELSE
        INSERT INTO ms_limit (name, slots) VALUES ('workflow:' || workflow, now_) ON CONFLICT (name) DO UPDATE SET slots = excluded.slots;
    END IF;
END $$;

-- What a flow has resulted in: what its workflow says, with the results of its tasks in place, null for those that were ignored; NULL if it
-- says nothing. Refuses (FL422) a part that is not there, and more than 16 MiB.
CREATE OR REPLACE FUNCTION kr_flow_result(flow text) RETURNS jsonb LANGUAGE plpgsql STABLE SET search_path FROM CURRENT AS $$
DECLARE
    said   jsonb;
    inputs jsonb;
    found_ text[];
    odd    jsonb;
BEGIN
    -- wrapped, so that a reference that is all of the result has a place
    SELECT jsonb_build_object('result', kr_without_references(r.result)), (SELECT jsonb_agg(i || jsonb_build_object('at', '["result"]'::jsonb || (i -> 'at'))) FROM jsonb_array_elements(r.result_inputs) i)
        INTO said, inputs FROM kr_flow_stat f JOIN ms_workflow_revision r ON r.task_id = f.task_id AND r.revision = f.revision WHERE f.task_flow_id = flow;
    IF inputs IS NULL THEN
        RETURN said -> 'result';
    END IF;
    found_ := kr_input(flow, said, inputs);
    SELECT jsonb_agg(jsonb_build_object('path', kr_path(ARRAY(SELECT jsonb_array_elements_text(o -> 'at'))), 'message', CASE WHEN o ? 'missing' THEN format('there is no %s in what that step returned', o ->> 'missing')
            ELSE format('comes to more than 16 MiB (%s bytes so far): return keys or paths instead', o ->> 'large') END)) INTO odd
        FROM jsonb_array_elements(found_[2]::jsonb) o WHERE NOT o ? 'ignored';
    PERFORM kr_refuse_all(odd);
    RETURN found_[1]::jsonb -> 'result';
END $$;
