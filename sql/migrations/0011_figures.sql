-- What each worker recorded, by the minute, so that the fleet's throughput is a sum of few rows and never a count of tasks. The sweep removes
-- what is older than a day. finished: attempts that ended so; failed: those that left their task suspended as failed, poison or invalid;
-- retried: those that failed and are tried again.
CREATE TABLE kr_minute (
    minute    timestamptz NOT NULL,
    worker_id uuid        NOT NULL,
    finished  bigint      NOT NULL,
    failed    bigint      NOT NULL,
    retried   bigint      NOT NULL,
    CONSTRAINT kr_minute_pkey PRIMARY KEY (minute, worker_id)
) WITH (fillfactor = 50);

-- The same since the worker came, as its latest beat said: the next beat counts what is more than that.
ALTER TABLE kr_worker
    ADD COLUMN finished bigint NOT NULL DEFAULT 0,
    ADD COLUMN failed   bigint NOT NULL DEFAULT 0,
    ADD COLUMN retried  bigint NOT NULL DEFAULT 0;
