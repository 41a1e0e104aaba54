-- Limits and how it stands with them, in order of name. $1 only this one, NULL for all   $2 waiting tasks are counted up to so many
-- $3 behind this name, NULL: from the start   $4 how many, NULL: all
-- running, holders: who is inside, of a pattern under any of its names, flows where flows are counted; next_at: when its rate lets the next one start; paused: by which pause.
-- inside, runs: looked for once, and not for each limit anew.
WITH inside AS MATERIALIZED (
    SELECT n.name, n.count - n.waiting AS running, n.waiting AS ready FROM kr_inside() a CROSS JOIN LATERAL unnest(a.names, a.counts, a.waiting) n (name, count, waiting)),
runs AS MATERIALIZED (
    SELECT t.task_flow_id || '/' || t.task_exec_seq AS task, t.started_ts, n.name FROM kr_task_stat t CROSS JOIN LATERAL unnest(t.limits) n (name)
    WHERE t.limits IS NOT NULL AND (t.exec_status = 1 OR (t.exec_status = 0 AND t.gate = 'slot')) AND t.exec_status + 0 = 1)
SELECT l.name, l.slots, l.rate, kr_counts_flows(l.name) AS of_flows, CASE WHEN kr_counts_flows(l.name) THEN f.running ELSE coalesce(i.running, 0) END AS running, coalesce(i.ready, 0) AS ready, w.waiting,
    kr_texts(CASE WHEN kr_counts_flows(l.name) THEN f.holders ELSE h.holders END) AS holders, k.free_at AS next_at,
    (SELECT p.task_id::text FROM ms_pause p WHERE p.kind = 'limit' AND kr_fits(ARRAY[l.name], ARRAY[p.task_id]) ORDER BY p.task_id = l.name DESC, p.task_id LIMIT 1) AS paused
FROM (SELECT m.* FROM ms_limit m WHERE ($1::text IS NULL OR m.name = $1) AND ($3::text IS NULL OR m.name > $3) ORDER BY m.name LIMIT $4::integer) l
    LEFT JOIN kr_turn k ON k.name = l.name AND l.rate IS NOT NULL AND k.free_at > clock_timestamp()
    CROSS JOIN LATERAL (
        SELECT sum(a.running) AS running, sum(a.ready) AS ready FROM inside a WHERE CASE WHEN l.prefix IS NULL THEN a.name = l.name ELSE starts_with(a.name, l.prefix) END) i
    CROSS JOIN LATERAL (
        SELECT count(*) AS running, (array_agg(i.task_flow_id::text ORDER BY i.since_ts))[: 5] AS holders FROM kr_flow_inside i
        WHERE kr_counts_flows(l.name) AND CASE WHEN l.prefix IS NULL THEN i.name = l.name ELSE starts_with(i.name, l.prefix) END) f
    CROSS JOIN LATERAL (
        SELECT count(DISTINCT CASE WHEN kr_counts_flows(l.name) THEN t.task_flow_id ELSE t.task_flow_id || '/' || t.task_exec_seq END) AS waiting FROM (
            SELECT t.task_flow_id, t.task_exec_seq FROM kr_task_stat t WHERE t.exec_status = 0 AND t.gate = 'limit' AND t.waits_for COLLATE "C" >= coalesce(l.prefix, l.name)
                AND t.waits_for COLLATE "C" <= CASE WHEN l.prefix IS NULL THEN l.name ELSE l.prefix || chr(1114111) END LIMIT $2::integer) t) w
    CROSS JOIN LATERAL (
        SELECT ARRAY(SELECT r.task FROM runs r WHERE CASE WHEN l.prefix IS NULL THEN r.name = l.name ELSE starts_with(r.name, l.prefix) END ORDER BY r.started_ts LIMIT 5) AS holders) h
ORDER BY l.name
