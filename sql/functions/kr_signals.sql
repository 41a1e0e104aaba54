-- Steps that wait for a signal: rows of the program WaitForSignal, which the engine itself carries out. One that has passed its parents, its time
-- and the pauses stands at the gate signal, at the door of its name and key, until kr_open or kr_time_out end it.
-- Nothing is lost though nobody waits for anybody: a signal rings its door (kr_recount), and so does whoever has come to it. Both are looked at
-- after their commits, so whichever look comes last sees both; and a look that finds something locked rings again.

-- One turn of it within a cycle: with *look*, what rang and whose time is over; then those that have just come begin to wait. That order, because a
-- signal that came first belongs to one of them only. Answers the flows of which something has ended now (seq NULL), and the tasks that wait for that.
CREATE OR REPLACE FUNCTION kr_signals(flows text[], seqs numeric[], look boolean, careful boolean) RETURNS TABLE (flow text, seq numeric) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    most     CONSTANT integer := 500;
    now_     timestamptz := clock_timestamp();      -- a variable: clock_timestamp() is volatile and no index condition
    doors    text[];
    eflows   text[] := '{}';                        -- what has ended
    eseqs    numeric[] := '{}';
    estatuses numeric[] := '{}';
    o        record;
BEGIN
    IF look AND (SELECT r.id FROM kr_recount r WHERE r.kind = 'signal' ORDER BY r.id LIMIT 1) IS NOT NULL THEN
        WITH rung AS (
            DELETE FROM kr_recount WHERE ctid = ANY (ARRAY(SELECT r.ctid FROM kr_recount r WHERE r.kind = 'signal' ORDER BY r.id LIMIT most FOR UPDATE SKIP LOCKED))
            RETURNING name)
        SELECT array_agg(DISTINCT r.name) INTO doors FROM rung r;
        FOR o IN SELECT * FROM kr_open(doors, most, careful) LOOP
            eflows := eflows || o.flow; eseqs := eseqs || o.seq; estatuses := estatuses || o.status;
        END LOOP;
    END IF;
    IF look AND EXISTS (SELECT FROM kr_task_stat t WHERE t.exec_status = 0 AND t.gate = 'signal' AND t.waits_until <= now_) THEN
        -- what was sent in time comes first, also where more doors rang than were looked at
        doors := ARRAY(SELECT DISTINCT d.waits_for FROM (
            SELECT t.waits_for FROM kr_task_stat t WHERE t.exec_status = 0 AND t.gate = 'signal' AND t.waits_until <= now_
                AND kr_is_called(t.task_flow_id, t.task_exec_seq, t.waits_for, t.waits_since, t.waits_until)
            ORDER BY t.waits_until LIMIT most) d);
        FOR o IN SELECT * FROM kr_open(doors, most, careful) LOOP
            eflows := eflows || o.flow; eseqs := eseqs || o.seq; estatuses := estatuses || o.status;
        END LOOP;
        FOR o IN SELECT * FROM kr_time_out(now_, most, careful) LOOP
            eflows := eflows || o.flow; eseqs := eseqs || o.seq; estatuses := estatuses || o.status;
        END LOOP;
    END IF;
    IF cardinality(flows) > 0 THEN
        FOR o IN SELECT * FROM kr_begin_to_wait(flows, seqs, careful) LOOP
            eflows := eflows || o.flow; eseqs := eseqs || o.seq; estatuses := estatuses || o.status;
        END LOOP;
    END IF;
    IF eflows = '{}' THEN
        RETURN;
    END IF;
    RETURN QUERY
        SELECT DISTINCT w.f, NULL::numeric FROM unnest(eflows) w (f)
        UNION ALL SELECT DISTINCT e.task_flow_id::text, e.task_exec_seq
        FROM unnest(eflows, eseqs, estatuses) w (f, s, status)
            JOIN kr_task_edge e ON e.task_flow_id || '' = w.f AND e.parent_seq + 0 = w.s AND w.status = ANY (e.counts)
            JOIN kr_task_stat t ON t.task_flow_id = e.task_flow_id AND t.task_exec_seq = e.task_exec_seq
        WHERE t.exec_status + 0 = 0 AND t.gate = 'dependencies' AND t.waits_seq = w.s;
    IF EXISTS (SELECT FROM kr_waiter w WHERE w.task_flow_id = ANY (eflows)) THEN
        PERFORM pg_notify('flower_end', '');
    END IF;
