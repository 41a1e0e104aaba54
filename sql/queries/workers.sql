-- The workers that are alive, the oldest first, each with what it runs now.
SELECT w.worker_id, w.host, w.pid, w.version, w.slots, kr_texts(w.programs) AS programs, w.started_ts, w.leaked, w.beat_ts, w.lease_until,
    CASE WHEN isfinite(w.beat_ts) THEN least(greatest(extract(epoch FROM clock_timestamp() - w.beat_ts), 0), 1e9) ELSE 1e9 END::float8 AS silent,
    (SELECT count(*) FROM kr_task_stat t WHERE t.exec_status = 1 AND t.worker_id = w.worker_id) AS running
FROM kr_worker w WHERE w.lease_until > clock_timestamp() ORDER BY w.started_ts
