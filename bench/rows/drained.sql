-- How fast the no-op tasks registered after $1 ran, from the first start to the last end, and each fifth of them in the order of their ends.
WITH ours AS (
    SELECT started_ts, finished_ts, ntile(5) OVER (ORDER BY finished_ts) AS fifth
    FROM kr_task_stat WHERE task_id = 'one' AND exec_status = 3 AND registered_ts > $1),
part AS (
    SELECT fifth, count(*) AS tasks, min(started_ts) AS first, max(finished_ts) AS last FROM ours GROUP BY 1),
timed AS (
    SELECT *, tasks / extract(epoch FROM last - lag(last, 1, first) OVER (ORDER BY fifth)) AS per_second FROM part)
SELECT sum(tasks)::integer AS tasks, (sum(tasks) / extract(epoch FROM max(last) - min(first)))::float8 AS per_second,
    array_agg(per_second::float8 ORDER BY fifth) AS fifths
FROM timed