END $$;

-- Those that have come to the gate signal begin to wait, or go on waiting if they had begun: their time counts from then. What cannot wait, by its
-- parameters, is suspended or ignored. Answers what has ended: that, and whoever found a signal there.
CREATE OR REPLACE FUNCTION kr_begin_to_wait(flows text[], seqs numeric[], careful boolean) RETURNS TABLE (flow text, seq numeric, status numeric) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    doors text[];
BEGIN
    SELECT array_agg(DISTINCT kr_door(w.name, w.key)) INTO doors
        FROM unnest(flows, seqs) k (f, s) JOIN kr_task_stat t ON t.task_flow_id = k.f AND t.task_exec_seq = k.s
            CROSS JOIN LATERAL kr_wanted(t.task_flow_id, t.parameters::text, t.inputs) w
        WHERE w.odd IS NULL AND w.ignored IS NULL;
    IF EXISTS (SELECT FROM kr_signal s WHERE s.door = ANY (doors) AND s.stage = 'new') THEN         -- for those that waited before them, or to be kept
        RETURN QUERY SELECT * FROM kr_open(doors, 500, careful);
    END IF;
    IF careful THEN
        FOR i IN 1 .. cardinality(flows) LOOP
            BEGIN
                RETURN QUERY SELECT * FROM kr_come_to_door(flows[i:i], seqs[i:i]);
            EXCEPTION WHEN OTHERS THEN
                PERFORM kr_stop_refused(flows[i], seqs[i], SQLERRM);
            END;
        END LOOP;
    ELSE
        RETURN QUERY SELECT * FROM kr_come_to_door(flows, seqs);
    END IF;
    RETURN QUERY SELECT * FROM kr_open(doors, 500, careful);
    INSERT INTO kr_recount (kind, name)          -- a signal may have come meanwhile, unseen
        SELECT DISTINCT 'signal', t.waits_for FROM unnest(flows, seqs) k (f, s) JOIN kr_task_stat t ON t.task_flow_id = k.f AND t.task_exec_seq = k.s
        WHERE t.exec_status + 0 = 0 AND t.gate = 'signal';
END $$;

CREATE OR REPLACE FUNCTION kr_come_to_door(flows text[], seqs numeric[]) RETURNS TABLE (flow text, seq numeric, status numeric) LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH came AS MATERIALIZED (
        SELECT t.ctid AS row_, coalesce(t.waits_since, clock_timestamp()) AS since, w.* FROM unnest(flows, seqs) k (f, s)
            JOIN kr_task_stat t ON t.task_flow_id = k.f AND t.task_exec_seq = k.s CROSS JOIN LATERAL kr_wanted(t.task_flow_id, t.parameters::text, t.inputs) w
        WHERE t.exec_status + 0 = 0 AND t.gate = 'signal'),
    waits AS (
        UPDATE kr_task_stat t SET waits_for = kr_door(c.name, c.key), waits_since = c.since, waits_until = c.since + make_interval(secs => c.seconds)
        FROM came c WHERE t.ctid = c.row_ AND c.odd IS NULL AND c.ignored IS NULL),
    stopped AS (
        UPDATE kr_task_stat t SET exec_status = 2, outcome = 'invalid', claim_id = gen_random_uuid(), gate = NULL, waits_since = NULL, suspended_ts = clock_timestamp(),
            fingerprint = kr_fingerprint(t.program, '{"type": "InvalidParameters"}'), error = kr_unfit(t.program, c.odd)
        FROM came c WHERE t.ctid = c.row_ AND c.odd IS NOT NULL RETURNING t.task_flow_id, t.task_exec_seq, t.exec_status),
    ignored AS (
        UPDATE kr_task_stat t SET exec_status = 9, outcome = 'skipped', claim_id = gen_random_uuid(), gate = NULL, waits_since = NULL, finished_ts = clock_timestamp(),
            error = jsonb_build_object('type', 'SourceIgnored', 'program', t.program, 'message', c.ignored)
        FROM came c WHERE t.ctid = c.row_ AND c.odd IS NULL AND c.ignored IS NOT NULL RETURNING t.task_flow_id, t.task_exec_seq, t.exec_status)
    SELECT s.task_flow_id::text, s.task_exec_seq, s.exec_status FROM stopped s UNION ALL SELECT i.task_flow_id::text, i.task_exec_seq, i.exec_status FROM ignored i;
