-- Stay alive. $1 worker   $2 lease in seconds. No row: this worker was given up for lost and must not go on.
UPDATE kr_worker SET beat_ts = clock_timestamp(), lease_until = clock_timestamp() + make_interval(secs => $2::double precision), absent_since = NULL
WHERE worker_id = $1::uuid RETURNING worker_id
