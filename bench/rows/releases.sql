-- How long after the end of one task of workflow $1 the next one began, in ms, in the order of their starts: they run one at a time.
SELECT coalesce(array_agg(extract(epoch FROM g.started_ts - g.ended) * 1000 ORDER BY g.started_ts)::float8[], '{}') AS taken
FROM (SELECT started_ts, lag(finished_ts) OVER (ORDER BY started_ts) AS ended FROM kr_task_stat WHERE task_id = $1 AND exec_status = 3) g WHERE g.ended IS NOT NULL
