-- Write how attempts ended, each only while its row still runs under the given claim. A row that somebody has locked is left alone.
-- "exec_status + 0": else the planner may take a partial index on running rows, tiny by its statistics, full of dead entries in truth.
-- Answers, as parallel arrays, the rows written with their claim and new status, and the names of the limits that they leave.
CREATE OR REPLACE FUNCTION kr_record(flows text[], seqs numeric[], claims uuid[], statuses numeric[], outcomes text[], payloads text[],
    delays double precision[], unharmed boolean[],
    OUT wflows text[], OUT wseqs numeric[], OUT wclaims uuid[], OUT wstatuses numeric[], OUT names text[]) LANGUAGE plpgsql AS $$
DECLARE
    back     text[];          -- of what goes back to wait the attempt is kept: few do, and a statement that writes nothing costs all the same
    back_seq numeric[];
    attempts integer[];
    whys     text[];
    starts   timestamptz[];
    errors   text[];
    workers  uuid[];
BEGIN
    WITH held AS MATERIALIZED (
        SELECT t.ctid AS row_, t.attempt, t.started_ts, t.worker_id, g.*
        FROM unnest(flows, seqs, claims, statuses, outcomes, payloads, delays, unharmed) g (f, s, c, status, outcome, payload, delay, unharmed)
            JOIN kr_task_stat t ON t.task_flow_id = g.f AND t.task_exec_seq = g.s
        WHERE t.exec_status + 0 = 1 AND t.claim_id = g.c ORDER BY g.f, g.s FOR UPDATE OF t SKIP LOCKED),
    written AS (
        UPDATE kr_task_stat t SET exec_status = h.status, outcome = h.outcome, claim_id = NULL, worker_id = NULL,
            result       = CASE WHEN h.status = 3 THEN h.payload::jsonb END,
            error        = CASE WHEN h.status <> 3 AND NOT h.unharmed THEN h.payload::jsonb END,
            run_after    = CASE WHEN h.status = 0 AND h.delay > 0 THEN clock_timestamp() + make_interval(secs => least(h.delay, 3e9)) END,
            started_ts   = CASE WHEN h.status <> 0 THEN t.started_ts END,
            finished_ts  = CASE WHEN h.status IN (3, 9) THEN clock_timestamp() END,
            suspended_ts = CASE WHEN h.status = 2 THEN clock_timestamp() END,
            fingerprint  = CASE WHEN h.status = 2 AND h.outcome <> 'approval' THEN kr_fingerprint(t.program, h.payload::jsonb) END,
            tries        = greatest(t.tries, -2147483647) - h.unharmed::integer
        FROM held h WHERE t.ctid = h.row_
        RETURNING t.task_flow_id, t.task_exec_seq, h.c, t.exec_status, t.limits, t.outcome, h.attempt, h.started_ts, h.payload, h.worker_id)
    SELECT array_agg(w.task_flow_id::text), array_agg(w.task_exec_seq), array_agg(w.c), array_agg(w.exec_status),
        CASE WHEN bool_or(w.limits IS NOT NULL) THEN (SELECT array_agg(DISTINCT n) FROM written x CROSS JOIN unnest(x.limits) n) END,
        array_agg(w.task_flow_id) FILTER (WHERE w.exec_status = 0), array_agg(w.task_exec_seq) FILTER (WHERE w.exec_status = 0),
        array_agg(w.attempt) FILTER (WHERE w.exec_status = 0), array_agg(w.outcome) FILTER (WHERE w.exec_status = 0),
        array_agg(w.started_ts) FILTER (WHERE w.exec_status = 0), array_agg(w.payload) FILTER (WHERE w.exec_status = 0), array_agg(w.worker_id) FILTER (WHERE w.exec_status = 0)
        INTO wflows, wseqs, wclaims, wstatuses, names, back, back_seq, attempts, whys, starts, errors, workers FROM written w;
    IF back IS NOT NULL THEN
        INSERT INTO kr_task_attempt (task_flow_id, task_exec_seq, attempt, exec_status, outcome, started_ts, error, worker_id)
            SELECT b.flow, b.seq, b.attempt, 0, b.why, b.start, b.error::jsonb, b.worker
            FROM unnest(back, back_seq, attempts, whys, starts, errors, workers) b (flow, seq, attempt, why, start, error, worker);
    END IF;
END $$;
