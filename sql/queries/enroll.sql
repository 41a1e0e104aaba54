-- Come to work: a row for this process, and what its programs take.
-- $1 worker   $2 host   $3 pid   $4 version   $5 slots   $6 programs   $8 lease in seconds
-- $7 of each program, as JSON: {"takes": names, or null for any, "requires": names, "accepts": {name: JSON schema}, "result": JSON schema,
--    "options": see migrations/0005_attempts.sql, "place": file:line, "limits": names}
-- direct: whether the server sees this session under its own name, so that it can see it missing later.
WITH said AS MATERIALIZED (
    SELECT p.program, t.*, md5((p.said - '{options,result,place,limits}'::text[])::text) AS signature, p.n
    FROM unnest($6::text[], $7::jsonb[]) WITH ORDINALITY p (program, said, n)
        CROSS JOIN jsonb_to_record(p.said) t (takes text[], accepts jsonb, requires text[], result jsonb, options jsonb, place text, limits text[])),
announced AS (
    INSERT INTO kr_program (program, takes, accepts, requires, result, options, place, limits, signature)
        SELECT s.program, s.takes, s.accepts, s.requires, s.result, s.options, s.place, s.limits, s.signature FROM said s ORDER BY 1
        ON CONFLICT (program) DO UPDATE SET takes = excluded.takes, accepts = excluded.accepts, requires = excluded.requires, result = excluded.result,
            options = excluded.options, place = excluded.place, limits = excluded.limits, signature = excluded.signature
            WHERE (kr_program.takes, kr_program.result, kr_program.options, kr_program.place, kr_program.limits, kr_program.signature)
                IS DISTINCT FROM (excluded.takes, excluded.result, excluded.options, excluded.place, excluded.limits, excluded.signature))
INSERT INTO kr_worker (worker_id, host, pid, version, slots, programs, signatures, direct, lease_until)
    VALUES ($1::uuid, $2::text, $3::integer, $4::text, $5::integer, $6::text[], ARRAY(SELECT s.signature FROM said s ORDER BY s.n),
        EXISTS (SELECT FROM pg_stat_activity a WHERE a.application_name LIKE 'flower/' || $1::text || '/%'), clock_timestamp() + make_interval(secs => $8::double precision))
    -- Sent again, because the first answer was lost.
    ON CONFLICT (worker_id) DO UPDATE SET beat_ts = clock_timestamp(), lease_until = excluded.lease_until
