-- A page of flows, the newest first.
-- $1 status   $2 outcome of one of its tasks   $3 workflow, each NULL for any   $4, $5 time and id of the last one seen, NULL from the newest
-- $6 how many. The sets of running and suspended tasks are small and have indexes: they come before the look at each flow's tasks.
SELECT * FROM flower_flows f
WHERE (f.registered_at, f.flow_id) < (coalesce($4::timestamptz, 'infinity'), coalesce($5::text, ''))
    AND ($3::text IS NULL OR f.workflow = $3)
    AND ($1::text IS DISTINCT FROM 'suspend' OR f.flow_id IN (SELECT t.task_flow_id FROM kr_task_stat t WHERE t.exec_status = 2))
    AND ($1::text IS DISTINCT FROM 'running' OR f.flow_id IN (SELECT t.task_flow_id FROM kr_task_stat t WHERE t.exec_status = 1))
    AND ($1::text IS NULL OR f.status = $1)
    AND ($2::text IS NULL OR EXISTS (SELECT FROM kr_task_stat t WHERE t.task_flow_id = f.flow_id AND t.outcome = $2))
ORDER BY f.registered_at DESC, f.flow_id DESC LIMIT $6::integer
