-- Start flows of one workflow, all or none, in the caller's transaction: their rows, edges and first gates. The orders are parallel arrays of
-- what was given and of options. Together, because a statement costs more to begin than the rows of one flow cost to write.
-- Refuses with SQLSTATEs of ours (detail: a JSON list of {path, message}): FL404 no such workflow, FL422 wrong content, FL409 an
-- idempotency key that came before with another content. duplicate: the same key and content made this flow before.
-- A gate that others may open before the caller commits (pause, program) is left for the engine to decide.
-- force_generic_plan: planned anew at each call, the statements cost three times as much.
CREATE OR REPLACE FUNCTION kr_register(workflow text, givens jsonb[], options jsonb[]) RETURNS TABLE (n integer, flow_id text, duplicate boolean)
LANGUAGE plpgsql SET search_path FROM CURRENT SET plan_cache_mode = force_generic_plan SET jit = off AS $$
#variable_conflict use_column
DECLARE
    now_       timestamptz := clock_timestamp();      -- one for all tasks of a flow: among them their depth decides who goes first
    what       record;
    twice      text;
    known      text[];
    graph      record;
    ids        text[];
    keys       text[];
    priorities numeric[];
    times      timestamptz[];
    new_       text[];
    earlier    kr_flow_stat;
BEGIN
    SELECT array_agg(flower_uuid7()), array_agg(o.wish ->> 'idempotencyKey'), array_agg(CASE WHEN o.wish ? 'priority' THEN kr_priority(o.wish) END),
            array_agg(CASE WHEN o.wish ? 'runAt' THEN kr_run_at(o.wish) END)
        INTO ids, keys, priorities, times FROM unnest(givens, options) o (given, wish) WHERE kr_is_in_order(o.given, o.wish);
    SELECT count(*) AS steps, count(d.name) AS named, bool_and(d.depends_on IS NULL) AS chained, bool_or(d.limits <> '{}') AS limited,
            (array_agg(d.task_priority ORDER BY d.task_seq))[1] AS priority
        INTO what FROM ms_task_definition d WHERE d.task_id = workflow;
    IF what.steps = 0 THEN
        RAISE EXCEPTION 'no tasks registered' USING ERRCODE = 'FL404', DETAIL = '[]';
    END IF;
    IF what.named > 1 THEN
        SELECT d.name INTO twice FROM ms_task_definition d WHERE d.task_id = workflow AND d.name IS NOT NULL GROUP BY d.name HAVING count(*) > 1;
        IF FOUND THEN
            PERFORM kr_refuse('steps', format('two steps have the name %s', quote_literal(twice)));
        END IF;
    END IF;
    IF '{}' <> ANY (givens) THEN
        known := kr_known_names(workflow, givens);
    END IF;

    WITH made AS (
        INSERT INTO kr_flow_stat (task_flow_id, task_id, task_priority, registered_ts, idempotency_key, request)
            SELECT o.id, workflow, coalesce(o.priority, what.priority), now_ + o.n * interval '1 microsecond', o.key,
                CASE WHEN o.key IS NOT NULL THEN jsonb_build_object('parameters', o.given, 'options', o.wish - 'idempotencyKey') END
            FROM unnest(ids, keys, priorities, givens, options) WITH ORDINALITY o (id, key, priority, given, wish, n)
            ORDER BY o.key                              -- two who send the same keys wait for each other in one order
            ON CONFLICT (task_id, idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING
            RETURNING task_flow_id)
    SELECT array_agg(m.task_flow_id::text) INTO new_ FROM made m;

    IF new_ IS NOT NULL THEN
        SELECT * INTO graph FROM kr_graph(workflow, what.steps::integer, what.chained);
        IF cardinality(graph.children) > 0 THEN
            INSERT INTO kr_task_edge (task_flow_id, parent_seq, task_exec_seq, by_hand)
                SELECT f, e.parent, e.child, false FROM unnest(new_) f CROSS JOIN unnest(graph.children, graph.parents) e (child, parent);
        END IF;
        WITH numbered AS (
            SELECT d.*, row_number() OVER (ORDER BY d.task_seq)::integer AS n FROM ms_task_definition d WHERE d.task_id = workflow),
        step AS MATERIALIZED (
            SELECT d.n, nullif(graph.firsts[d.n], 0)::numeric AS first, graph.depths[d.n] AS depth, d.task_seq, d.task_priority, d.program, d.limits,
                coalesce(d.name, left(d.program || coalesce('-' || nullif(row_number() OVER (PARTITION BY d.program, d.name IS NULL ORDER BY d.task_seq), 1), ''), 256)) AS name,
                kr_own_parameters(ARRAY[[d.param1_key, d.param1_value], [d.param2_key, d.param2_value], [d.param3_key, d.param3_value],
                    [d.param4_key, d.param4_value], [d.param5_key, d.param5_value]]::text[], d.parameters) AS own
            FROM numbered d)
        INSERT INTO kr_task_stat (task_flow_id, task_exec_seq, depends_task_exec_seq, task_id, task_seq, exec_status, task_priority, parameters, registered_ts,
                name, program, run_after, limits, rank, waits_seq, gate, waits_for)
            SELECT o.id, s.n, coalesce(s.first, -1), workflow, s.task_seq, 0, coalesce(o.priority, s.task_priority),
                (s.own || CASE WHEN o.given = '{}' THEN '{}' ELSE kr_given_to(s.program, s.own, o.given, known) END)::json, now_ + o.n * interval '1 microsecond',
                s.name, s.program, o.run_at, s.limits, -s.depth, s.first,
                nullif(nullif(g.gate, 'pause'), 'program'), CASE g.gate WHEN 'limit' THEN g.waits_for END
            FROM unnest(ids, priorities, times, givens) WITH ORDINALITY o (id, priority, run_at, given, n) CROSS JOIN step s
                CROSS JOIN LATERAL kr_gate(s.first, o.run_at, workflow, s.program, s.limits) g
            WHERE o.id = ANY (new_);
        IF what.limited THEN
            INSERT INTO kr_recount (kind, name)
                SELECT DISTINCT 'limit', l FROM ms_task_definition d CROSS JOIN unnest(d.limits) l WHERE d.task_id = workflow;
        END IF;
        PERFORM pg_notify('flower', '');
    END IF;

    FOR i IN 1 .. cardinality(ids) LOOP
        n := i;
        flow_id := ids[i];
        duplicate := flow_id = ANY (new_) IS NOT TRUE;
        IF duplicate THEN
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
    ELSIF options - '{priority,runAt,idempotencyKey}'::text[] <> '{}' THEN
        PERFORM kr_refuse(o, 'no such option; there are priority, runAt and idempotencyKey') FROM jsonb_object_keys(options - '{priority,runAt,idempotencyKey}'::text[]) o;
    ELSIF given <> '{}' AND octet_length(given::text) > 262144 THEN
        PERFORM kr_refuse('parameters', format('are %s bytes of JSON, the limit is 262144 (256 KiB): pass a key or a path instead', octet_length(given::text)));
    ELSIF options ? 'idempotencyKey' AND (jsonb_typeof(options -> 'idempotencyKey') <> 'string' OR octet_length(options ->> 'idempotencyKey') NOT BETWEEN 1 AND 512) THEN
        PERFORM kr_refuse('idempotencyKey', 'must be a text of 1 to 512 bytes');
    END IF;
    RETURN true;
END $$;

CREATE OR REPLACE FUNCTION kr_refuse(path text, message text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '%: %', path, message USING ERRCODE = 'FL422', DETAIL = jsonb_build_array(jsonb_build_object('path', path, 'message', message));
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
    IF jsonb_typeof(options -> 'runAt') <> 'string' OR options ->> 'runAt' !~ '^\d{4}-\d\d-\d\d[T ]\d\d:\d\d.*(Z|[+-]\d\d(:?\d\d)?)$' THEN
        PERFORM kr_refuse('runAt', 'must be a time with a zone, as in 2026-01-31T14:00:00+01:00');
    END IF;
    RETURN (options ->> 'runAt')::timestamptz;
EXCEPTION WHEN data_exception THEN
    PERFORM kr_refuse('runAt', 'must be a time with a zone, as in 2026-01-31T14:00:00+01:00');
END $$;

-- The names that some step of the workflow is known to take; refuses a given name that no step can take.
CREATE OR REPLACE FUNCTION kr_known_names(workflow text, givens jsonb[]) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
    known text[] := ARRAY(
        SELECT DISTINCT k.name FROM ms_task_definition d LEFT JOIN kr_program p ON p.program = d.program CROSS JOIN LATERAL (
            SELECT unnest(p.takes) UNION ALL SELECT jsonb_object_keys(d.parameters)
            UNION ALL SELECT unnest(ARRAY[d.param1_key, d.param2_key, d.param3_key, d.param4_key, d.param5_key]::text[])) k (name)
        WHERE d.task_id = workflow AND k.name IS NOT NULL);
    odd   jsonb;
BEGIN
    IF NOT EXISTS (SELECT FROM ms_task_definition d WHERE d.task_id = workflow AND NOT EXISTS (
            SELECT FROM kr_program p WHERE p.program = d.program AND p.takes IS NOT NULL)) THEN
        SELECT jsonb_agg(DISTINCT jsonb_build_object('path', 'parameters.' || k, 'message', 'no step takes a parameter of this name')) INTO odd
            FROM unnest(givens) g CROSS JOIN jsonb_object_keys(g) k WHERE k <> ALL (known);
    END IF;
    IF odd IS NOT NULL THEN
        RAISE EXCEPTION '%', (SELECT string_agg(o ->> 'path' || ': ' || (o ->> 'message'), '; ') FROM jsonb_array_elements(odd) o) USING ERRCODE = 'FL422', DETAIL = odd;
    END IF;
    RETURN known;
END $$;

-- The parameters that a step itself has: its pairs, then its own object.
CREATE OR REPLACE FUNCTION kr_own_parameters(pairs text[], own jsonb) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN coalesce((SELECT jsonb_object_agg(pairs[i][1], coalesce(pairs[i][2], '') ORDER BY i) FROM generate_series(1, 5) i WHERE pairs[i][1] <> ''), '{}') || coalesce(own, '{}');
END $$;

-- What of *given* goes to a step: as far as it takes it. A step whose program no worker has announced yet, or that takes any name, gets
-- what no other step is known to take.
CREATE OR REPLACE FUNCTION kr_given_to(program text, own jsonb, given jsonb, known text[]) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    takes  text[] := (SELECT p.takes FROM kr_program p WHERE p.program = kr_given_to.program);
BEGIN
    RETURN coalesce((SELECT jsonb_object_agg(g.key, g.value) FROM jsonb_each(given) g
        WHERE own ? g.key OR g.key = ANY (takes) OR (takes IS NULL AND g.key <> ALL (known))), '{}');
END $$;

-- The edges of a definition as parallel arrays of step numbers (1..n in the order of task_seq); and of each step its first parent (0: it has
-- none) and its depth, the longest path from a root. chained: each depends on the one before. Refuses an unknown dependency and a circle.
CREATE OR REPLACE FUNCTION kr_graph(workflow text, steps integer, chained boolean,
    OUT children integer[], OUT parents integer[], OUT firsts integer[], OUT depths integer[]) LANGUAGE plpgsql AS $$
DECLARE
    odd     record;
    changed boolean := true;
BEGIN
    IF chained THEN
        SELECT array_agg(n) FILTER (WHERE n > 1), array_agg(n - 1) FILTER (WHERE n > 1), array_agg(n - 1), array_agg(n - 1)
            INTO children, parents, firsts, depths FROM generate_series(1, steps) n;
        RETURN;
    END IF;
    WITH numbered AS MATERIALIZED (
        SELECT d.task_seq, d.depends_on, row_number() OVER (ORDER BY d.task_seq)::integer AS n FROM ms_task_definition d WHERE d.task_id = workflow),
    edge AS (
        SELECT n AS child, n - 1 AS parent FROM numbered WHERE depends_on IS NULL AND n > 1
        UNION
        SELECT c.n, p.n FROM numbered c CROSS JOIN unnest(c.depends_on) x LEFT JOIN numbered p ON p.task_seq = x)
    SELECT array_agg(e.child ORDER BY e.child, e.parent), array_agg(e.parent ORDER BY e.child, e.parent)
        INTO children, parents FROM edge e;
    IF array_position(parents, NULL) IS NOT NULL THEN
        SELECT d.task_seq, x INTO odd FROM ms_task_definition d CROSS JOIN unnest(d.depends_on) x
            WHERE d.task_id = workflow AND NOT EXISTS (SELECT FROM ms_task_definition p WHERE p.task_id = workflow AND p.task_seq = x) LIMIT 1;
        PERFORM kr_refuse(format('steps[%s].dependsOn', odd.task_seq), format('the workflow has no step %s', coalesce(odd.x::text, 'NULL')));
    END IF;
    firsts := array_fill(0, ARRAY[steps]);          -- not NULL: an array with NULLs is read from its beginning each time
    FOR i IN REVERSE coalesce(cardinality(children), 0) .. 1 LOOP
        firsts[children[i]] := parents[i];
    END LOOP;
    depths := array_fill(0, ARRAY[steps]);
    WHILE changed LOOP
        changed := false;
        FOR i IN 1 .. coalesce(cardinality(children), 0) LOOP
            IF depths[children[i]] <= depths[parents[i]] THEN
                depths[children[i]] := depths[parents[i]] + 1;
                changed := true;
                IF depths[children[i]] > steps THEN
                    PERFORM kr_refuse('steps', format('depend on each other in a circle, through step %s', (
                        SELECT d.task_seq FROM ms_task_definition d WHERE d.task_id = workflow ORDER BY d.task_seq OFFSET children[i] - 1 LIMIT 1)));
                END IF;
            END IF;
        END LOOP;
    END LOOP;
END $$;
