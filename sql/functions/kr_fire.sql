-- Schedules whose time has come. Which times those are is worked out in Python (flower/core/schedule.py); here flows are made of them, each at most once:
-- under a lock of the schedule's row that nobody waits for, in one transaction with its advance. Any worker may do all this at any time.

-- Take what a worker has worked out of schedules: names and versions (the row's xmin: what has changed meanwhile is left for the next look), nexts, errors
-- (where it must stop itself), passed (the latest time that makes no flow, NULL: none) and why; and the times that make a flow, due_names and due_times.
-- Answers what became of it: event (fired, passed over, stopped), schedule, nominal time, flow, message; a row with the event taken for each schedule.
CREATE OR REPLACE FUNCTION kr_fire(names text[], versions text[], nexts timestamptz[], errors text[], passed timestamptz[], whys text[], due_names text[], due_times timestamptz[])
RETURNS TABLE (event text, schedule text, nominal timestamptz, flow_id text, message text)
LANGUAGE plpgsql SET search_path FROM CURRENT SET jit = off AS $$
#variable_conflict use_column
DECLARE
    locked text[] := ARRAY(
        SELECT l.name FROM (
            SELECT s.name FROM unnest(names, versions) n (name, version) JOIN ms_schedule s ON s.name = n.name
            WHERE s.xmin::text = n.version AND NOT s.paused AND s.error IS NULL FOR UPDATE OF s SKIP LOCKED) l);
BEGIN
    BEGIN
        RETURN QUERY SELECT f.* FROM kr_fire_locked(locked, names, nexts, errors, passed, whys, due_names, due_times) f;
        RETURN;
    EXCEPTION WHEN OTHERS THEN         -- each alone, then
        NULL;
    END;
    FOR i IN 1 .. cardinality(locked) LOOP
        BEGIN
            RETURN QUERY SELECT f.* FROM kr_fire_locked(locked[i:i], names, nexts, errors, passed, whys, due_names, due_times) f;
        EXCEPTION WHEN OTHERS THEN
            RETURN QUERY SELECT f.* FROM kr_stop_schedule(locked[i], SQLSTATE, SQLERRM) f;
        END;
    END LOOP;
END $$;

CREATE OR REPLACE FUNCTION kr_fire_locked(locked text[], names text[], nexts timestamptz[], errors text[], passed timestamptz[], whys text[], due_names text[], due_times timestamptz[])
RETURNS TABLE (event text, schedule text, nominal timestamptz, flow_id text, message text) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    now_ timestamptz := clock_timestamp();
BEGIN
    UPDATE ms_schedule s SET next_ts = n.next, error = n.error, passed_ts = coalesce(n.passed, s.passed_ts), passed_why = CASE WHEN n.passed IS NULL THEN s.passed_why ELSE n.why END,
            last_ts = coalesce((SELECT max(d.at) FROM unnest(due_names, due_times) d (name, at) WHERE d.name = s.name), s.last_ts), looked_ts = now_
        FROM unnest(names, nexts, errors, passed, whys) n (name, next, error, passed, why) WHERE s.name = n.name AND n.name = ANY (locked);
    INSERT INTO kr_schedule_turn (schedule, scheduled_ts)
        SELECT d.name, d.at FROM unnest(due_names, due_times) d (name, at)
        WHERE d.name = ANY (locked) AND NOT EXISTS (SELECT FROM kr_flow_stat f WHERE f.schedule = d.name AND f.scheduled_ts = d.at)
            AND NOT EXISTS (SELECT FROM kr_schedule_turn t WHERE t.schedule = d.name AND t.scheduled_ts = d.at)
        ORDER BY d.at;
    RETURN QUERY SELECT 'taken', l, NULL::timestamptz, NULL, NULL FROM unnest(locked) l;
    RETURN QUERY SELECT 'passed over', n.name, n.passed, NULL, n.why FROM unnest(names, passed, whys) n (name, passed, why) WHERE n.passed IS NOT NULL AND n.name = ANY (locked);
    RETURN QUERY SELECT 'stopped', n.name, NULL::timestamptz, NULL, n.error FROM unnest(names, errors) n (name, error) WHERE n.error IS NOT NULL AND n.name = ANY (locked);
    RETURN QUERY SELECT t.* FROM kr_take_turns(ARRAY(SELECT DISTINCT d FROM unnest(due_names) d WHERE d = ANY (locked))) t;
END $$;

-- Let times go on that wait for a flow of their schedule, where that is over. Answers as kr_fire does.
CREATE OR REPLACE FUNCTION kr_advance_schedules() RETURNS TABLE (event text, schedule text, nominal timestamptz, flow_id text, message text)
LANGUAGE plpgsql SET search_path FROM CURRENT SET jit = off AS $$
#variable_conflict use_column
DECLARE
    locked text[];
BEGIN
    IF NOT EXISTS (SELECT FROM kr_schedule_turn t WHERE t.task_flow_id IS NULL) THEN
        RETURN;
    END IF;
    locked := ARRAY(
        SELECT l.name FROM (
            SELECT s.name FROM ms_schedule s WHERE NOT s.paused AND s.error IS NULL AND s.name IN (SELECT w.schedule FROM kr_schedule_turn w WHERE w.task_flow_id IS NULL)
                AND NOT EXISTS (SELECT FROM kr_schedule_turn b WHERE b.schedule = s.name AND kr_in_progress(b.task_flow_id, s.on_failure = 'hold'))
            FOR UPDATE OF s SKIP LOCKED) l);
    BEGIN
        RETURN QUERY SELECT t.* FROM kr_take_turns(locked) t;
        RETURN;
    EXCEPTION WHEN OTHERS THEN         -- each alone, then
        NULL;
    END;
    FOR i IN 1 .. cardinality(locked) LOOP
        BEGIN
            RETURN QUERY SELECT t.* FROM kr_take_turns(locked[i:i]) t;
        EXCEPTION WHEN OTHERS THEN
            RETURN QUERY SELECT s.* FROM kr_stop_schedule(locked[i], SQLSTATE, SQLERRM) s;
        END;
    END LOOP;
END $$;

-- Stop a schedule, whose row is locked, with the words of what refuses it; what is to pass by itself is tried again by the next look, and so is one whose
-- row takes not even that.
CREATE OR REPLACE FUNCTION kr_stop_schedule(stopped text, state text, why text) RETURNS TABLE (event text, schedule text, nominal timestamptz, flow_id text, message text) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    told text := left(format('a trigger or a constraint of this database refuses it: %s; correct that, and unpause the schedule', why), 2000);
BEGIN
    IF NOT kr_is_passing(state) THEN
        UPDATE ms_schedule s SET error = told, looked_ts = clock_timestamp() WHERE s.name = stopped;
        RETURN QUERY SELECT 'stopped', stopped, NULL::timestamptz, NULL, told WHERE FOUND;
    END IF;
EXCEPTION WHEN OTHERS THEN
    NULL;
END $$;

-- Decide for schedules, whose rows are locked, what becomes of their times that wait: each makes a flow, is passed over, or goes on waiting.
CREATE OR REPLACE FUNCTION kr_take_turns(names text[]) RETURNS TABLE (event text, schedule text, nominal timestamptz, flow_id text, message text) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    busy   text[];
    former text;
BEGIN
    IF names = '{}' THEN
        RETURN;
    END IF;
    WITH over_ AS (
        DELETE FROM kr_schedule_turn t USING ms_schedule s WHERE t.schedule = ANY (names) AND s.name = t.schedule AND t.task_flow_id IS NOT NULL AND NOT kr_in_progress(t.task_flow_id, s.on_failure = 'hold')
        RETURNING t.task_flow_id)
    DELETE FROM kr_waiter w WHERE w.waiter_id = kr_scheduler() AND w.task_flow_id IN (SELECT o.task_flow_id FROM over_ o);
    -- cancel: the latest of the times takes the place of all others
    FOR former IN
            SELECT t.task_flow_id FROM kr_schedule_turn t JOIN ms_schedule s ON s.name = t.schedule
            WHERE t.schedule = ANY (names) AND s.overlap = 'cancel' AND t.task_flow_id IS NOT NULL ORDER BY t.id LOOP
        PERFORM kr_cancel_former(former);
        DELETE FROM kr_schedule_turn t WHERE t.task_flow_id = former;
    END LOOP;
    busy := ARRAY(SELECT DISTINCT t.schedule FROM kr_schedule_turn t WHERE t.schedule = ANY (names) AND t.task_flow_id IS NOT NULL);
    RETURN QUERY
        WITH waiting AS (
            SELECT t.id, t.schedule, s.overlap, row_number() OVER (PARTITION BY t.schedule ORDER BY t.scheduled_ts) AS place, count(*) OVER (PARTITION BY t.schedule) AS many
            FROM kr_schedule_turn t JOIN ms_schedule s ON s.name = t.schedule WHERE t.schedule = ANY (names) AND t.task_flow_id IS NULL),
        gone AS (
            DELETE FROM kr_schedule_turn t USING waiting w
            WHERE t.id = w.id AND CASE w.overlap WHEN 'skip' THEN w.place > 1 OR w.schedule = ANY (busy) WHEN 'cancel' THEN w.place < w.many ELSE false END
            RETURNING t.schedule, t.scheduled_ts, CASE w.overlap WHEN 'skip' THEN 'the flow before it was still in progress (overlap skip)' ELSE 'a later one took its place (overlap cancel)' END AS why),
        noted AS (
            UPDATE ms_schedule s SET passed_ts = g.at, passed_why = g.why, looked_ts = clock_timestamp()
            FROM (SELECT g.schedule, max(g.scheduled_ts) AS at, min(g.why) AS why FROM gone g GROUP BY 1) g WHERE s.name = g.schedule)
        SELECT 'passed over', g.schedule, g.scheduled_ts, NULL, g.why FROM gone g;
    RETURN QUERY SELECT m.* FROM kr_make_flows(ARRAY(
        SELECT DISTINCT ON (t.schedule) t.id FROM kr_schedule_turn t WHERE t.schedule = ANY (names) AND t.schedule <> ALL (busy) AND t.task_flow_id IS NULL ORDER BY t.schedule, t.scheduled_ts)) m;
    -- whoever waits is rung when the flow before him has nothing left to do
    INSERT INTO kr_waiter (task_flow_id, waiter_id)
        SELECT DISTINCT b.task_flow_id, kr_scheduler() FROM kr_schedule_turn b
        WHERE b.schedule = ANY (names) AND b.task_flow_id IS NOT NULL AND EXISTS (SELECT FROM kr_schedule_turn w WHERE w.schedule = b.schedule AND w.task_flow_id IS NULL)
        ON CONFLICT DO NOTHING;
END $$;

-- Make the flows of these turns, those of one workflow together. One that cannot be registered stops its schedule, with a message, and no other; what
-- is to pass by itself goes on waiting for its turn, and is tried again by a look of five seconds later at most (kr_probe).
CREATE OR REPLACE FUNCTION kr_make_flows(turns bigint[]) RETURNS TABLE (event text, schedule text, nominal timestamptz, flow_id text, message text) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    why   text;
    state text;
    told  text;
BEGIN
    IF turns = '{}' THEN
        RETURN;
    END IF;
    BEGIN
        RETURN QUERY SELECT m.* FROM kr_register_turns(turns) m;
        RETURN;
    EXCEPTION WHEN OTHERS THEN         -- each alone, then
        NULL;
    END;
    FOR i IN 1 .. cardinality(turns) LOOP
        BEGIN
            RETURN QUERY SELECT m.* FROM kr_register_turns(turns[i:i]) m;
        EXCEPTION WHEN OTHERS THEN
            state := SQLSTATE;
            why := SQLERRM;
            CONTINUE WHEN kr_is_passing(state);
            -- its time comes again when somebody has put it right
            told := CASE state WHEN 'FL404' THEN 'the workflow is gone: define it again, or name another, and unpause the schedule' ELSE why END;
            RETURN QUERY
                WITH stopped AS (
                    UPDATE ms_schedule s SET error = left(told, 2000), next_ts = t.scheduled_ts, looked_ts = clock_timestamp()
                    FROM kr_schedule_turn t WHERE t.id = turns[i] AND s.name = t.schedule RETURNING s.name, t.scheduled_ts),
                gone AS (DELETE FROM kr_schedule_turn t USING stopped s WHERE t.schedule = s.name AND t.task_flow_id IS NULL)
                SELECT 'stopped', s.name, s.scheduled_ts, NULL, told FROM stopped s;
        END;
    END LOOP;
END $$;

CREATE OR REPLACE FUNCTION kr_register_turns(turns bigint[]) RETURNS TABLE (event text, schedule text, nominal timestamptz, flow_id text, message text) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    w record;
BEGIN
    FOR w IN
            SELECT s.task_id, array_agg(t.id ORDER BY t.id) AS ids, array_agg(s.name ORDER BY t.id) AS names, array_agg(t.scheduled_ts ORDER BY t.id) AS times,
                array_agg(s.parameters ORDER BY t.id) AS givens, array_agg(jsonb_strip_nulls(jsonb_build_object('priority', s.priority)) ORDER BY t.id) AS options
            FROM kr_schedule_turn t JOIN ms_schedule s ON s.name = t.schedule WHERE t.id = ANY (turns) GROUP BY 1 ORDER BY 1 LOOP
        RETURN QUERY
            WITH made AS MATERIALIZED (
                SELECT w.ids[r.n] AS id, w.names[r.n] AS name, w.times[r.n] AS at, r.flow_id FROM kr_register(w.task_id, w.givens, w.options, w.names, w.times) r),
            noted AS (
                UPDATE kr_schedule_turn t SET task_flow_id = m.flow_id FROM made m WHERE t.id = m.id)
            SELECT 'fired', m.name, m.at, m.flow_id, NULL FROM made m;
    END LOOP;
END $$;

-- Whether it is right to try again: what failed was no fault of the schedule's.
CREATE OR REPLACE FUNCTION kr_is_passing(state text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT left(state, 2) IN ('08', '40', '53', '55', '57', '58', 'XX') OR state IN ('25006', '25P03', '25P04')
$$;

-- Who waits in kr_waiter for the flows of schedules.
CREATE OR REPLACE FUNCTION kr_scheduler() RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
    SELECT '00000000-0000-0000-0000-5c4ed01e0000'::uuid
$$;

-- Whether a flow is neither over nor stalled; or, to be held by failures, not over.
CREATE OR REPLACE FUNCTION kr_in_progress(flow text, held boolean) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT kr_goes_on(flow) OR (held AND EXISTS (SELECT FROM kr_task_stat t WHERE t.task_flow_id = flow AND t.exec_status NOT IN (3, 9)))
$$;

-- Cancel what is unfinished of a flow, as a hand would: the triggers do the rest. What a session has locked is left to the sweep.
CREATE OR REPLACE FUNCTION kr_cancel_former(flow text) RETURNS void LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
    why jsonb := '{"reason": "its schedule begins the next one (overlap cancel)", "by": "the schedule"}';
BEGIN
    UPDATE kr_task_stat t SET exec_status = 9, outcome = 'cancelled', error = kr_told('Cancelled', why)
        WHERE t.ctid = ANY (ARRAY(SELECT o.ctid FROM kr_task_stat o WHERE o.task_flow_id = flow AND o.exec_status NOT IN (3, 9) FOR UPDATE SKIP LOCKED));
    INSERT INTO kr_audit (verb, task_flow_id, who, reason) VALUES ('cancel', flow, why ->> 'by', why ->> 'reason');
    IF EXISTS (SELECT FROM kr_task_stat t WHERE t.task_flow_id = flow AND t.exec_status NOT IN (3, 9)) THEN
        UPDATE kr_flow_stat f SET deadline_ts = clock_timestamp() WHERE f.ctid = ANY (ARRAY(SELECT o.ctid FROM kr_flow_stat o WHERE o.task_flow_id = flow FOR UPDATE SKIP LOCKED));
    END IF;
END $$;
