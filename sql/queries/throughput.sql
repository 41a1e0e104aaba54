-- What all workers recorded in each of the last $1 minutes, the oldest first; the last one is still going on.
WITH counted AS MATERIALIZED (
    SELECT k.minute, greatest(least(sum(k.finished), 1e18), 0)::bigint AS finished, greatest(least(sum(k.failed), 1e18), 0)::bigint AS failed, greatest(least(sum(k.retried), 1e18), 0)::bigint AS retried FROM kr_minute k
    WHERE k.minute > date_trunc('minute', statement_timestamp()) - make_interval(mins => $1::integer) GROUP BY k.minute)
SELECT m.minute, coalesce(c.finished, 0) AS finished, coalesce(c.failed, 0) AS failed, coalesce(c.retried, 0) AS retried
FROM generate_series(0, $1 - 1) n CROSS JOIN LATERAL (SELECT date_trunc('minute', statement_timestamp()) - make_interval(mins => n) AS minute) m
    LEFT JOIN counted c ON c.minute = m.minute
ORDER BY 1
