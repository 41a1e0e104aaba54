-- Which flows a page of the list has, the newest first, and how far it has looked. Every argument but the last three may be NULL: any.
-- A page looks closely at *most* flows, and after *patience* at no more: a filter that nothing fits must not read all of history. The last row
-- may say where the search stopped (is_found false); the next page goes on behind it (at_ts, at_flow).
-- Flows whose id *words* are, or begin, come before all others (named, at_named), from the primary key, however old they are.
-- Without sequential scans, bitmaps and sorts: planned for any arguments, on tables of any size, what is left is the index in its order.
CREATE OR REPLACE FUNCTION kr_list(of_status text, of_outcome text, of_workflow text, words text, since timestamptz, until timestamptz,
    at_named boolean, at_ts timestamptz, at_flow text, how_many integer, most integer, patience interval)
RETURNS TABLE (flow text, registered_ts timestamptz, named boolean, is_found boolean) LANGUAGE plpgsql STABLE ROWS 50
SET search_path FROM CURRENT SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off SET jit = off AS $$
#variable_conflict use_column
DECLARE
    late     timestamptz := clock_timestamp() + patience;
    by_name  text[] := '{}';
    needles  text[];
    found_   integer := 0;
BEGIN
    until := coalesce(until, 'infinity');
    IF words IS NOT NULL THEN
        by_name := kr_named(words);
        needles := ARRAY[lower(words), lower(substr(to_json(words)::text, 2, length(to_json(words)::text) - 2))];      -- the second as JSON writes it
        IF needles[1] = needles[2] THEN
            needles := needles[: 1];
        END IF;
        IF at_ts IS NULL OR at_named THEN
            RETURN QUERY SELECT s.flow, s.registered_ts, true, true FROM kr_seek(by_name, of_status, of_outcome, of_workflow, NULL, '{}', since,
                least(at_ts, until), CASE WHEN at_ts < until THEN at_flow ELSE '' END, how_many, 1 + cardinality(by_name), 'infinity') s;
            GET DIAGNOSTICS found_ = ROW_COUNT;
            at_ts := NULL;
        END IF;
    END IF;
    IF found_ < how_many THEN
        RETURN QUERY SELECT s.flow, s.registered_ts, false, s.is_found FROM kr_seek(kr_few(of_status, of_outcome, most), of_status, of_outcome, of_workflow, needles, by_name, since,
            least(at_ts, until), CASE WHEN at_ts < until THEN at_flow ELSE '' END, how_many - found_, most, late) s;
    END IF;
END $$;

-- The flows that fit, from *before* on backwards: of *few*, of one workflow, or of all; without those in *without*.
CREATE OR REPLACE FUNCTION kr_seek(few text[], of_status text, of_outcome text, of_workflow text, needles text[], without text[], since timestamptz,
    before_ts timestamptz, before_flow text, how_many integer, most integer, late timestamptz)
RETURNS TABLE (flow text, registered_ts timestamptz, is_found boolean) LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
DECLARE
    few_times timestamptz[];
    suspended boolean := coalesce(of_outcome IN ('failed', 'approval', 'poison', 'invalid'), of_status = 'suspend', false);      -- those have an index of their own
    ids       text[];
    times     timestamptz[];
    -- doubled each time: a flow may have ten thousand tasks, and the time is looked at only between two lots
    size      integer := CASE WHEN few IS NULL THEN 8 ELSE 32 END;
    looked    integer := 0;
    found_    integer := 0;
    fits      integer;
