-- Make a flow of a workflow's definition: its rows, edges and first gates, all in the caller's transaction.
-- Refuses with SQLSTATEs of ours (detail: a JSON list of {path, message}): FL404 no such workflow, FL422 wrong content, FL409 an
-- idempotency key that came before with another content. duplicate: the same key and content made this flow before.
-- A gate that others may open before the caller commits (pause, program) is left for the engine to decide.
CREATE OR REPLACE FUNCTION kr_register(workflow text, given jsonb, options jsonb, OUT flow_id text, OUT duplicate boolean)
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
#variable_conflict use_column
DECLARE
    key       text;
    priority  numeric;
    run_at    timestamptz;
    request   jsonb;
    now_      timestamptz := clock_timestamp();      -- one for all tasks: within a flow their depth decides who goes first
    steps     integer;
    chained   boolean;
    twice     text;
    children  integer[];
    parents   integer[];
    depths    integer[];
    taken     text[] := '{}';
    known     kr_flow_stat;
BEGIN
    duplicate := false;
    PERFORM kr_check_order(workflow, given, options);
    key := options ->> 'idempotencyKey';
    priority := kr_priority(options);
    run_at := kr_run_at(options);
    request := jsonb_build_object('parameters', given, 'options', options - 'idempotencyKey');
    SELECT count(*), bool_and(d.depends_on IS NULL) INTO steps, chained FROM ms_task_definition d WHERE d.task_id = workflow;
    IF steps = 0 THEN
        RAISE EXCEPTION 'no tasks registered' USING ERRCODE = 'FL404', DETAIL = '[]';
    END IF;
    SELECT d.name INTO twice FROM ms_task_definition d WHERE d.task_id = workflow AND d.name IS NOT NULL GROUP BY d.name HAVING count(*) > 1;
    IF FOUND THEN
        PERFORM kr_refuse('steps', format('two steps have the name %s', quote_literal(twice)));
    END IF;
    IF given <> '{}' THEN
        taken := kr_taken_names(workflow, given);
    END IF;

    flow_id := flower_uuid7();
    INSERT INTO kr_flow_stat (task_flow_id, task_id, task_priority, registered_ts, idempotency_key, request)
        SELECT flow_id, workflow, coalesce(priority, d.task_priority), now_, key, CASE WHEN key IS NOT NULL THEN request END
        FROM ms_task_definition d WHERE d.task_id = workflow ORDER BY d.task_seq LIMIT 1
        ON CONFLICT (task_id, idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING;
    IF NOT FOUND THEN
        SELECT * INTO known FROM kr_flow_stat f WHERE f.task_id = workflow AND f.idempotency_key = key;
        IF known.request IS DISTINCT FROM request THEN
            RAISE EXCEPTION 'the idempotency key % was used before with other parameters or options', quote_literal(key) USING ERRCODE = 'FL409', DETAIL = '[]';
        END IF;
        flow_id := known.task_flow_id;
        duplicate := true;
        RETURN;
    END IF;

    IF chained THEN
        children := ARRAY(SELECT generate_series(2, steps));
        parents := ARRAY(SELECT generate_series(1, steps - 1));
        depths := ARRAY(SELECT generate_series(0, steps - 1));
    ELSE
        SELECT g.children, g.parents, g.depths INTO children, parents, depths FROM kr_graph(workflow) g;
    END IF;

    INSERT INTO kr_task_edge (task_flow_id, parent_seq, task_exec_seq, by_hand)
        SELECT flow_id, e.parent, e.child, false FROM unnest(children, parents) e (child, parent);
    INSERT INTO kr_task_stat (task_flow_id, task_exec_seq, depends_task_exec_seq, task_id, task_seq, exec_status, task_priority, parameters, registered_ts,
            name, program, run_after, limits, rank, waits_seq, gate, waits_for)
        SELECT flow_id, s.n, coalesce(e.parent, -1), workflow, s.task_seq, 0, coalesce(priority, s.task_priority),
            kr_step_parameters(s.pairs, s.parameters, s.program, given, taken)::json, now_,
            s.name, s.program, run_at, s.limits, -depths[s.n], e.parent, nullif(nullif(g.gate, 'pause'), 'program'), CASE g.gate WHEN 'limit' THEN g.waits_for END
        FROM (SELECT d.task_seq, d.task_priority, d.program, d.parameters, d.limits, row_number() OVER (ORDER BY d.task_seq)::integer AS n,
                  coalesce(d.name, left(d.program || coalesce('-' || nullif(row_number() OVER (PARTITION BY d.program, d.name IS NULL ORDER BY d.task_seq), 1), ''), 256)) AS name,
                  ARRAY[[d.param1_key, d.param1_value], [d.param2_key, d.param2_value], [d.param3_key, d.param3_value], [d.param4_key, d.param4_value], [d.param5_key, d.param5_value]]::text[] AS pairs
              FROM ms_task_definition d WHERE d.task_id = workflow) s
            LEFT JOIN (SELECT x.child, min(x.parent) AS parent FROM unnest(children, parents) x (child, parent) GROUP BY 1) e ON e.child = s.n
            CROSS JOIN LATERAL kr_gate(e.parent::numeric, run_at, workflow, s.program, s.limits) g;
    INSERT INTO kr_recount (kind, name)
        SELECT DISTINCT 'limit', l FROM ms_task_definition d CROSS JOIN unnest(d.limits) l WHERE d.task_id = workflow;
    PERFORM pg_notify('flower', '');
END $$;

-- Refuse an order whose form is wrong.
CREATE OR REPLACE FUNCTION kr_check_order(workflow text, given jsonb, options jsonb) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    unknown text := (SELECT o FROM jsonb_object_keys(CASE jsonb_typeof(options) WHEN 'object' THEN options ELSE '{}' END) o
                     WHERE o NOT IN ('priority', 'runAt', 'idempotencyKey') LIMIT 1);
BEGIN
    IF jsonb_typeof(given) IS DISTINCT FROM 'object' THEN
        PERFORM kr_refuse('parameters', 'must be a JSON object');
    ELSIF jsonb_typeof(options) IS DISTINCT FROM 'object' THEN
        PERFORM kr_refuse('options', 'must be a JSON object');
    ELSIF unknown IS NOT NULL THEN
        PERFORM kr_refuse(unknown, 'no such option; there are priority, runAt and idempotencyKey');
    ELSIF given <> '{}' AND octet_length(given::text) > 262144 THEN
        PERFORM kr_refuse('parameters', format('are %s bytes of JSON, the limit is 262144 (256 KiB): pass a key or a path instead', octet_length(given::text)));
    ELSIF options ? 'idempotencyKey' AND (jsonb_typeof(options -> 'idempotencyKey') <> 'string' OR octet_length(options ->> 'idempotencyKey') NOT BETWEEN 1 AND 512) THEN
        PERFORM kr_refuse('idempotencyKey', 'must be a text of 1 to 512 bytes');
    END IF;
END $$;

CREATE OR REPLACE FUNCTION kr_refuse(path text, message text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '%: %', path, message USING ERRCODE = 'FL422', DETAIL = jsonb_build_array(jsonb_build_object('path', path, 'message', message));
END $$;

CREATE OR REPLACE FUNCTION kr_priority(options jsonb) RETURNS numeric LANGUAGE plpgsql AS $$
BEGIN
    IF options -> 'priority' IS NULL THEN
        RETURN NULL;
    ELSIF jsonb_typeof(options -> 'priority') <> 'number' OR (options ->> 'priority')::numeric NOT BETWEEN -20 AND 19 OR (options ->> 'priority')::numeric % 1 <> 0 THEN
        PERFORM kr_refuse('priority', 'must be a whole number from -20 (first) to 19');
    END IF;
    RETURN (options ->> 'priority')::numeric;
END $$;

CREATE OR REPLACE FUNCTION kr_run_at(options jsonb) RETURNS timestamptz LANGUAGE plpgsql AS $$
BEGIN
    IF options -> 'runAt' IS NULL THEN
        RETURN NULL;
    ELSIF jsonb_typeof(options -> 'runAt') <> 'string' OR options ->> 'runAt' !~ '^\d{4}-\d\d-\d\d[T ]\d\d:\d\d.*(Z|[+-]\d\d(:?\d\d)?)$' THEN
        PERFORM kr_refuse('runAt', 'must be a time with a zone, as in 2026-01-31T14:00:00+01:00');
    END IF;
    RETURN (options ->> 'runAt')::timestamptz;
EXCEPTION WHEN data_exception THEN
    PERFORM kr_refuse('runAt', 'must be a time with a zone, as in 2026-01-31T14:00:00+01:00');
END $$;

-- The names in *given* that some step is known to take; refuses a name that no step can take.
CREATE OR REPLACE FUNCTION kr_taken_names(workflow text, given jsonb) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
    taken text[];
    odd   jsonb;
    open_ boolean := EXISTS (SELECT FROM ms_task_definition d WHERE d.task_id = workflow AND NOT EXISTS (
        SELECT FROM kr_program p WHERE p.program = d.program AND p.takes IS NOT NULL));
BEGIN
    taken := ARRAY(
        SELECT k FROM jsonb_object_keys(given) k WHERE EXISTS (
            SELECT FROM ms_task_definition d LEFT JOIN kr_program p ON p.program = d.program WHERE d.task_id = workflow AND (
                k = ANY (p.takes) OR d.parameters ? k OR k = ANY (ARRAY[d.param1_key, d.param2_key, d.param3_key, d.param4_key, d.param5_key]::text[]))));
    SELECT jsonb_agg(jsonb_build_object('path', 'parameters.' || k, 'message', 'no step takes a parameter of this name')) INTO odd
        FROM jsonb_object_keys(given) k WHERE k <> ALL (taken) AND NOT open_;
    IF odd IS NOT NULL THEN
        RAISE EXCEPTION '%', (SELECT string_agg(o ->> 'path' || ': ' || (o ->> 'message'), '; ') FROM jsonb_array_elements(odd) o) USING ERRCODE = 'FL422', DETAIL = odd;
    END IF;
    RETURN taken;
END $$;

-- The parameters of one step: its pairs, its own object, then what was given at registration, as far as the step takes it. A step whose
-- program no worker has announced yet, or that takes any name, gets what no other step is known to take.
CREATE OR REPLACE FUNCTION kr_step_parameters(pairs text[], own jsonb, program text, given jsonb, taken text[]) RETURNS jsonb LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
    mine jsonb := coalesce((SELECT jsonb_object_agg(pairs[i][1], coalesce(pairs[i][2], '') ORDER BY i) FROM generate_series(1, 5) i WHERE pairs[i][1] <> ''), '{}') || coalesce(own, '{}');
    takes text[];
    closed boolean;
BEGIN
    IF given = '{}' THEN
        RETURN mine;
    END IF;
    SELECT p.takes, p.takes IS NOT NULL INTO takes, closed FROM kr_program p WHERE p.program = kr_step_parameters.program;
    RETURN mine || coalesce((SELECT jsonb_object_agg(g.key, g.value) FROM jsonb_each(given) g
        WHERE mine ? g.key OR g.key = ANY (takes) OR (closed IS NOT TRUE AND g.key <> ALL (taken))), '{}');
END $$;

-- The edges of a definition as parallel arrays of step numbers (1..n in the order of task_seq), and the depth of each step: its longest
-- path from a root. Refuses an unknown dependency and a circle.
CREATE OR REPLACE FUNCTION kr_graph(workflow text, OUT children integer[], OUT parents integer[], OUT depths integer[]) LANGUAGE plpgsql AS $$
DECLARE
    steps   integer;
    odd     record;
    changed boolean := true;
    passes  integer := 0;
BEGIN
    SELECT d.task_seq, x INTO odd FROM ms_task_definition d CROSS JOIN unnest(d.depends_on) x
        WHERE d.task_id = workflow AND NOT EXISTS (SELECT FROM ms_task_definition p WHERE p.task_id = workflow AND p.task_seq = x) LIMIT 1;
    IF FOUND THEN
        PERFORM kr_refuse(format('steps[%s].dependsOn', odd.task_seq), format('the workflow has no step %s', coalesce(odd.x::text, 'NULL')));
    END IF;
    WITH numbered AS MATERIALIZED (
        SELECT d.task_seq, d.depends_on, row_number() OVER (ORDER BY d.task_seq)::integer AS n FROM ms_task_definition d WHERE d.task_id = workflow),
    edge AS (
        SELECT n AS child, n - 1 AS parent FROM numbered WHERE depends_on IS NULL AND n > 1
        UNION
        SELECT c.n, p.n FROM numbered c CROSS JOIN unnest(c.depends_on) x JOIN numbered p ON p.task_seq = x)
    SELECT array_agg(e.child ORDER BY e.child, e.parent), array_agg(e.parent ORDER BY e.child, e.parent), (SELECT count(*) FROM numbered) INTO children, parents, steps FROM edge e;
    depths := array_fill(0, ARRAY[steps]);
    WHILE changed LOOP
        changed := false;
        passes := passes + 1;
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
