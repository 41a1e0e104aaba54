-- Start the workflow of a schedule now. $1 name   $2 options (JSON). See functions/flower_schedule.sql.
SELECT flower_fire($1::text, $2::jsonb)::text
