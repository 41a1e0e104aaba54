-- Give up workers that are lost, and take back what nobody holds: tasks of workers that are gone, and rows that a hand set to running.
-- Lost: the lease has ended; or earlier, after six seconds without a beat, if two looks at least two seconds apart found no session of
-- the worker, and the server has been up for fifteen seconds (after its restart every session is missing). Only for a worker that was
-- seen among the server's sessions when it came: behind a pooler the lease alone decides.
-- A task whose worker is lost for the third time is suspended as poison; one that is not to run twice (on_lost is suspend) at once, as failed. Any worker may do all this at any time.
-- Of what workers recorded by the minute it removes what is older than a day, and signals of more than thirty days ago.
-- Answers the lost workers, and how many tasks wait again or were suspended.
CREATE OR REPLACE FUNCTION kr_sweep(OUT lost uuid[], OUT taken_back integer, OUT poisoned integer) LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    now_ timestamptz := clock_timestamp();
BEGIN
    WITH silent AS MATERIALIZED (
        SELECT w.worker_id, w.direct AND now_ - pg_postmaster_start_time() > interval '15 s' AND NOT EXISTS (
            SELECT FROM pg_stat_activity a WHERE a.application_name LIKE 'flower/' || w.worker_id || '/%') AS absent
        FROM kr_worker w WHERE w.beat_ts < now_ - interval '3 s' FOR UPDATE SKIP LOCKED)
    UPDATE kr_worker w SET absent_since = CASE WHEN s.absent THEN coalesce(w.absent_since, now_) END
    FROM silent s WHERE s.worker_id = w.worker_id AND s.absent IS DISTINCT FROM (w.absent_since IS NOT NULL);
    WITH gone AS (
        DELETE FROM kr_worker w WHERE w.worker_id = ANY (ARRAY(
            SELECT k.worker_id FROM kr_worker k
            WHERE k.lease_until < now_ OR (k.absent_since <= now_ - interval '2 s' AND k.beat_ts <= now_ - interval '6 s')
            FOR UPDATE SKIP LOCKED))
        RETURNING w.worker_id)
    SELECT coalesce(array_agg(g.worker_id), '{}') INTO lost FROM gone g;
    WITH nobodys AS MATERIALIZED (
        SELECT t.ctid AS row_, c.crashed, CASE WHEN NOT c.crashed THEN NULL
            WHEN coalesce(t.options ->> 'onLost', (SELECT p.options ->> 'onLost' FROM kr_program p WHERE p.program = t.program)) = 'suspend' THEN 'failed'
            WHEN t.crashes >= 2 THEN 'poison' END AS stopped
        FROM kr_task_stat t CROSS JOIN LATERAL (SELECT t.worker_id IS NOT NULL AND t.claim_id IS NOT NULL) c (crashed)
        WHERE t.exec_status = 1 AND (t.worker_id IS NULL OR t.claim_id IS NULL OR NOT EXISTS (SELECT FROM kr_worker w WHERE w.worker_id = t.worker_id))
        ORDER BY t.task_flow_id, t.task_exec_seq LIMIT 1000 FOR UPDATE OF t SKIP LOCKED),
    kept AS (
        INSERT INTO kr_task_attempt (task_flow_id, task_exec_seq, attempt, exec_status, outcome, started_ts, error, worker_id)
            SELECT t.task_flow_id, t.task_exec_seq, t.attempt, 0, NULL, t.started_ts,
                jsonb_build_object('type', 'WorkerLost', 'message', 'the worker that ran this attempt was lost'), t.worker_id
            FROM nobodys n JOIN kr_task_stat t ON t.ctid = n.row_ WHERE n.crashed AND n.stopped IS NULL),
    back AS (       -- the claim changes with the status: by that the triggers know the engine's hand
        UPDATE kr_task_stat t SET exec_status = CASE WHEN n.stopped IS NULL THEN 0 ELSE 2 END, outcome = n.stopped, fingerprint = CASE WHEN n.stopped IS NOT NULL THEN kr_fingerprint(t.program, '{"type": "WorkerLost"}') END,
            error = CASE WHEN n.stopped IS NOT NULL THEN jsonb_build_object('type', 'WorkerLost', 'program', t.program, 'message', CASE n.stopped
                WHEN 'poison' THEN 'three workers were lost while they ran this task; retry it, or set exec_status to 0, to try again'
                ELSE 'its worker was lost while it ran; how far it came is not known, and it is not to be started again by itself (on_lost)' END) END,
            suspended_ts = CASE WHEN n.stopped IS NOT NULL THEN now_ END, started_ts = CASE WHEN n.stopped IS NOT NULL THEN t.started_ts END,
            crashes = least(t.crashes, 2147483646) + n.crashed::integer, tries = greatest(t.tries, 1) - n.crashed::integer,
            claim_id = CASE WHEN t.claim_id IS NULL THEN gen_random_uuid() END, worker_id = NULL
        FROM nobodys n WHERE t.ctid = n.row_
        RETURNING n.stopped, t.limits, t.task_flow_id, t.task_exec_seq),
    looked_at AS (       -- the flow may have stalled
        INSERT INTO kr_recount (kind, task_flow_id, task_exec_seq) SELECT 'task', b.task_flow_id, b.task_exec_seq FROM back b WHERE b.stopped IS NOT NULL),
    rung AS (
        INSERT INTO kr_recount (kind, name) SELECT DISTINCT 'limit', l FROM back b CROSS JOIN unnest(b.limits) l)
    SELECT count(*) FILTER (WHERE b.stopped IS NULL), count(*) FILTER (WHERE b.stopped IS NOT NULL) INTO taken_back, poisoned FROM back b;
    PERFORM kr_end_overdue_flows(now_);
    DELETE FROM kr_minute m WHERE m.ctid = ANY (ARRAY(
        SELECT o.ctid FROM kr_minute o WHERE o.minute < now_ - interval '1 day' ORDER BY o.minute LIMIT 1000 FOR UPDATE SKIP LOCKED));
    DELETE FROM kr_signal s WHERE s.ctid = ANY (ARRAY(
        SELECT o.ctid FROM kr_signal o WHERE o.sent_ts < now_ - interval '30 days' ORDER BY o.sent_ts LIMIT 1000 FOR UPDATE SKIP LOCKED));
    DELETE FROM kr_turn k WHERE k.ctid = ANY (ARRAY(          -- a rate that nobody has met for an hour, a limit that blocks nobody any more; a pattern's turns stay
        SELECT o.ctid FROM kr_turn o WHERE o.last_key IS NULL AND o.look_at IS NULL AND coalesce(o.free_at, '-infinity') < now_ - interval '1 hour'
            AND NOT EXISTS (SELECT FROM kr_task_stat t WHERE t.exec_status = 0 AND t.gate = 'limit' AND t.waits_for COLLATE "C" = ANY (o.also)) LIMIT 1000 FOR UPDATE SKIP LOCKED));
    IF taken_back + poisoned > 0 THEN
        PERFORM pg_notify('flower', '');
        IF poisoned > 0 AND EXISTS (SELECT FROM kr_waiter) THEN
            PERFORM pg_notify('flower_end', '');
        END IF;
    END IF;
