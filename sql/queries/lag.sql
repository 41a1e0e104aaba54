-- For how many seconds the first in line at the gate slot could have been running: since it was registered, since its time came, or since the last of its
-- parents ended (of up to 1,000), whichever was last. No row: nobody is in line.
-- PostgreSQL 15 and 16 subtract no infinite time, which a hand may have written.
SELECT greatest(extract(epoch FROM clock_timestamp() - CASE WHEN isfinite(s.since) THEN s.since END), 0)::float8 AS seconds
FROM (SELECT t.task_flow_id, t.task_exec_seq, t.registered_ts, t.run_after FROM kr_task_stat t
    WHERE t.exec_status = 0 AND t.gate = 'slot' AND t.crashes < 2 ORDER BY t.run_order, t.rank, t.task_exec_seq, t.task_flow_id LIMIT 1) q
    CROSS JOIN LATERAL (SELECT greatest(q.registered_ts, q.run_after, (
        SELECT max(p.finished_ts) FROM (
            SELECT e.parent_seq FROM kr_task_edge e WHERE e.task_flow_id = q.task_flow_id AND e.task_exec_seq = q.task_exec_seq LIMIT 1000) e
            CROSS JOIN LATERAL (SELECT t.finished_ts FROM kr_task_stat t WHERE t.task_flow_id = q.task_flow_id AND t.task_exec_seq = e.parent_seq) p)) AS since) s
