-- The flows whose id is $1 or begins like it, the newest first, at most six; an exact match alone.
SELECT f.task_flow_id::text AS flow_id FROM kr_flow_stat f
WHERE f.task_flow_id = $1::text OR (starts_with(f.task_flow_id, $1::text) AND NOT EXISTS (SELECT FROM kr_flow_stat x WHERE x.task_flow_id = $1::text))
ORDER BY f.registered_ts DESC LIMIT 6
