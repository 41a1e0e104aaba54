-- How many seconds until a schedule's time comes (NULL: none will), and whether a time of any waits for a flow to end.
SELECT (SELECT extract(epoch FROM s.next_ts - now())::float8 FROM ms_schedule s WHERE NOT s.paused AND s.error IS NULL AND isfinite(s.next_ts) ORDER BY s.next_ts LIMIT 1) AS seconds,
    EXISTS (SELECT FROM kr_schedule_turn t WHERE t.task_flow_id IS NULL) AS waiting
