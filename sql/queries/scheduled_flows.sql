-- The latest flows of a schedule, the newest first. $1 schedule   $2 how many
SELECT v.* FROM (SELECT f.task_flow_id FROM kr_flow_stat f WHERE f.schedule = $1::text ORDER BY f.registered_ts DESC LIMIT $2::integer) l
    JOIN flower_flows v ON v.flow_id = l.task_flow_id ORDER BY v.registered_at DESC