BEGIN
    since := coalesce(since, '-infinity');
    IF few IS NOT NULL THEN
        SELECT array_agg(c.task_flow_id::text), array_agg(c.registered_ts) INTO few, few_times FROM (
            SELECT f.task_flow_id, f.registered_ts FROM unnest(few) i (id) CROSS JOIN LATERAL (         -- by its key, each
                SELECT f.task_flow_id, f.registered_ts FROM kr_flow_stat f WHERE f.task_flow_id = i.id AND (of_workflow IS NULL OR f.task_id = of_workflow) OFFSET 0) f
            WHERE (f.registered_ts, f.task_flow_id) < (before_ts, before_flow) AND f.registered_ts >= since
            ORDER BY f.registered_ts DESC, f.task_flow_id DESC LIMIT most) c;
        few := coalesce(few, '{}');
    END IF;
    LOOP
        size := least(size * 2, 1000, most - looked);
        IF few IS NOT NULL THEN
            ids := few[looked + 1 : looked + size];
            times := few_times[looked + 1 : looked + size];
        ELSIF of_workflow IS NOT NULL THEN
            SELECT array_agg(c.task_flow_id::text), array_agg(c.registered_ts) INTO ids, times FROM (
                SELECT f.task_flow_id, f.registered_ts FROM kr_flow_stat f
                WHERE f.task_id = of_workflow AND (f.registered_ts, f.task_flow_id) < (before_ts, before_flow) AND f.registered_ts >= since
                ORDER BY f.registered_ts DESC, f.task_flow_id DESC LIMIT size) c;
        ELSE
            SELECT array_agg(c.task_flow_id::text), array_agg(c.registered_ts) INTO ids, times FROM (
                SELECT f.task_flow_id, f.registered_ts FROM kr_flow_stat f
                WHERE (f.registered_ts, f.task_flow_id) < (before_ts, before_flow) AND f.registered_ts >= since
                ORDER BY f.registered_ts DESC, f.task_flow_id DESC LIMIT size) c;
        END IF;
        -- Scalar subqueries: of EXISTS the planner may make a hash of all tasks. In the order of the ids, so that it ends when enough is found.
        RETURN QUERY
            SELECT i.id, times[i.n], true FROM unnest(ids) WITH ORDINALITY i (id, n)
            WHERE i.id <> ALL (without)
                AND (NOT suspended OR (SELECT true FROM kr_task_stat t WHERE t.task_flow_id = i.id AND t.exec_status = 2 AND (of_outcome IS NULL OR t.outcome = of_outcome) LIMIT 1))
                AND (suspended OR of_outcome IS NULL OR (SELECT true FROM kr_task_stat t WHERE t.task_flow_id = i.id AND t.outcome = of_outcome LIMIT 1))
                AND (of_status IS NULL OR (SELECT v.status FROM flower_flows v WHERE v.flow_id = i.id) = of_status)
                AND (needles IS NULL OR strpos(lower(i.id), needles[1]) > 0
                    OR (SELECT true FROM kr_flow_stat f WHERE f.task_flow_id = i.id AND kr_says(f.parameters::text, needles))
                    OR (SELECT true FROM kr_task_stat t WHERE t.task_flow_id = i.id AND (kr_says(t.parameters::text, needles) OR kr_says(t.error::text, needles)) LIMIT 1))
            ORDER BY i.n LIMIT how_many - found_;
        GET DIAGNOSTICS fits = ROW_COUNT;
        found_ := found_ + fits;
        looked := looked + size;
        IF found_ >= how_many OR coalesce(cardinality(ids), 0) < size THEN
            RETURN;
        ELSIF looked >= most OR clock_timestamp() > late THEN
            RETURN QUERY SELECT ids[size], times[size], false;
            RETURN;
        END IF;
        before_ts := times[size];
        before_flow := ids[size];
    END LOOP;
END $$;

-- Candidates from the indexes of tasks in a state; NULL: there is none for that filter, or more than *most* tasks are in it. A flow that waits has
-- a task at another gate than dependencies, or nothing would ever release it; only where a hand has taken a parent away, or written a status that
-- means nothing, it has none, and is not found here.
CREATE OR REPLACE FUNCTION kr_few(of_status text, of_outcome text, most integer) RETURNS text[] LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
DECLARE
    few   text[];
    tasks integer;
BEGIN
    IF of_outcome IN ('failed', 'approval', 'poison', 'invalid') OR of_status = 'suspend' THEN
        SELECT array_agg(DISTINCT q.task_flow_id::text) FILTER (WHERE of_outcome IS NULL OR q.outcome = of_outcome), count(*) INTO few, tasks FROM (
            SELECT t.task_flow_id, t.outcome FROM kr_task_stat t WHERE t.exec_status = 2 ORDER BY t.task_flow_id LIMIT most + 1) q;
    ELSIF of_status = 'running' THEN
        SELECT array_agg(DISTINCT q.task_flow_id::text), count(*) INTO few, tasks FROM (
            SELECT t.task_flow_id FROM kr_task_stat t WHERE t.exec_status = 1 ORDER BY t.worker_id LIMIT most + 1) q;
    ELSIF of_status = 'wait' THEN
        -- each in the order of its index, from the end where few entries are dead
        SELECT array_agg(DISTINCT q.task_flow_id::text), count(*) INTO few, tasks FROM (
            (SELECT t.task_flow_id FROM kr_task_stat t WHERE t.exec_status = 0 AND t.gate = 'slot' AND t.crashes < 2
                ORDER BY t.run_order DESC, t.rank DESC, t.task_exec_seq DESC, t.task_flow_id DESC LIMIT most + 1)
            UNION ALL (SELECT t.task_flow_id FROM kr_task_stat t WHERE t.exec_status = 0 AND t.gate = 'slot' AND t.crashes >= 2
                ORDER BY t.run_order DESC, t.task_exec_seq DESC, t.task_flow_id DESC LIMIT most + 1)
            UNION ALL (SELECT t.task_flow_id FROM kr_task_stat t WHERE t.exec_status = 0 AND t.gate IN ('pause', 'program')
                ORDER BY t.gate DESC, t.waits_for DESC, t.run_order DESC, t.rank DESC, t.task_exec_seq DESC, t.task_flow_id DESC LIMIT most + 1)
            UNION ALL (SELECT t.task_flow_id FROM kr_task_stat t WHERE t.exec_status = 0 AND t.gate = 'limit'
                ORDER BY t.waits_for COLLATE "C" DESC, kr_part(t.limits, t.waits_for) DESC, t.run_order DESC, t.rank DESC, t.task_exec_seq DESC, t.task_flow_id DESC LIMIT most + 1)
            UNION ALL (SELECT t.task_flow_id FROM kr_task_stat t WHERE t.exec_status = 0 AND t.gate = 'signal'
                ORDER BY t.waits_for DESC, t.waits_since DESC, t.task_flow_id DESC, t.task_exec_seq DESC LIMIT most + 1)
            UNION ALL (SELECT t.task_flow_id FROM kr_task_stat t WHERE t.exec_status = 0 AND t.gate = 'time' ORDER BY t.run_after DESC LIMIT most + 1)
            UNION ALL (SELECT t.task_flow_id FROM kr_task_stat t WHERE t.exec_status = 0 AND t.gate IS NULL
                ORDER BY t.run_order DESC, t.task_exec_seq DESC, t.task_flow_id DESC LIMIT most + 1)
            LIMIT most + 1) q;
    END IF;
    RETURN CASE WHEN tasks <= most THEN coalesce(few, '{}') END;
