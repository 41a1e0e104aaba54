-- Run a suspended task again, or have one that waits for its next attempt begin it now. $1 flow   $2 step: seq or name   $3 options (JSON). See functions/flower_verbs.sql.
SELECT flower_retry($1::text, $2::text, $3::jsonb)::text