END $$;

-- Hand out what was sent to these doors, up to *most* in all, the oldest of a door first: a new signal to all that wait, a kept one to the first.
-- Answers the tasks that ended by it.
CREATE OR REPLACE FUNCTION kr_open(doors text[], most integer, careful boolean) RETURNS TABLE (flow text, seq numeric, status numeric) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    door_  text;
    number bigint;
    signal kr_signal;
    found_ record;
    after_ timestamptz;        -- whoever waits since before is for an earlier signal, which is still being handed out
    again  boolean;
    ended  integer;
BEGIN
    FOREACH door_ IN ARRAY coalesce(doors, '{}') LOOP
        after_ := '-infinity';
        again := false;
        FOR number IN SELECT s.id FROM kr_signal s WHERE s.door = door_ AND s.stage <> 'taken' ORDER BY s.id LIMIT most + 1 LOOP
            SELECT s.* INTO signal FROM kr_signal s WHERE s.id = number AND s.stage <> 'taken' FOR UPDATE SKIP LOCKED;
            IF NOT FOUND OR most <= 0 THEN
                again := true;
                EXIT;
            END IF;
            found_ := kr_waiting_at(door_, after_, coalesce(signal.opened_ts, 'infinity'), signal.sent_ts, CASE signal.stage WHEN 'kept' THEN 1 ELSE most END);
            RETURN QUERY SELECT * FROM kr_end_wait(found_.rows_, signal.payload, careful);
            GET DIAGNOSTICS ended = ROW_COUNT;
            most := most - ended;
            IF signal.stage = 'kept' AND ended = 0 THEN
                again := found_.more OR found_.rows_ <> '{}';
                EXIT;
            ELSIF signal.stage <> 'kept' AND found_.more THEN
                signal.opened_ts := coalesce(signal.opened_ts, clock_timestamp());
                UPDATE kr_signal s SET stage = 'open', opened_ts = signal.opened_ts WHERE s.id = number;
                after_ := signal.opened_ts;
                again := true;
            ELSIF signal.stage = 'new' AND ended = 0 THEN
                UPDATE kr_signal s SET stage = 'kept' WHERE s.id = number;
            ELSIF signal.idempotency_key IS NULL THEN
                DELETE FROM kr_signal s WHERE s.id = number;
            ELSE
                UPDATE kr_signal s SET stage = 'taken' WHERE s.id = number;
            END IF;
        END LOOP;
        IF again THEN
            INSERT INTO kr_recount (kind, name) VALUES ('signal', door_);
        END IF;
    END LOOP;
END $$;

