-- The latest flows of each of these workflows, the newest first. $1 workflows   $2 how many flows of each   $3 how many tasks of a flow are looked at.
-- See functions/kr_history.sql.
SELECT workflow, flow_id, status, outcome, stalled, registered_at, finished_at, partly FROM kr_history($1::text[], $2::integer, $3::integer)
ORDER BY workflow, registered_at DESC, flow_id DESC
