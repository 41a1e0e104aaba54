-- Stay alive, and say what was recorded. $1 worker   $2 lease in seconds
-- $3 finished   $4 failed   $5 retried: all that this worker has recorded since it came. What is more than at the last beat counts for this minute:
-- a beat that was lost loses nothing, and one that was sent twice counts once.
-- No row: this worker was given up for lost and must not go on.
WITH was AS MATERIALIZED (
    SELECT w.worker_id, w.finished, w.failed, w.retried FROM kr_worker w WHERE w.worker_id = $1::uuid FOR UPDATE),
counted AS (
    INSERT INTO kr_minute AS m (minute, worker_id, finished, failed, retried)
        SELECT date_trunc('minute', clock_timestamp()), w.worker_id, $3::bigint - w.finished, $4::bigint - w.failed, $5::bigint - w.retried FROM was w
        WHERE (w.finished, w.failed, w.retried) <> ($3, $4, $5)
        ON CONFLICT (minute, worker_id) DO UPDATE
            SET finished = m.finished + excluded.finished, failed = m.failed + excluded.failed, retried = m.retried + excluded.retried)
-- Joined by key: a version that came after the snapshot is locked, and found by its key only.
UPDATE kr_worker k SET beat_ts = clock_timestamp(), lease_until = clock_timestamp() + make_interval(secs => $2::double precision), absent_since = NULL,
    finished = $3, failed = $4, retried = $5
FROM was w WHERE k.worker_id = w.worker_id RETURNING k.worker_id
