-- What is paused, everything first, then by kind and name: up to $1, behind the pause of this kind ($2, NULL: from the start) and name ($3).
-- A hand may have written the id of a flow like the name of a workflow.
SELECT p.kind, p.name, p.reason, p.since, p.until, p.who AS by FROM (
    SELECT CASE WHEN z.kind = 'workflow' AND EXISTS (SELECT FROM kr_flow_stat f WHERE f.task_flow_id = z.task_id)
            AND NOT EXISTS (SELECT FROM ms_task_definition d WHERE d.task_id = z.task_id) THEN 'flow' ELSE z.kind END AS kind,
        z.task_id AS name, z.reason, z.paused_ts AS since, CASE WHEN isfinite(z.until_ts) THEN z.until_ts END AS until, z.who FROM ms_pause z) p
    CROSS JOIN (SELECT '{all,workflow,program,limit,flow}'::text[] AS kinds) k
WHERE $2::text IS NULL OR (array_position(k.kinds, p.kind), p.name) > (array_position(k.kinds, $2), $3::text)
ORDER BY array_position(k.kinds, p.kind), p.name LIMIT $1::integer
