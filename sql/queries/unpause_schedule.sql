-- Let a schedule go on. $1 name   $2 options (JSON). See functions/flower_schedule.sql.
SELECT flower_unpause_schedule($1::text, $2::jsonb)::text
