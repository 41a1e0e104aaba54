-- Go home: the worker's row goes. What it still held would be taken back by the next sweep.
-- $1 worker   $2 finished   $3 failed   $4 retried: all that it has recorded. What no beat has said yet counts for this minute: see beat.sql.
WITH gone AS (
    DELETE FROM kr_worker w WHERE w.worker_id = $1::uuid RETURNING w.worker_id, w.finished, w.failed, w.retried)
INSERT INTO kr_minute AS m (minute, worker_id, finished, failed, retried)
    SELECT date_trunc('minute', clock_timestamp()), g.worker_id, $2::bigint - g.finished, $3::bigint - g.failed, $4::bigint - g.retried FROM gone g
    WHERE (g.finished, g.failed, g.retried) <> ($2, $3, $4)
    ON CONFLICT (minute, worker_id) DO UPDATE
        SET finished = m.finished + excluded.finished, failed = m.failed + excluded.failed, retried = m.retried + excluded.retried
