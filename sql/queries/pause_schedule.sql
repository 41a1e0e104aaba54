-- Let a schedule make nothing. $1 name   $2 options (JSON). See functions/flower_schedule.sql.
SELECT flower_pause_schedule($1::text, $2::jsonb)::text
