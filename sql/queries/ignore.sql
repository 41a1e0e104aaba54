-- Skip a task. $1 flow   $2 step: seq or name   $3 options (JSON). See functions/flower_verbs.sql.
SELECT flower_ignore($1::text, $2::text, $3::jsonb)::text
