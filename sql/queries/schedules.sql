-- Schedules in order of their names. $1 one name, NULL for all   $2 behind this name   $3 how many   $4 whether only those that have stopped themselves
-- $5 only those of this workflow, NULL: of any
SELECT s.name, s.task_id, s.cron, s.every, s.zone, s.parameters::text AS parameters, s.priority, s.catch_up, s.catch_up_most, s.overlap, s.on_failure, s.paused, s.reason, s.error,
    s.since_ts, s.next_ts, s.last_ts, s.passed_ts, s.passed_why, s.code_hash IS NOT NULL AS by_code, now() AS now,
    (SELECT count(*) FROM kr_schedule_turn t WHERE t.schedule = s.name AND t.task_flow_id IS NULL) AS waiting,
    ARRAY(SELECT t.task_flow_id::text FROM kr_schedule_turn t WHERE t.schedule = s.name AND t.task_flow_id IS NOT NULL AND kr_in_progress(t.task_flow_id, s.on_failure = 'hold') ORDER BY t.id LIMIT 5) AS in_progress
FROM ms_schedule s
WHERE ($1::text IS NULL OR s.name = $1) AND ($2::text IS NULL OR s.name > $2) AND ($4::boolean IS NOT TRUE OR s.error IS NOT NULL)
    AND ($5::text IS NULL OR s.task_id = $5)
ORDER BY s.name LIMIT $3::integer