-- Lock up to *most* of those that wait at a door since after *after_* and not since after *until_*, the first first, for a signal of *sent*.
-- more: there are others; locked ones are among them. A parent may have been set back, and nobody have looked: then it does not wait here.
CREATE OR REPLACE FUNCTION kr_waiting_at(door text, after_ timestamptz, until_ timestamptz, sent timestamptz, most integer, OUT rows_ tid[], OUT more boolean) LANGUAGE plpgsql AS $$
BEGIN
    rows_ := ARRAY(
        SELECT t.ctid FROM kr_task_stat t
        WHERE t.exec_status = 0 AND t.gate = 'signal' AND t.waits_for = door AND t.waits_since > after_ AND t.waits_since <= until_
            AND coalesce(t.waits_until > sent, true) AND NOT kr_has_open_parent(t.task_flow_id, t.task_exec_seq)
        ORDER BY t.waits_since, t.task_flow_id, t.task_exec_seq LIMIT most FOR UPDATE SKIP LOCKED);
    more := EXISTS (
        SELECT FROM kr_task_stat t
        WHERE t.exec_status = 0 AND t.gate = 'signal' AND t.waits_for = door AND t.waits_since > after_ AND t.waits_since <= until_
            AND coalesce(t.waits_until > sent, true) AND t.ctid <> ALL (rows_) AND NOT kr_has_open_parent(t.task_flow_id, t.task_exec_seq));
END $$;

-- Whether a signal that nobody has taken lies at the door of one that waits there, sent before its time is over: as kr_waiting_at would have it.
CREATE OR REPLACE FUNCTION kr_is_called(flow text, seq numeric, door_ text, since timestamptz, until_ timestamptz) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN EXISTS (
        SELECT FROM kr_signal s WHERE s.door = door_ AND s.stage <> 'taken' AND s.sent_ts < until_ AND coalesce(s.opened_ts >= since, true))
        AND NOT kr_has_open_parent(flow, seq);
END $$;

CREATE OR REPLACE FUNCTION kr_has_open_parent(flow text, child numeric) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN EXISTS (
        SELECT FROM kr_task_edge e WHERE e.task_flow_id = flow AND e.task_exec_seq = child AND e.parent_seq >= '-Infinity'
        AND coalesce((SELECT p.exec_status FROM kr_task_stat p WHERE p.task_flow_id = e.task_flow_id AND p.task_exec_seq = e.parent_seq), -1) <> ALL (e.counts));
END $$;

-- Finish waiting tasks with what was sent. The claim changes with the status: by that the triggers know the engine's hand.
CREATE OR REPLACE FUNCTION kr_end_wait(rows_ tid[], payload jsonb, careful boolean) RETURNS TABLE (flow text, seq numeric, status numeric) LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    IF NOT careful THEN
        RETURN QUERY
        UPDATE kr_task_stat t SET exec_status = 3, outcome = NULL, result = payload, error = NULL, notice = NULL, claim_id = gen_random_uuid(), gate = NULL, waits_for = NULL,
            waits_since = NULL, waits_until = NULL, attempt = least(t.attempt, 2147483646) + 1, tries = least(t.tries, 2147483646) + 1,
            started_ts = t.waits_since, finished_ts = clock_timestamp()
        WHERE t.ctid = ANY (rows_) RETURNING t.task_flow_id::text, t.task_exec_seq, t.exec_status;
        RETURN;
    END IF;
    FOR i IN 1 .. cardinality(rows_) LOOP
        BEGIN
            RETURN QUERY SELECT * FROM kr_end_wait(rows_[i:i], payload, false);
        EXCEPTION WHEN OTHERS THEN
            PERFORM kr_stop_refused(t.task_flow_id, t.task_exec_seq, SQLERRM) FROM kr_task_stat t WHERE t.ctid = rows_[i];
        END;
    END LOOP;
END $$;

-- End those whose time is over and for whom nothing came in time: with their default, and a notice that says so, or, where they have none, suspended
-- as failed. For whom something did, that is locked at this moment or one of very many: its door has rung again.
CREATE OR REPLACE FUNCTION kr_time_out(now_ timestamptz, most integer, careful boolean) RETURNS TABLE (flow text, seq numeric, status numeric) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    rows_ tid[] := ARRAY(
        SELECT t.ctid FROM kr_task_stat t WHERE t.exec_status = 0 AND t.gate = 'signal' AND t.waits_until <= now_
            AND NOT kr_is_called(t.task_flow_id, t.task_exec_seq, t.waits_for, t.waits_since, t.waits_until)
        ORDER BY t.waits_until LIMIT most FOR UPDATE SKIP LOCKED);
