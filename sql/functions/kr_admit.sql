-- Let tasks through the gate limit, most urgent first, all of a task's limits or none. Who is inside is counted from rows, under a
-- lock on the limits' rows. A task that finds another of its limits full moves there. Answers those that now stand at the gate slot.
CREATE OR REPLACE FUNCTION kr_admit(names text[], careful boolean)
RETURNS TABLE (program text, run_order double precision, rank integer, seq numeric, flow text) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    most   CONSTANT integer := 100;
    locked text[];
    inside_names text[];
    inside_counts bigint[];
BEGIN
    IF careful THEN
        RETURN QUERY SELECT * FROM kr_admit_each(names);
        RETURN;
    END IF;
    locked := ARRAY(
        SELECT l.name FROM ms_limit l WHERE l.name = ANY (ARRAY(
            SELECT unnest(names) UNION SELECT unnest(h.limits) FROM unnest(names) n (name) CROSS JOIN LATERAL (
                SELECT t.limits FROM kr_task_stat t WHERE t.exec_status = 0 AND t.gate = 'limit' AND t.gate IN ('pause', 'program', 'limit') AND t.waits_for = n.name
                ORDER BY t.run_order, t.rank, t.task_exec_seq, t.task_flow_id LIMIT most) h))
        ORDER BY l.name FOR UPDATE SKIP LOCKED);
    -- after the lock, with a snapshot of its own: whoever was admitted before is counted
    SELECT array_agg(i.name), array_agg(i.count) INTO inside_names, inside_counts FROM (
        SELECT n.name, count(*) FROM kr_task_stat t CROSS JOIN LATERAL (SELECT DISTINCT unnest(t.limits)) n (name)
        WHERE t.limits IS NOT NULL AND (t.exec_status = 1 OR (t.exec_status = 0 AND t.gate = 'slot')) GROUP BY 1) i;
    RETURN QUERY
    WITH room AS MATERIALIZED (       -- a limit that somebody else holds admits nobody now; one without a row does not hold
        SELECT l.name, CASE WHEN l.name = ANY (locked) THEN greatest(l.slots - coalesce(i.count, 0), 0) ELSE 0 END AS free
        FROM ms_limit l LEFT JOIN unnest(inside_names, inside_counts) i (name, count) USING (name)),
    candidate AS MATERIALIZED (
        SELECT c.* FROM unnest(names) n (name) LEFT JOIN room r USING (name) CROSS JOIN LATERAL (
            SELECT t.ctid AS row_, t.limits, t.run_order, t.rank, t.task_exec_seq, t.task_flow_id FROM kr_task_stat t
            WHERE t.exec_status = 0 AND t.gate = 'limit' AND t.gate IN ('pause', 'program', 'limit') AND t.waits_for = n.name
            ORDER BY t.run_order, t.rank, t.task_exec_seq, t.task_flow_id LIMIT least(coalesce(r.free, most), most) FOR UPDATE OF t SKIP LOCKED) c),
    judged AS (
        SELECT x.row_, min(x.name) FILTER (WHERE x.full_) AS full_ FROM (
            SELECT c.row_, u.name, row_number() OVER (PARTITION BY u.name ORDER BY c.run_order, c.rank, c.task_exec_seq, c.task_flow_id) > r.free AS full_
            FROM candidate c CROSS JOIN LATERAL (SELECT DISTINCT unnest(c.limits)) u (name) LEFT JOIN room r USING (name)) x GROUP BY 1),
    moved AS (
        UPDATE kr_task_stat t SET (gate, waits_for) = (
            SELECT CASE WHEN g.gate = 'limit' AND j.full_ IS NULL THEN 'slot' ELSE g.gate END, CASE WHEN g.gate = 'limit' THEN j.full_ ELSE g.waits_for END
            FROM kr_gate(NULL, t.run_after, t.task_flow_id, t.task_id, t.program, t.limits) g)
        FROM judged j WHERE t.ctid = j.row_ RETURNING t.gate, t.program, t.run_order, t.rank, t.task_exec_seq, t.task_flow_id)
    SELECT m.program::text, m.run_order, m.rank, m.task_exec_seq, m.task_flow_id::text FROM moved m WHERE m.gate = 'slot';
    -- What has room and somebody waiting is looked at again: a limit or row that was locked, a task that moved to another limit.
    INSERT INTO kr_recount (kind, name)
        SELECT 'limit', n.name FROM (SELECT unnest(names) UNION SELECT unnest(locked)) n (name) LEFT JOIN ms_limit l USING (name)
        WHERE EXISTS (SELECT FROM kr_task_stat t WHERE t.exec_status = 0 AND t.gate = 'limit' AND t.gate IN ('pause', 'program', 'limit') AND t.waits_for = n.name)
        AND (l.name IS NULL OR l.name <> ALL (locked) OR l.slots > (
            SELECT count(*) FROM kr_task_stat t WHERE t.limits IS NOT NULL AND (t.exec_status = 1 OR (t.exec_status = 0 AND t.gate = 'slot')) AND t.limits @> ARRAY[n.name]));
END $$;
