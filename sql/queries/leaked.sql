-- Note how many attempts of a worker ($1) go on though they were told to stop: $2.
UPDATE kr_worker SET leaked = $2::integer WHERE worker_id = $1::uuid
