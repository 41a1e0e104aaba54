-- Schedules that fire once, in $2 seconds spread over the whole seconds from $3 seconds from now on, and then not for years. $1 how many
-- every: a tenth of the time since 1970, so that its tenth multiple is the time that is wanted.
INSERT INTO ms_schedule (name, task_id, every, next_ts)
    SELECT 's' || n, 'one', make_interval(secs => t.at / 10), to_timestamp(t.at)
    FROM generate_series(1, $1::integer) n
        CROSS JOIN LATERAL (SELECT floor(extract(epoch FROM now()) + $3::float8 + n * $2::float8 / greatest($1, 1)) AS at) t
