-- Revisions of a workflow, the newest first. $1 workflow   $2 before this one, NULL from the newest   $3 how many
SELECT r.revision, r.changed_ts AS at, r.changed_by AS by, r.source, r.steps::text AS steps, r.takes::text AS takes, r.result::text AS result, r.timeout, r.max_flows,
    r.revision = w.revision AS is_current
FROM ms_workflow_revision r LEFT JOIN ms_workflow w ON w.task_id = r.task_id
WHERE r.task_id = $1::text AND r.revision < coalesce($2::integer, 2147483647) ORDER BY r.revision DESC LIMIT $3::integer