BEGIN
    IF NOT careful THEN
        RETURN QUERY SELECT * FROM kr_end_in_vain(rows_);
        RETURN;
    END IF;
    FOR i IN 1 .. cardinality(rows_) LOOP
        BEGIN
            RETURN QUERY SELECT * FROM kr_end_in_vain(rows_[i:i]);
        EXCEPTION WHEN OTHERS THEN
            PERFORM kr_stop_refused(t.task_flow_id, t.task_exec_seq, SQLERRM) FROM kr_task_stat t WHERE t.ctid = rows_[i];
        END;
    END LOOP;
END $$;

CREATE OR REPLACE FUNCTION kr_end_in_vain(rows_ tid[]) RETURNS TABLE (flow text, seq numeric, status numeric) LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH late AS MATERIALIZED (
        SELECT t.ctid AS row_, w.name, w.key, CASE WHEN w.odd IS NULL THEN w.otherwise END AS otherwise, w.odd,
            format('no signal %s came within %s s', kr_signal_in_words(w.name, w.key), w.seconds) AS told
        FROM kr_task_stat t CROSS JOIN LATERAL kr_wanted(t.task_flow_id, t.parameters::text, t.inputs) w WHERE t.ctid = ANY (rows_))
    UPDATE kr_task_stat t SET exec_status = CASE WHEN l.otherwise IS NULL THEN 2 ELSE 3 END, result = l.otherwise,
        outcome = CASE WHEN l.odd IS NOT NULL THEN 'invalid' WHEN l.otherwise IS NULL THEN 'failed' END,
        error = CASE WHEN l.odd IS NOT NULL THEN kr_unfit(t.program, l.odd) WHEN l.otherwise IS NULL THEN jsonb_build_object('type', 'SignalTimeout', 'program', t.program, 'signal', l.name, 'key', l.key,
            'message', l.told || '; send it and retry, or complete the task by hand') END,
        fingerprint = CASE WHEN l.odd IS NOT NULL THEN kr_fingerprint(t.program, '{"type": "InvalidParameters"}') WHEN l.otherwise IS NULL THEN kr_fingerprint(t.program, jsonb_build_object('type', 'SignalTimeout', 'message', l.name)) END,
        notice = CASE WHEN l.otherwise IS NOT NULL THEN jsonb_build_object('type', 'SignalTimeout', 'message', l.told || ': it goes on with its default', 'at', clock_timestamp()) END,
        claim_id = gen_random_uuid(), gate = NULL, waits_for = NULL, waits_since = NULL, waits_until = NULL,
        attempt = least(t.attempt, 2147483646) + 1, tries = least(t.tries, 2147483646) + 1, started_ts = t.waits_since,
        finished_ts = CASE WHEN l.otherwise IS NOT NULL THEN clock_timestamp() END, suspended_ts = CASE WHEN l.otherwise IS NULL THEN clock_timestamp() END
    FROM late l WHERE t.ctid = l.row_ RETURNING t.task_flow_id::text, t.task_exec_seq, t.exec_status;
END $$;

CREATE OR REPLACE FUNCTION kr_unfit(program text, odd text) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
    SELECT jsonb_build_object('type', 'InvalidParameters', 'program', program, 'message', 'the parameters do not fit WaitForSignal: ' || odd)
$$;

