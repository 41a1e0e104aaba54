-- Remove a schedule. $1 name. See functions/flower_schedule.sql.
SELECT flower_unschedule($1::text)::text
