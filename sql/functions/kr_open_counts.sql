-- How many tasks and flows are not over, by index, and never more than *most* tasks of one place and *few* flows of one status are counted: "more" says
-- that there are. Answers a row for each "what" (gate, status, flow) and word. Gate NULL: written just now, nobody has looked yet.
-- No index has what waits at the gate dependencies. Whoever waits there waits, in the end, for a task of its flow that stands elsewhere: it is
-- looked for in the flows that were found, in up to *most* of their rows.
-- Neither tables nor bitmaps: planned by old statistics, they would be read to their end before the first is counted.
CREATE OR REPLACE FUNCTION kr_open_counts(most integer, few integer) RETURNS TABLE (what text, word text, number bigint, more boolean)
LANGUAGE plpgsql STABLE SET search_path FROM CURRENT SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH counted AS MATERIALIZED (
        SELECT 'running' AS place, (SELECT count(*) FROM (SELECT FROM kr_task_stat t WHERE t.exec_status = 1 LIMIT most + 1) x) AS number
        UNION ALL SELECT 'suspend', (SELECT count(*) FROM (SELECT FROM kr_task_stat t WHERE t.exec_status = 2 LIMIT most + 1) x)
        UNION ALL SELECT 'slot', (SELECT count(*) FROM (SELECT FROM kr_task_stat t WHERE t.exec_status = 0 AND t.gate = 'slot' AND t.crashes < 2 LIMIT most + 1) x)
            + (SELECT count(*) FROM (SELECT FROM kr_task_stat t WHERE t.exec_status = 0 AND t.gate = 'slot' AND t.crashes >= 2 LIMIT most + 1) x)
        UNION ALL SELECT 'time', (SELECT count(*) FROM (SELECT FROM kr_task_stat t WHERE t.exec_status = 0 AND t.gate = 'time' LIMIT most + 1) x)
        UNION ALL SELECT d.gate, (SELECT count(*) FROM (
                SELECT FROM kr_task_stat t WHERE t.exec_status = 0 AND t.gate = d.gate AND t.gate IN ('pause', 'program') LIMIT most + 1) x)
            FROM unnest('{pause,program}'::text[]) d (gate)
        UNION ALL SELECT 'limit', (SELECT count(*) FROM (SELECT FROM kr_task_stat t WHERE t.exec_status = 0 AND t.gate = 'limit' LIMIT most + 1) x)
        UNION ALL SELECT 'signal', (SELECT count(*) FROM (SELECT FROM kr_task_stat t WHERE t.exec_status = 0 AND t.gate = 'signal' LIMIT most + 1) x)
        UNION ALL SELECT NULL, (SELECT count(*) FROM (SELECT FROM kr_task_stat t WHERE t.exec_status = 0 AND t.gate IS NULL LIMIT most + 1) x)),
    standing AS MATERIALIZED (
        (SELECT 'running' AS status, t.task_flow_id AS flow FROM kr_task_stat t WHERE t.exec_status = 1 LIMIT few + 1)
        UNION ALL (SELECT 'suspend', t.task_flow_id FROM kr_task_stat t WHERE t.exec_status = 2 LIMIT few + 1)
        UNION ALL (SELECT 'wait', t.task_flow_id FROM kr_task_stat t WHERE t.exec_status = 0 AND t.gate = 'slot' AND t.crashes < 2 LIMIT few + 1)
        UNION ALL (SELECT 'wait', t.task_flow_id FROM kr_task_stat t WHERE t.exec_status = 0 AND t.gate = 'slot' AND t.crashes >= 2 LIMIT few + 1)
        UNION ALL (SELECT 'wait', t.task_flow_id FROM kr_task_stat t WHERE t.exec_status = 0 AND t.gate = 'time' LIMIT few + 1)
        UNION ALL (SELECT 'wait', t.task_flow_id FROM kr_task_stat t WHERE t.exec_status = 0 AND t.gate = 'signal' LIMIT few + 1)
        UNION ALL (SELECT 'wait', h.task_flow_id FROM unnest('{pause,program}'::text[]) d (gate) CROSS JOIN LATERAL (
            SELECT t.task_flow_id FROM kr_task_stat t WHERE t.exec_status = 0 AND t.gate = d.gate AND t.gate IN ('pause', 'program') LIMIT few + 1) h)
        UNION ALL (SELECT 'wait', t.task_flow_id FROM kr_task_stat t WHERE t.exec_status = 0 AND t.gate = 'limit' LIMIT few + 1)
        UNION ALL (SELECT 'wait', t.task_flow_id FROM kr_task_stat t WHERE t.exec_status = 0 AND t.gate IS NULL LIMIT few + 1)),
    flow AS MATERIALIZED (
        SELECT s.flow, CASE WHEN bool_or(s.status = 'suspend') THEN 'suspend' WHEN bool_or(s.status = 'running') THEN 'running' ELSE 'wait' END AS status
        FROM standing s GROUP BY s.flow),
    looked AS MATERIALIZED (
        SELECT r.blocked FROM flow f CROSS JOIN LATERAL (
            SELECT t.exec_status = 0 AND t.gate = 'dependencies' AS blocked FROM kr_task_stat t WHERE t.task_flow_id = f.flow LIMIT most + 1) r LIMIT most + 1),
    cut AS MATERIALIZED (       -- of these statuses not every task was asked for its flow
        SELECT DISTINCT CASE WHEN c.place IN ('running', 'suspend') THEN c.place ELSE 'wait' END AS status FROM counted c WHERE c.number > few)
    SELECT CASE WHEN c.place IN ('running', 'suspend') THEN 'status' ELSE 'gate' END, c.place, least(c.number, most), c.number > most FROM counted c WHERE c.number > 0
    UNION ALL SELECT 'gate', 'dependencies', count(*) FILTER (WHERE l.blocked), count(*) > most OR EXISTS (SELECT FROM cut) FROM looked l
    UNION ALL SELECT 'flow', f.status, least(count(*), few), count(*) > few OR f.status IN (SELECT c.status FROM cut c) FROM flow f GROUP BY f.status;
END $$;
