-- A page of flows, the newest first.
-- $1 status   $2 outcome of one of its tasks   $3 workflow, each NULL for any   $4, $5 time and id of the last one seen, NULL from the newest
-- $6 how many. Few flows have a task that runs or is suspended: those are found from their tasks, and all others in their own order. Each
-- half asks first whether it is the one that is meant, so the other costs nothing.
WITH few AS MATERIALIZED (
    SELECT t.task_flow_id FROM kr_task_stat t WHERE $1::text = 'running' AND t.exec_status = 1
    UNION
    SELECT t.task_flow_id FROM kr_task_stat t
    WHERE ($1::text = 'suspend' OR $2::text IN ('failed', 'approval', 'poison', 'invalid')) AND t.exec_status = 2 AND ($2::text IS NULL OR t.outcome = $2))
(SELECT f.* FROM flower_flows f
    WHERE coalesce($1::text IN ('running', 'suspend'), false) IS FALSE AND coalesce($2::text IN ('failed', 'approval', 'poison', 'invalid'), false) IS FALSE
        AND (f.registered_at, f.flow_id) < (coalesce($4::timestamptz, 'infinity'), coalesce($5::text, ''))
        AND ($3::text IS NULL OR f.workflow = $3)
        AND ($1::text IS NULL OR f.status = $1)
        AND ($2::text IS NULL OR EXISTS (SELECT FROM kr_task_stat t WHERE t.task_flow_id = f.flow_id AND t.outcome = $2))
    ORDER BY f.registered_at DESC, f.flow_id DESC LIMIT $6::integer)
UNION ALL
(SELECT f.* FROM flower_flows f
    WHERE ($1::text IN ('running', 'suspend') OR $2::text IN ('failed', 'approval', 'poison', 'invalid'))
        AND f.flow_id = ANY (ARRAY(SELECT few.task_flow_id FROM few))
        AND (f.registered_at, f.flow_id) < (coalesce($4::timestamptz, 'infinity'), coalesce($5::text, ''))
        AND ($3::text IS NULL OR f.workflow = $3)
        AND ($1::text IS NULL OR f.status = $1)
        AND ($2::text IS NULL OR EXISTS (SELECT FROM kr_task_stat t WHERE t.task_flow_id = f.flow_id AND t.outcome = $2))
    ORDER BY f.registered_at DESC, f.flow_id DESC LIMIT $6::integer)
ORDER BY registered_at DESC, flow_id DESC LIMIT $6::integer
