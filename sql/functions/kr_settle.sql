-- Put waiting tasks at the gate where they belong: the only place that decides it for rows that exist. Locks them first and looks
-- afterwards, in statements with fresh snapshots. Whoever cannot be locked is queued to be looked at again; nobody is waited for.
-- Answers those that now stand at the gate slot, limit or signal. Whoever waits for a signal already goes on doing so: a pause does not end it.
CREATE OR REPLACE FUNCTION kr_settle(flows text[], seqs numeric[], edges_changed boolean[], careful boolean)
RETURNS TABLE (gate text, limits text[], program text, run_order double precision, rank integer, seq numeric, flow text) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    rows_  tid[];
    kflows text[];
    kseqs  numeric[];
    waited numeric[];
    edged  boolean[];
    bare   boolean;
    adopted boolean := false;
    new_in text[];
    left_in text[];
BEGIN
    IF careful THEN
        RETURN QUERY SELECT * FROM kr_settle_each(flows, seqs, edges_changed);
        RETURN;
    END IF;
    LOOP
        SELECT array_agg(l.ctid), array_agg(l.f), array_agg(l.s), array_agg(l.w), array_agg(l.e), array_agg(DISTINCT l.f) FILTER (WHERE l.e OR l.gate IS NULL), bool_or(l.bare)
            INTO rows_, kflows, kseqs, waited, edged, new_in, bare
        FROM (SELECT t.ctid, t.task_flow_id f, t.task_exec_seq s, t.waits_seq w, t.gate, k.e, t.registered_ts IS NULL OR t.name IS NULL OR t.run_order = 0 AS bare
              FROM unnest(flows, seqs, edges_changed) k (f, s, e) JOIN kr_task_stat t ON t.task_flow_id = k.f AND t.task_exec_seq = k.s
              WHERE t.exec_status + 0 = 0 ORDER BY 2, 3 FOR UPDATE OF t SKIP LOCKED) l;
        EXIT WHEN bare IS NOT TRUE OR adopted;
        PERFORM kr_adopt(rows_);
        adopted := true;
    END LOOP;
    IF rows_ IS NOT NULL AND EXISTS (SELECT FROM kr_flow_inside) THEN
        -- a flow that goes on keeps its place inside a limit: guarded before its gate is decided. One whose place another worker is giving up waits for that.
        WITH place AS MATERIALIZED (SELECT i.ctid AS row_, i.task_flow_id AS f FROM kr_flow_inside i WHERE i.task_flow_id = ANY (kflows)),
        guarded AS MATERIALIZED (SELECT i.ctid AS row_ FROM kr_flow_inside i WHERE i.ctid = ANY (ARRAY(SELECT p.row_ FROM place p)) FOR KEY SHARE SKIP LOCKED)
        SELECT array_agg(p.f) INTO left_in FROM place p WHERE p.row_ NOT IN (SELECT g.row_ FROM guarded g);
        IF left_in IS NOT NULL THEN
            SELECT array_agg(x.row_), array_agg(x.f), array_agg(x.s), array_agg(x.w), array_agg(x.e) INTO rows_, kflows, kseqs, waited, edged
                FROM unnest(rows_, kflows, kseqs, waited, edged) x (row_, f, s, w, e) WHERE x.f <> ALL (left_in);
        END IF;
    END IF;
    IF cardinality(flows) > coalesce(cardinality(rows_), 0) THEN
        INSERT INTO kr_recount (kind, task_flow_id, task_exec_seq)
            SELECT CASE WHEN k.e THEN 'edge' ELSE 'task' END, k.f, k.s
            FROM (SELECT k.* FROM unnest(flows, seqs, edges_changed) k EXCEPT SELECT l.* FROM unnest(kflows, kseqs, edged) l) k (f, s, e)
                JOIN kr_task_stat t ON t.task_flow_id = k.f AND t.task_exec_seq = k.s
            WHERE t.exec_status + 0 = 0;
    END IF;
    IF new_in IS NOT NULL THEN
        PERFORM kr_break_circles(n) FROM unnest(new_in) n;
    END IF;
    RETURN QUERY
    WITH mine AS MATERIALIZED (          -- most have no parent left: the full look is for the others
        SELECT k.*, EXISTS (
                SELECT FROM kr_task_edge e WHERE e.task_flow_id = k.f AND e.task_exec_seq = k.s AND e.parent_seq >= k.w
                AND coalesce((SELECT p.exec_status FROM kr_task_stat p WHERE p.task_flow_id = e.task_flow_id AND p.task_exec_seq = e.parent_seq), -1) <> ALL (e.counts))
            OR EXISTS (
                SELECT FROM kr_task_edge e WHERE e.task_flow_id = k.f AND e.task_exec_seq = k.s AND e.parent_seq >= '-Infinity'
                AND coalesce((SELECT p.exec_status FROM kr_task_stat p WHERE p.task_flow_id = e.task_flow_id AND p.task_exec_seq = e.parent_seq), -1) <> ALL (e.counts))
            AS blocked
        FROM unnest(rows_, kflows, kseqs, waited) k (row_, f, s, w)),
    looked AS MATERIALIZED (
        SELECT m.row_, m.f, m.s, p.parent, p.again, CASE WHEN t.program IS NULL THEN 'StepGone' WHEN n.length > 512 THEN 'LimitTooLong' END AS fault, n.limits,
            CASE WHEN t.gate = 'slot' THEN t.limits END AS inside
        FROM mine m JOIN kr_task_stat t ON t.ctid = m.row_
            LEFT JOIN LATERAL (SELECT o.* FROM kr_open_parent(m.f, m.s, m.w) o WHERE m.blocked OFFSET 0) p ON true
            -- the key of a limit is known when all that the task is called with is
            LEFT JOIN LATERAL (SELECT k.limits || ARRAY(SELECT u FROM unnest(t.limits) u WHERE kr_counts_flows(u) AND u <> ALL (k.limits)) AS limits, (SELECT max(octet_length(u)) FROM unnest(k.limits) u) AS length
                FROM (SELECT kr_limit_names(t.keyed, (kr_input(m.f, t.parameters::jsonb, coalesce(t.inputs, '[]')))[1]::jsonb) AS limits) k
                WHERE t.keyed IS NOT NULL AND p.parent IS NULL OFFSET 0) n ON true),
    later AS (
        INSERT INTO kr_recount (kind, task_flow_id, task_exec_seq) SELECT 'task', l.f, l.s FROM looked l WHERE l.again),
    stopped AS (
        UPDATE kr_task_stat t SET exec_status = 2, outcome = 'invalid', claim_id = gen_random_uuid(), gate = NULL, waits_seq = NULL, waits_for = NULL,
            suspended_ts = clock_timestamp(), fingerprint = kr_fingerprint(t.task_id, jsonb_build_object('type', l.fault)), error = jsonb_build_object('type', l.fault, 'message',
                CASE l.fault WHEN 'StepGone' THEN format(
                    'the workflow %s has no step %s, and the row names no program: write one of them and set exec_status to 0', t.task_id, t.task_seq)
                ELSE format('with its parameters the limit %s is longer than 512 bytes: key it by something shorter', t.keyed[1]) END)
        FROM looked l WHERE t.ctid = l.row_ AND l.fault IS NOT NULL
        RETURNING l.inside),
    settled AS (
        UPDATE kr_task_stat t SET waits_seq = l.parent, waits_since = CASE WHEN l.parent IS NULL THEN t.waits_since END, limits = coalesce(l.limits, t.limits),
            claim_id = CASE WHEN l.limits <> t.limits THEN gen_random_uuid() ELSE t.claim_id END,        -- by that the triggers know the engine's hand
            (gate, waits_for) = (SELECT g.gate, g.waits_for FROM kr_gate(l.parent, t.run_after, t.task_flow_id, t.task_id, t.program, coalesce(l.limits, t.limits)) g)
        FROM looked l WHERE t.ctid = l.row_ AND l.fault IS NULL AND (l.parent IS NULL AND t.gate = 'signal' AND t.waits_for IS NOT NULL) IS NOT TRUE
        RETURNING t.gate, t.limits, t.program, t.run_order, t.rank, t.task_exec_seq, t.task_flow_id, l.inside),
    left_ AS (          -- who goes back from a slot leaves room in its limits
        INSERT INTO kr_recount (kind, name) SELECT DISTINCT 'limit', n FROM (
            SELECT s.inside FROM settled s WHERE s.gate <> 'limit' UNION ALL SELECT s.inside FROM stopped s) x CROSS JOIN unnest(x.inside) n)
    SELECT s.gate, s.limits, s.program::text, s.run_order, s.rank, s.task_exec_seq, s.task_flow_id::text FROM settled s WHERE s.gate IN ('slot', 'limit', 'signal');