END $$;

-- Cancel what is unfinished of flows whose time is over, each in a subtransaction of its own: one on which a user's trigger or constraint raises
-- may not keep the sweep from the others; it is tried again in a minute. What a session has locked is left for the next time.
CREATE OR REPLACE FUNCTION kr_end_overdue_flows(now_ timestamptz) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    overdue text;
BEGIN
    FOR overdue IN SELECT f.task_flow_id FROM kr_flow_stat f WHERE f.deadline_ts <= now_ ORDER BY f.deadline_ts LIMIT 100 FOR UPDATE SKIP LOCKED LOOP
        BEGIN
            -- as a hand would: the triggers do the rest
            UPDATE kr_task_stat t SET exec_status = 9, outcome = 'cancelled',
                    error = jsonb_build_object('type', 'FlowTimeout', 'message', 'the flow did not end within the timeout of its workflow')
                WHERE t.ctid = ANY (ARRAY(SELECT o.ctid FROM kr_task_stat o WHERE o.task_flow_id = overdue AND o.exec_status NOT IN (3, 9) FOR UPDATE SKIP LOCKED));
            UPDATE kr_flow_stat f SET deadline_ts = NULL WHERE f.task_flow_id = overdue AND NOT EXISTS (
                SELECT FROM kr_task_stat t WHERE t.task_flow_id = f.task_flow_id AND t.exec_status NOT IN (3, 9));
        EXCEPTION WHEN OTHERS THEN
            UPDATE kr_flow_stat f SET deadline_ts = now_ + interval '1 minute' WHERE f.task_flow_id = overdue;
        END;
    END LOOP;
END $$;
