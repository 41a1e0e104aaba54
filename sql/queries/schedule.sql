-- Write a schedule. $1 name   $2 options (JSON). See functions/flower_schedule.sql.
SELECT flower_schedule($1::text, $2::jsonb)::text
