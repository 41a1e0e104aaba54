-- The latest flow of each of these schedules, for those that have one. $1 schedules
SELECT v.* FROM unnest($1::text[]) s (name)
    CROSS JOIN LATERAL (SELECT f.task_flow_id FROM kr_flow_stat f WHERE f.schedule = s.name ORDER BY f.registered_ts DESC LIMIT 1) l
    JOIN flower_flows v ON v.flow_id = l.task_flow_id
