-- Put waiting tasks at the gate where they belong: the only place that decides it for rows that exist. Locks them first and looks
-- afterwards, in statements with fresh snapshots. Whoever cannot be locked is queued to be looked at again; nobody is waited for.
-- Answers those that now stand at the gate slot or limit.
CREATE OR REPLACE FUNCTION kr_settle(flows text[], seqs numeric[], edges_changed boolean[])
RETURNS TABLE (gate text, limits text[], program text, run_order double precision, rank integer, seq numeric, flow text) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    rows_  tid[];
    kflows text[];
    kseqs  numeric[];
    waited numeric[];
    edged  boolean[];
BEGIN
    SELECT array_agg(l.ctid), array_agg(l.f), array_agg(l.s), array_agg(l.w), array_agg(l.e) INTO rows_, kflows, kseqs, waited, edged
    FROM (SELECT t.ctid, t.task_flow_id f, t.task_exec_seq s, t.waits_seq w, k.e
          FROM unnest(flows, seqs, edges_changed) k (f, s, e) JOIN kr_task_stat t ON t.task_flow_id = k.f AND t.task_exec_seq = k.s
          WHERE t.exec_status + 0 = 0 ORDER BY 2, 3 FOR UPDATE OF t SKIP LOCKED) l;
    IF cardinality(flows) > coalesce(cardinality(rows_), 0) THEN
        INSERT INTO kr_recount (kind, task_flow_id, task_exec_seq)
            SELECT CASE WHEN k.e THEN 'edge' ELSE 'task' END, k.f, k.s
            FROM unnest(flows, seqs, edges_changed) k (f, s, e) JOIN kr_task_stat t ON t.task_flow_id = k.f AND t.task_exec_seq = k.s
            WHERE t.exec_status + 0 = 0 AND NOT EXISTS (SELECT FROM unnest(kflows, kseqs) l (f, s) WHERE l.f = k.f AND l.s = k.s);
    END IF;
    RETURN QUERY
    WITH mine AS MATERIALIZED (          -- most have no parent left: the full look is for the others
        SELECT k.*, k.e OR EXISTS (
                SELECT FROM kr_task_edge e WHERE e.task_flow_id = k.f AND e.task_exec_seq = k.s AND e.parent_seq >= k.w
                AND coalesce((SELECT p.exec_status FROM kr_task_stat p WHERE p.task_flow_id = e.task_flow_id AND p.task_exec_seq = e.parent_seq), -1) <> ALL (e.counts))
            OR EXISTS (
                SELECT FROM kr_task_edge e WHERE e.task_flow_id = k.f AND e.task_exec_seq = k.s AND e.parent_seq >= '-Infinity'
                AND coalesce((SELECT p.exec_status FROM kr_task_stat p WHERE p.task_flow_id = e.task_flow_id AND p.task_exec_seq = e.parent_seq), -1) <> ALL (e.counts))
            AS blocked
        FROM unnest(rows_, kflows, kseqs, waited, edged) k (row_, f, s, w, e)),
    looked AS MATERIALIZED (
        SELECT m.row_, m.f, m.s, p.parent, p.again, CASE WHEN p.circle THEN 'Circle' WHEN t.program IS NULL THEN 'StepGone' END AS fault
        FROM mine m JOIN kr_task_stat t ON t.ctid = m.row_
            LEFT JOIN LATERAL (SELECT o.* FROM kr_open_parent(m.f, m.s, m.w, m.e) o WHERE m.blocked OFFSET 0) p ON true),
    later AS (
        INSERT INTO kr_recount (kind, task_flow_id, task_exec_seq) SELECT 'task', l.f, l.s FROM looked l WHERE l.again),
    stopped AS (
        UPDATE kr_task_stat t SET exec_status = 2, outcome = 'invalid', claim_id = gen_random_uuid(), gate = NULL, waits_seq = NULL, waits_for = NULL,
            suspended_ts = clock_timestamp(), error = jsonb_build_object('type', l.fault, 'message', CASE l.fault
                WHEN 'Circle' THEN format('task %s waits for task %s, which waits for it: a circle; delete one of the edges and set exec_status to 0', l.s, l.parent)
                ELSE format('the workflow %s has no step %s, and the row names no program: write one of them and set exec_status to 0', t.task_id, t.task_seq) END)
        FROM looked l WHERE t.ctid = l.row_ AND l.fault IS NOT NULL),
    settled AS (
        UPDATE kr_task_stat t SET waits_seq = l.parent,
            (gate, waits_for) = (SELECT g.gate, g.waits_for FROM kr_gate(l.parent, t.run_after, t.task_id, t.program, t.limits) g)
        FROM looked l WHERE t.ctid = l.row_ AND l.fault IS NULL
        RETURNING t.gate, t.limits, t.program, t.run_order, t.rank, t.task_exec_seq, t.task_flow_id)
    SELECT s.gate, s.limits, s.program::text, s.run_order, s.rank, s.task_exec_seq, s.task_flow_id::text FROM settled s WHERE s.gate IN ('slot', 'limit');
END $$;
