-- Run a flow again, in part. $1 flow   $2 options (JSON). Answers the plan, as JSON text: see functions/flower_rerun.sql.
SELECT flower_rerun($1::text, $2::jsonb)::text
