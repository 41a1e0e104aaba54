-- Limits and how it stands with them, in order of name. $1 only this one, NULL for all   $2 waiting tasks are counted up to so many
-- running, holders: who is inside, of a pattern under any of its names, flows where flows are counted; next_at: when its rate lets the next one start.
SELECT l.name, l.slots, l.rate, kr_counts_flows(l.name) AS of_flows, CASE WHEN kr_counts_flows(l.name) THEN f.running ELSE coalesce(i.running, 0) END AS running, coalesce(i.ready, 0) AS ready, w.waiting,
    kr_texts(CASE WHEN kr_counts_flows(l.name) THEN f.holders ELSE h.holders END) AS holders, k.free_at AS next_at
FROM ms_limit l
    LEFT JOIN kr_turn k ON k.name = l.name AND l.rate IS NOT NULL AND k.free_at > clock_timestamp()
    LEFT JOIN LATERAL (
        SELECT sum(a.counts[p.n] - a.waiting[p.n]) AS running, sum(a.waiting[p.n]) AS ready FROM (SELECT (kr_inside()).* OFFSET 0) a CROSS JOIN LATERAL generate_subscripts(a.names, 1) p (n)
        WHERE CASE WHEN l.prefix IS NULL THEN a.names[p.n] = l.name ELSE starts_with(a.names[p.n], l.prefix) END) i ON true
    CROSS JOIN LATERAL (
        SELECT count(*) AS running, (array_agg(i.task_flow_id::text ORDER BY i.since_ts))[: 5] AS holders FROM kr_flow_inside i
        WHERE kr_counts_flows(l.name) AND CASE WHEN l.prefix IS NULL THEN i.name = l.name ELSE starts_with(i.name, l.prefix) END) f
    CROSS JOIN LATERAL (
        SELECT count(DISTINCT CASE WHEN kr_counts_flows(l.name) THEN t.task_flow_id ELSE t.task_flow_id || '/' || t.task_exec_seq END) AS waiting FROM (
            SELECT t.task_flow_id, t.task_exec_seq FROM kr_task_stat t WHERE t.exec_status = 0 AND t.gate = 'limit' AND t.waits_for COLLATE "C" >= coalesce(l.prefix, l.name)
                AND t.waits_for COLLATE "C" <= CASE WHEN l.prefix IS NULL THEN l.name ELSE l.prefix || chr(1114111) END LIMIT $2::integer) t) w
    CROSS JOIN LATERAL (
        SELECT ARRAY(SELECT t.task_flow_id || '/' || t.task_exec_seq FROM kr_task_stat t CROSS JOIN LATERAL unnest(t.limits) n
            WHERE t.limits IS NOT NULL AND (t.exec_status = 1 OR (t.exec_status = 0 AND t.gate = 'slot')) AND t.exec_status + 0 = 1
                AND CASE WHEN l.prefix IS NULL THEN n = l.name ELSE starts_with(n, l.prefix) END
            ORDER BY t.started_ts LIMIT 5) AS holders) h
WHERE $1::text IS NULL OR l.name = $1 ORDER BY l.name
