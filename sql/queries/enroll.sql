-- Come to work: a row for this process, and what its programs take.
-- $1 worker   $2 host   $3 pid   $4 version   $5 slots   $6 programs   $7 of each, as JSON: {"takes": names, or null for any,
-- "accepts": see migrations/0004_program_types.sql, "requires": names, "result": schema}   $8 lease in seconds. direct: whether the server sees this session under its own name, so that it can see it missing later.
WITH announced AS (
    INSERT INTO kr_program (program, takes, accepts, requires, result)
        SELECT p.program, t.takes, t.accepts, nullif(t.requires, '{}'), t.result
        FROM unnest($6::text[], $7::jsonb[]) p (program, said) CROSS JOIN jsonb_to_record(p.said) t (takes text[], accepts jsonb, requires text[], result jsonb) ORDER BY 1
        ON CONFLICT (program) DO UPDATE SET takes = excluded.takes, accepts = excluded.accepts, requires = excluded.requires, result = excluded.result
            WHERE (kr_program.takes, kr_program.accepts, kr_program.requires, kr_program.result)
                IS DISTINCT FROM (excluded.takes, excluded.accepts, excluded.requires, excluded.result))
INSERT INTO kr_worker (worker_id, host, pid, version, slots, programs, direct, lease_until)
    VALUES ($1::uuid, $2::text, $3::integer, $4::text, $5::integer, $6::text[],
        EXISTS (SELECT FROM pg_stat_activity a WHERE a.application_name LIKE 'flower/' || $1::text || '/%'), clock_timestamp() + make_interval(secs => $8::double precision))
    -- Sent again, because the first answer was lost.
    ON CONFLICT (worker_id) DO UPDATE SET beat_ts = clock_timestamp(), lease_until = excluded.lease_until
