-- Start flows of one workflow, all or none, in the caller's transaction: their rows, edges and first gates. The orders are parallel arrays of
-- what was given and of options. Together, because a statement costs more to begin than the rows of one flow cost to write.
-- Refuses with SQLSTATEs of ours (detail: a JSON list of {path, message}): FL404 no such workflow, FL422 wrong content, FL409 an
-- idempotency key that came before with another content. duplicate: the same key and content made this flow before. skipped: this flow has the same
-- unique key and is in progress, and the order was to be skipped then. is_past: its runAt had passed.
-- schedules, nominals: which schedule makes the flows, and for which of its times; parallel arrays, too.
-- A gate that others may open before the caller commits (pause, program, signal) is left for the engine to decide.
-- force_generic_plan: planned anew at each call, the statements cost three times as much.
CREATE OR REPLACE FUNCTION kr_register(workflow text, givens jsonb[], options jsonb[], schedules text[] DEFAULT NULL, nominals timestamptz[] DEFAULT NULL)
RETURNS TABLE (n integer, flow_id text, duplicate boolean, skipped boolean, is_past boolean)
LANGUAGE plpgsql SET search_path FROM CURRENT SET plan_cache_mode = force_generic_plan SET jit = off AS $$
#variable_conflict use_column
DECLARE
    now_       timestamptz := clock_timestamp();      -- one for all tasks of a flow: among them their depth decides who goes first
    made       integer;                               -- the revision
    takes      jsonb;
    what       record;
    known      text[];
    ids        text[];
    keys       text[];
    priorities numeric[];
    times      timestamptz[];
    values_    jsonb[];                               -- what was given, with the defaults of the rest
    new_       text[];
    uniques    text[];                                -- unique keys
    others     text[];                                -- the flows that orders are skipped for
    earlier    kr_flow_stat;
