-- The flow that was registered last.
SELECT f.task_flow_id::text AS flow_id FROM kr_flow_stat f ORDER BY f.registered_ts DESC, f.task_flow_id DESC LIMIT 1