CREATE OR REPLACE FUNCTION kr_signal_in_words(name text, key text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT quote_literal(name) || CASE WHEN key <> '' THEN ' with key ' || quote_literal(key) ELSE '' END
$$;

-- What the parameters of a step say: for which signal it waits, for how many seconds (NULL: for ever), and with what it goes on if none comes
-- (NULL: it fails). odd: why they say nothing; ignored: which source is missing, because its task was ignored. Whatever is wrong with one row is said
-- so and not raised, for many are read by one statement.
CREATE OR REPLACE FUNCTION kr_wanted(flow text, given text, inputs jsonb,
    OUT name text, OUT key text, OUT seconds double precision, OUT otherwise jsonb, OUT odd text, OUT ignored text) LANGUAGE plpgsql STABLE AS $$
DECLARE
    wish  jsonb := kr_as_json(given);
    input text[];
    wait_ jsonb;
    one   record;
BEGIN
    IF jsonb_typeof(wish) IS DISTINCT FROM 'object' THEN
        odd := 'a JSON object is wanted';
        RETURN;
    ELSIF inputs IS NOT NULL THEN
        input := kr_input(flow, wish, inputs);
        wish := input[1];
        FOR one IN SELECT o.* FROM jsonb_to_recordset(input[2]::jsonb) o (at jsonb, env text, ignored text, missing text, large bigint) LOOP
            IF one.ignored IS NULL THEN
                odd := one.at ->> 0 || ': ' || CASE WHEN one.env IS NOT NULL THEN 'a variable of a worker''s environment has no value where no worker runs it'
                    WHEN one.missing IS NOT NULL THEN format('there is no %s in what that step returned', one.missing)
                    ELSE 'with the results that go in they are larger than 16 MiB' END;
            ELSIF one.at ->> 0 IN ('name', 'key') THEN
                ignored := format('%s comes from %s, which was ignored: for which signal it waits is not known', one.at ->> 0, one.ignored);
            END IF;
        END LOOP;
    END IF;
    name := wish ->> 'name';
    key := coalesce(wish ->> 'key', '');
    otherwise := wish -> 'default';
    wait_ := coalesce(wish -> 'timeout', 'null');
    IF jsonb_typeof(wait_) = 'string' THEN         -- as the ancestor's pairs have it
        wait_ := coalesce(kr_as_json(wait_ #>> '{}'), wait_);
    END IF;
    odd := coalesce(odd, CASE
        WHEN wish - '{name,key,timeout,default}'::text[] <> '{}' THEN format('it takes no %s; it takes name, key, timeout and default',
            (SELECT min(k) FROM jsonb_object_keys(wish - '{name,key,timeout,default}'::text[]) k))
        WHEN ignored IS NOT NULL THEN NULL
        WHEN jsonb_typeof(wish -> 'name') IS DISTINCT FROM 'string' OR NOT kr_is_signal_name(name) THEN 'name: a text of 1 to 256 characters is wanted, without control characters'
        WHEN jsonb_typeof(wish -> 'key') IN ('object', 'array') THEN format('key: a text is wanted, not this %s; name a part of it', jsonb_typeof(wish -> 'key'))
        WHEN octet_length(key) > 512 THEN format('key: has %s bytes, the limit is 512', octet_length(key))
        WHEN octet_length(otherwise::text) > 1048576 THEN format('default: has %s bytes of JSON, the limit is 1048576 (1 MiB)', octet_length(otherwise::text))
        WHEN CASE jsonb_typeof(wait_) WHEN 'null' THEN false WHEN 'number' THEN (wait_ #>> '{}')::numeric <> 0 AND (wait_ #>> '{}')::numeric NOT BETWEEN 1e-300 AND 1e9 ELSE true END
            THEN 'timeout: a number of seconds is wanted, 0 or from 1e-300 to 1000000000' END);
    IF odd IS NULL AND ignored IS NULL THEN
        seconds := wait_ #>> '{}';
    END IF;
EXCEPTION WHEN OTHERS THEN         -- nothing is written here: this subtransaction costs next to nothing
    IF kr_is_passing(SQLSTATE) THEN
        RAISE;
    END IF;
    odd := left(SQLERRM, 2000);
END $$;