BEGIN
    SELECT array_agg(flower_uuid7()), array_agg(o.wish ->> 'idempotencyKey'), array_agg(CASE WHEN o.wish ? 'priority' THEN kr_priority(o.wish) END),
            array_agg(CASE WHEN o.wish ? 'runAt' THEN kr_run_at(o.wish) END), array_agg(o.wish #>> '{unique,key}')
        INTO ids, keys, priorities, times, uniques FROM unnest(givens, options) o (given, wish) WHERE kr_is_in_order(o.given, o.wish);
    SELECT nullif(w.revision, 0), w.takes INTO made, takes FROM ms_workflow w WHERE w.task_id = workflow
        AND NOT EXISTS (SELECT FROM kr_changed_workflow c WHERE c.task_id = workflow AND c.transaction = pg_current_xact_id_if_assigned());
    IF made IS NULL THEN
        made := kr_revise(workflow, checked => false);
        SELECT w.takes INTO takes FROM ms_workflow w WHERE w.task_id = workflow;
    END IF;
    IF made IS NULL THEN
        RAISE EXCEPTION 'no tasks registered' USING ERRCODE = 'FL404', DETAIL = '[]';
    END IF;
    SELECT bool_or(coalesce(s.limits, p.limits) <> '{}') AS limited, bool_or(kr_keyed(coalesce(s.limits, p.limits)) IS NOT NULL) AS keyed, bool_or(s.parents <> '{}') AS connected, (array_agg(s.task_priority ORDER BY s.task_exec_seq))[1] AS priority,
            (SELECT w.timeout FROM ms_workflow w WHERE w.task_id = workflow) AS timeout
        INTO what FROM kr_step s LEFT JOIN kr_program p ON p.program = s.program WHERE s.task_id = workflow AND s.revision = made;
    values_ := givens;
    IF takes IS NOT NULL THEN
        values_ := ARRAY(SELECT kr_completed(takes, o.given) FROM unnest(givens) WITH ORDINALITY o (given, n) ORDER BY o.n);
    ELSE
        IF '{}' <> ANY (givens) THEN
            known := kr_known_names(workflow, made);
        END IF;
        PERFORM kr_refuse_all(kr_odd_givens(workflow, made, givens, known));
    END IF;

    IF array_to_string(uniques, '') <> '' THEN
        others := kr_skipped(workflow, ids, keys, uniques, options);
    END IF;

    WITH flow AS (
        INSERT INTO kr_flow_stat (task_flow_id, task_id, revision, task_priority, registered_ts, idempotency_key, unique_key, parameters, deadline_ts, request, schedule, scheduled_ts)
            SELECT o.id, workflow, made, coalesce(o.priority, what.priority), now_ + o.n * interval '1 microsecond', o.key, o.unique_key, nullif(o.value, '{}'),
                greatest(o.run_at, now_) + make_interval(secs => what.timeout),
                CASE WHEN o.key IS NOT NULL THEN jsonb_build_object('parameters', o.given, 'options', o.wish - 'idempotencyKey') END, o.schedule, o.nominal
            FROM unnest(ids, keys, priorities, givens, options, values_, times, uniques, others, schedules, nominals) WITH ORDINALITY
                o (id, key, priority, given, wish, value, run_at, unique_key, other, schedule, nominal, n)
            WHERE o.other IS NULL ORDER BY o.key                              -- two who send the same keys wait for each other in one order
            ON CONFLICT (task_id, idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING
            RETURNING task_flow_id)
    SELECT array_agg(m.task_flow_id::text) INTO new_ FROM flow m;

    IF new_ IS NOT NULL THEN
        IF what.connected THEN
            INSERT INTO kr_task_edge (task_flow_id, parent_seq, task_exec_seq, by_hand)
                SELECT f, p, s.task_exec_seq, false FROM unnest(new_) f CROSS JOIN kr_step s CROSS JOIN unnest(s.parents) p WHERE s.task_id = workflow AND s.revision = made;
        END IF;
        INSERT INTO kr_task_stat (task_flow_id, task_exec_seq, depends_task_exec_seq, task_id, task_seq, exec_status, task_priority, parameters, inputs, registered_ts,
                name, program, run_after, limits, keyed, rank, run_order, waits_seq, gate, waits_for, options, scheduled_ts)
            SELECT o.id, s.task_exec_seq, coalesce(s.parents[1], -1), workflow, s.task_seq, 0, coalesce(o.priority, s.task_priority), c.call::json,
                s.inputs, now_ + o.n * interval '1 microsecond', s.name, s.program, o.run_at, u.limits, l.keyed, -s.depth,
                kr_run_order(now_ + o.n * interval '1 microsecond', coalesce(o.priority, s.task_priority)), s.parents[1],
                nullif(nullif(nullif(g.gate, 'pause'), 'program'), 'signal'), CASE g.gate WHEN 'limit' THEN g.waits_for END, s.options, o.nominal
            FROM unnest(ids, priorities, times, values_, uniques, nominals) WITH ORDINALITY o (id, priority, run_at, value, unique_key, nominal, n) CROSS JOIN kr_step s
                CROSS JOIN LATERAL (SELECT CASE WHEN s.given IS NULL AND (takes IS NOT NULL OR o.value = '{}') THEN s.own
                     ELSE kr_filled(s.own || CASE WHEN takes IS NULL THEN kr_given_to(s.program, s.own, s.inputs, s.given, o.value, known) ELSE '{}' END, s.given, o.value) END AS call) c
                LEFT JOIN LATERAL (          -- the key of a limit is known now if no result of another task has to come first
                    SELECT CASE WHEN k.keyed IS NULL OR s.parents <> '{}' THEN w.written ELSE kr_limit_names(k.keyed, c.call) END AS limits, k.keyed
                    FROM kr_written_limits(s.limits, s.program) w (written) CROSS JOIN LATERAL (SELECT CASE WHEN what.keyed THEN kr_keyed(w.written) END AS keyed) k
                    WHERE what.limited) l ON true
                CROSS JOIN LATERAL (SELECT CASE WHEN o.unique_key IS NULL THEN l.limits ELSE l.limits || kr_unique_name(workflow, o.unique_key) END AS limits) u
                CROSS JOIN LATERAL kr_gate(s.parents[1], o.run_at, o.id, workflow, s.program, u.limits) g
            WHERE o.id = ANY (new_) AND s.task_id = workflow AND s.revision = made;
        IF what.limited THEN
            PERFORM kr_refuse('limits', 'with these parameters the limit comes to more than 512 bytes: key it by something shorter')
                FROM kr_task_stat t CROSS JOIN unnest(t.limits) l WHERE what.keyed AND t.task_flow_id = ANY (new_) AND octet_length(l) > 512 AND NOT kr_counts_flows(l);
            INSERT INTO kr_recount (kind, name) SELECT DISTINCT 'limit', t.waits_for FROM kr_task_stat t WHERE t.task_flow_id = ANY (new_) AND t.gate || '' = 'limit';
        END IF;
        INSERT INTO kr_recount (kind, name) SELECT 'limit', 'workflow:' || workflow FROM kr_flow_slots('workflow:' || workflow);
        IF array_to_string(uniques, '') <> '' THEN
            INSERT INTO kr_recount (kind, name)
                SELECT DISTINCT 'limit', kr_unique_name(workflow, o.unique_key) FROM unnest(ids, uniques) o (id, unique_key) WHERE o.id = ANY (new_) AND o.unique_key IS NOT NULL;
        END IF;
        PERFORM pg_notify('flower', '');
    END IF;

    FOR i IN 1 .. cardinality(ids) LOOP
        n := i;
        flow_id := ids[i];
        skipped := others[i] IS NOT NULL;
        duplicate := NOT skipped AND flow_id = ANY (new_) IS NOT TRUE;
        is_past := NOT skipped AND NOT duplicate AND coalesce(times[i] < now_, false);
        IF skipped THEN
            flow_id := others[i];
        ELSIF duplicate THEN
            SELECT * INTO earlier FROM kr_flow_stat f WHERE f.task_id = workflow AND f.idempotency_key = keys[i];
            IF earlier.request IS DISTINCT FROM jsonb_build_object('parameters', givens[i], 'options', options[i] - 'idempotencyKey') THEN
                RAISE EXCEPTION 'the idempotency key % was used before with other parameters or options', quote_literal(keys[i]) USING ERRCODE = 'FL409', DETAIL = '[]';
            END IF;
            flow_id := earlier.task_flow_id;
        END IF;
        RETURN NEXT;
    END LOOP;
END $$;

-- True, or the order is refused, as its form is wrong.
CREATE OR REPLACE FUNCTION kr_is_in_order(given jsonb, options jsonb) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    IF jsonb_typeof(given) IS DISTINCT FROM 'object' THEN
        PERFORM kr_refuse('parameters', 'must be a JSON object');
    ELSIF jsonb_typeof(options) IS DISTINCT FROM 'object' THEN
        PERFORM kr_refuse('options', 'must be a JSON object');
    ELSIF options - '{priority,runAt,idempotencyKey,unique}'::text[] <> '{}' THEN
        PERFORM kr_refuse(o, 'no such option; there are priority, runAt, idempotencyKey and unique') FROM jsonb_object_keys(options - '{priority,runAt,idempotencyKey,unique}'::text[]) o;
    ELSIF given <> '{}' AND octet_length(given::text) > 262144 THEN
        PERFORM kr_refuse('parameters', format('are %s bytes of JSON, the limit is 262144 (256 KiB): pass a key or a path instead', octet_length(given::text)));
    ELSIF options ? 'idempotencyKey' AND (jsonb_typeof(options -> 'idempotencyKey') <> 'string' OR octet_length(options ->> 'idempotencyKey') NOT BETWEEN 1 AND 512) THEN
        PERFORM kr_refuse('idempotencyKey', 'must be a text of 1 to 512 bytes');
    ELSIF options ? 'unique' AND (jsonb_typeof(options -> 'unique') <> 'object' OR (options -> 'unique') - '{key,policy}'::text[] <> '{}') THEN
        PERFORM kr_refuse('unique', 'must be an object like {"key": "order-7", "policy": "skip"}; policy is skip or queue');
    ELSIF options ? 'unique' AND (jsonb_typeof(options #> '{unique,key}') IS DISTINCT FROM 'string' OR octet_length(options #>> '{unique,key}') NOT BETWEEN 1 AND 512) THEN
        PERFORM kr_refuse('unique.key', 'must be a text of 1 to 512 bytes');
    ELSIF options #> '{unique,policy}' NOT IN ('"skip"', '"queue"') THEN
        PERFORM kr_refuse('unique.policy', 'must be skip (nothing new while one is in progress) or queue (one after the other)');
    END IF;
    RETURN true;
END $$;

-- For each order that is not to be made, as a flow with its unique key is in progress or waits for its turn, that flow. Whoever comes with the same key
-- at the same moment waits for the end of this transaction. An idempotency key is looked at first: what it has made before is no new flow.
CREATE OR REPLACE FUNCTION kr_skipped(workflow text, ids text[], keys text[], uniques text[], options jsonb[]) RETURNS text[] LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
    others text[] := array_fill(NULL::text, ARRAY[cardinality(ids)]);
    known  jsonb := '{}';         -- by unique key: what an earlier order of this call has made or found
BEGIN
    -- of many keys the workflow is locked: as many locks as there are keys could be more than the server has room for
    PERFORM CASE WHEN cardinality(uniques) > 100 THEN pg_advisory_xact_lock(hashtextextended(current_schema || ' unique ' || workflow, 0))
        ELSE pg_advisory_xact_lock_shared(hashtextextended(current_schema || ' unique ' || workflow, 0)) END;
    IF cardinality(uniques) <= 100 THEN
        PERFORM pg_advisory_xact_lock(l.key) FROM (
            SELECT DISTINCT hashtextextended(current_schema || ' ' || kr_unique_name(workflow, u), 0) AS key FROM unnest(uniques) u WHERE u IS NOT NULL ORDER BY 1) l;
    END IF;
    FOR i IN 1 .. cardinality(ids) LOOP
        CONTINUE WHEN uniques[i] IS NULL OR (keys[i] IS NOT NULL AND (keys[i] = ANY (keys[: i - 1])
            OR EXISTS (SELECT FROM kr_flow_stat f WHERE f.task_id = workflow AND f.idempotency_key = keys[i])));
        IF options[i] #>> '{unique,policy}' IS DISTINCT FROM 'queue' THEN
            others[i] := coalesce(known ->> uniques[i], kr_unfinished_with_key(workflow, uniques[i]));
        END IF;
        known := known || jsonb_build_object(uniques[i], coalesce(others[i], ids[i]));
    END LOOP;
    RETURN others;
END $$;

CREATE OR REPLACE FUNCTION kr_refuse(path text, message text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '%: %', path, message USING ERRCODE = 'FL422', DETAIL = jsonb_build_array(jsonb_build_object('path', path, 'message', message));
END $$;

-- Refuse all of a JSON list of {path, message}, if there are any.
CREATE OR REPLACE FUNCTION kr_refuse_all(odd jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF odd IS NOT NULL THEN
        RAISE EXCEPTION '%', (SELECT string_agg(o ->> 'path' || ': ' || (o ->> 'message'), '; ') FROM jsonb_array_elements(odd) o) USING ERRCODE = 'FL422', DETAIL = odd;
    END IF;
END $$;

CREATE OR REPLACE FUNCTION kr_priority(options jsonb) RETURNS numeric LANGUAGE plpgsql AS $$
BEGIN
    IF jsonb_typeof(options -> 'priority') <> 'number' OR (options ->> 'priority')::numeric NOT BETWEEN -20 AND 19 OR (options ->> 'priority')::numeric % 1 <> 0 THEN
        PERFORM kr_refuse('priority', 'must be a whole number from -20 (first) to 19');
    END IF;
    RETURN (options ->> 'priority')::numeric;
END $$;

CREATE OR REPLACE FUNCTION kr_run_at(options jsonb) RETURNS timestamptz LANGUAGE plpgsql AS $$
BEGIN
    RETURN kr_time(options -> 'runAt', 'runAt');
END $$;

-- The names that some step of the workflow is known to take.
CREATE OR REPLACE FUNCTION kr_known_names(workflow text, made integer) RETURNS text[] LANGUAGE plpgsql AS $$
BEGIN
    RETURN ARRAY(
        SELECT DISTINCT k.name FROM kr_step s LEFT JOIN kr_program p ON p.program = s.program CROSS JOIN LATERAL (
            SELECT unnest(p.takes) UNION ALL SELECT jsonb_object_keys(s.own) UNION ALL SELECT g.param FROM jsonb_to_recordset(s.given) g (param text)) k (name)
        WHERE s.task_id = workflow AND s.revision = made AND k.name IS NOT NULL);
END $$;

-- What is wrong with what flows are given whose workflow names no parameters, as a list of {path, message}; NULL if nothing is: a name that no
-- step takes (said only if every program is known), a value that does not fit a program that gets it, and what a program requires and gets from
-- nobody.
CREATE OR REPLACE FUNCTION kr_odd_givens(workflow text, made integer, givens jsonb[], known text[]) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    IF known IS NULL AND NOT EXISTS (SELECT FROM kr_step s JOIN kr_program p ON p.program = s.program
            WHERE s.task_id = workflow AND s.revision = made AND p.requires <> '{}') THEN
        RETURN NULL;         -- nothing is given and nothing required: the usual case
    END IF;
    RETURN (
        WITH step AS MATERIALIZED (      -- looked up once
            SELECT s.task_seq AS seq, s.program, s.own, s.inputs, s.given, p.takes, a.accepts, a.requires
            FROM kr_step s LEFT JOIN kr_program p ON p.program = s.program LEFT JOIN kr_agreed_program a ON a.program = s.program
            WHERE s.task_id = workflow AND s.revision = made),
        found AS (
            SELECT kr_odd('parameters.' || k, 'no step takes a parameter of this name') AS odd
                FROM unnest(givens) g CROSS JOIN jsonb_object_keys(g) k WHERE k <> ALL (known) AND NOT EXISTS (SELECT FROM step s WHERE s.takes IS NULL)
            UNION ALL
            SELECT kr_misfit(s.accepts -> e.key, e.value, 'parameters.' || e.key)
                FROM unnest(givens) g CROSS JOIN step s CROSS JOIN LATERAL jsonb_each(kr_given_to(s.program, s.own, s.inputs, s.given, g, known)) e
                WHERE g <> '{}' AND s.accepts ? e.key
            UNION ALL
            SELECT kr_odd('parameters.' || r, format('is missing: %s requires it, and step %s of the workflow has none', s.program, s.seq))
                FROM step s CROSS JOIN unnest(s.requires) r CROSS JOIN unnest(givens) g
                WHERE NOT s.own ? r AND r <> ALL (kr_filled_names(s.inputs, s.given)) AND NOT kr_given_to(s.program, s.own, s.inputs, s.given, g, known) ? r)
        SELECT jsonb_agg(DISTINCT f.odd) FROM found f WHERE f.odd IS NOT NULL);
END $$;

-- The names of the parameters that references stand in.
CREATE OR REPLACE FUNCTION kr_filled_names(inputs jsonb, places jsonb) RETURNS text[] LANGUAGE sql IMMUTABLE AS $$
    SELECT ARRAY(SELECT i ->> 0 FROM jsonb_path_query(coalesce(inputs, '[]') || coalesce(places, '[]'), '$[*].at') i)
$$;

-- What a flow is started with: what was given, and the defaults of the rest. Refuses a name that the workflow does not take, a missing one, and
-- a value of a wrong type.
CREATE OR REPLACE FUNCTION kr_completed(takes jsonb, given jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    IF given <> '{}' OR takes <> '{}' THEN
        PERFORM kr_refuse_all((
            SELECT jsonb_agg(jsonb_build_object('path', 'parameters.' || coalesce(t.key, g.key), 'message', CASE
                WHEN t.key IS NULL THEN 'the workflow takes no parameter of this name; it takes ' || coalesce((SELECT string_agg(k, ', ') FROM jsonb_object_keys(takes) k), 'none')
                ELSE 'is missing and has no default' END))
            FROM jsonb_each(takes) t FULL JOIN jsonb_each(given) g USING (key) WHERE t.key IS NULL OR (g.key IS NULL AND NOT t.value ? 'default')));
        PERFORM kr_refuse_all((
            SELECT jsonb_agg(m.odd) FROM jsonb_each(given) g CROSS JOIN LATERAL (SELECT kr_misfit(takes -> g.key -> 'schema', g.value, 'parameters.' || g.key) AS odd) m
            WHERE m.odd IS NOT NULL));
    END IF;
    RETURN coalesce((SELECT jsonb_object_agg(t.key, t.value -> 'default') FROM jsonb_each(takes) t WHERE t.value ? 'default'), '{}') || given;
END $$;

-- The parameters of a step, with those of the flow in the places that take them.
CREATE OR REPLACE FUNCTION kr_filled(own jsonb, places jsonb, given jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    bytes bigint;
    lacks text;
    parts jsonb;
BEGIN
    IF places IS NULL THEN
        RETURN own;
    END IF;
    SELECT sum(octet_length(p.part::text)), min(p.what) FILTER (WHERE p.part IS NULL) INTO bytes, lacks FROM (
        SELECT given -> p.param #> ARRAY(SELECT jsonb_array_elements_text(p.path)) AS part, p.param || kr_path(ARRAY(SELECT jsonb_array_elements_text(p.path))) AS what
        FROM jsonb_to_recordset(places) p (param text, path jsonb)) p;
    IF lacks IS NOT NULL THEN
        PERFORM kr_refuse('parameters.' || lacks, 'is missing');
    ELSIF bytes > 262144 THEN
        PERFORM kr_refuse('parameters', format('come to %s bytes in one step, the limit is 262144 (256 KiB): pass a key or a path instead', bytes));
    END IF;
    SELECT jsonb_agg(jsonb_build_object('at', p.at, 'part', given -> p.param #> ARRAY(SELECT jsonb_array_elements_text(p.path)))) INTO parts
        FROM jsonb_to_recordset(places) p (at jsonb, param text, path jsonb);
    RETURN kr_put(own, parts);
END $$;

-- What of *given* goes to a step: as far as it takes it, and its definition has no reference there. A step whose program no worker has announced
-- yet, or that takes any name, gets what no other step is known to take. A step that gets a variable of the environment gets only what its
-- definition says: else whoever starts a flow could have it sent elsewhere.
CREATE OR REPLACE FUNCTION kr_given_to(program text, own jsonb, inputs jsonb, places jsonb, given jsonb, known text[]) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    takes  text[] := (SELECT p.takes FROM kr_program p WHERE p.program = kr_given_to.program);
    filled text[] := kr_filled_names(inputs, places);
BEGIN
    IF jsonb_path_exists(inputs, '$[*].env') THEN
        RETURN '{}';
    ELSIF kr_given_to.program = 'WaitForSignal' THEN
        given := given - 'name';         -- of the signal: a name for other steps is not meant for it
    END IF;
    RETURN coalesce((SELECT jsonb_object_agg(g.key, g.value) FROM jsonb_each(given) g
        WHERE g.key <> ALL (filled) AND (own ? g.key OR g.key = ANY (takes) OR (takes IS NULL AND g.key <> ALL (known)))), '{}');
END $$;
