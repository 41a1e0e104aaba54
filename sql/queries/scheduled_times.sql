-- Which of these times of a schedule have a flow, or wait for their turn. $1 schedule   $2 times
SELECT t.at FROM unnest($2::timestamptz[]) t (at)
WHERE EXISTS (SELECT FROM kr_flow_stat f WHERE f.schedule = $1::text AND f.scheduled_ts = t.at) OR EXISTS (SELECT FROM kr_schedule_turn w WHERE w.schedule = $1 AND w.scheduled_ts = t.at)
