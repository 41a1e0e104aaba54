-- The workers that are alive, the oldest first.
SELECT w.worker_id, w.host, w.pid, w.version, w.slots, kr_texts(w.programs) AS programs, w.started_ts, w.leaked FROM kr_worker w WHERE w.lease_until > clock_timestamp() ORDER BY w.started_ts