END $$;

-- Give rows that came without triggers (replica role, replication) what the trigger would have written, and their edge.
CREATE OR REPLACE FUNCTION kr_adopt(rows_ tid[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO kr_task_edge (task_flow_id, parent_seq, task_exec_seq, by_hand)
        SELECT t.task_flow_id, t.depends_task_exec_seq, t.task_exec_seq, false FROM kr_task_stat t
        WHERE t.ctid = ANY (rows_) AND (t.registered_ts IS NULL OR t.name IS NULL OR t.run_order = 0) AND t.depends_task_exec_seq >= 0 ON CONFLICT DO NOTHING;
    -- the claim changes: by that the triggers know the engine's hand
    UPDATE kr_task_stat t SET claim_id = gen_random_uuid(), registered_ts = coalesce(t.registered_ts, clock_timestamp()),
        run_order = kr_run_order(coalesce(t.registered_ts, clock_timestamp()), t.task_priority),
        (program, name, limits, keyed, options) = (
            SELECT coalesce(t.program, d.program), coalesce(t.name, d.name, t.program, d.program), w.limits, kr_keyed(w.limits),
                coalesce(t.options, nullif(jsonb_strip_nulls(kr_step_options(d.attempts, d.backoff, d.retry_on, d.give_up_on, d.timeout, d.on_lost)), '{}'))
            FROM (VALUES (1)) one LEFT JOIN ms_task_definition d ON d.task_id = t.task_id AND d.task_seq = t.task_seq
                CROSS JOIN LATERAL kr_written_limits(coalesce(t.limits, d.limits), coalesce(t.program, d.program)) w (limits))
        WHERE t.ctid = ANY (rows_) AND (t.registered_ts IS NULL OR t.name IS NULL OR t.run_order = 0);
END $$;
