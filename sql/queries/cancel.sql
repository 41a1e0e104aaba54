-- Make everything unfinished of a flow ignored. $1 flow   $2 options (JSON). See functions/flower_verbs.sql.
SELECT flower_cancel($1::text, $2::jsonb)::text