END $$;

-- The flows whose id *words* are or begin; of more than fifty only the one that is called exactly so. In other orders than by bytes, too, the ids
-- that begin alike follow the shortest of them.
CREATE OR REPLACE FUNCTION kr_named(words text) RETURNS text[] LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
DECLARE
    found_ text[] := ARRAY(SELECT n.task_flow_id FROM (SELECT f.task_flow_id FROM kr_flow_stat f WHERE f.task_flow_id >= words ORDER BY f.task_flow_id LIMIT 51) n
        WHERE starts_with(n.task_flow_id, words));
BEGIN
    IF cardinality(found_) > 50 THEN
        RETURN ARRAY(SELECT f.task_flow_id FROM kr_flow_stat f WHERE f.task_flow_id = words);
    ELSIF found_ = '{}' AND words <> lower(words) THEN
        RETURN kr_named(lower(words));
    END IF;
    RETURN found_;
END $$;

-- Whether JSON that has one of *needles* has it where it may be shown (flower/core/masks.py): else a secret could be guessed letter by letter. In
-- doubt it has not.
CREATE OR REPLACE FUNCTION kr_shows(said text, needles text[]) RETURNS boolean LANGUAGE plpgsql IMMUTABLE STRICT COST 10000 AS $$
DECLARE
    secret CONSTANT text := '(password|secret|token|apikey|authorization)';
BEGIN
    IF translate(lower(said), '_-', '') !~ (secret || '|\\u') THEN
        RETURN true;
    END IF;
    RETURN EXISTS (
        WITH RECURSIVE part (key, value) AS (
            SELECT '', said::jsonb
            UNION ALL
            SELECT e.key, CASE WHEN translate(lower(e.key), '_-', '') !~ (secret || '$') THEN e.value END FROM part p CROSS JOIN LATERAL (
                SELECT o.key, o.value FROM jsonb_each(CASE jsonb_typeof(p.value) WHEN 'object' THEN p.value ELSE '{}' END) o
                UNION ALL SELECT '', a FROM jsonb_array_elements(CASE jsonb_typeof(p.value) WHEN 'array' THEN p.value ELSE '[]' END) a) e)
        SELECT FROM part p CROSS JOIN unnest(needles) n
        WHERE strpos(lower(p.key), n) > 0 OR (jsonb_typeof(p.value) NOT IN ('object', 'array') AND strpos(lower(p.value::text), n) > 0
            -- a text that is itself JSON
            AND NOT (ltrim(p.value #>> '{}') ~ '^[[{]' AND translate(lower(p.value::text), '_-', '') ~ secret)));
EXCEPTION WHEN data_exception OR program_limit_exceeded THEN            -- JSON that jsonb cannot take
    RETURN false;
END $$;

-- Whether one of *needles* stands in JSON that people may see, in capitals or not.
CREATE OR REPLACE FUNCTION kr_says(said text, needles text[]) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT (strpos(lower(said), needles[1]) > 0 OR (needles[2] IS NOT NULL AND strpos(lower(said), needles[2]) > 0)) AND kr_shows(said, needles)
$$;
