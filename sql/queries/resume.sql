-- Let a suspended flow go on. $1 flow   $2 options (JSON). See functions/flower_verbs.sql.
SELECT flower_resume($1::text, $2::jsonb)::text
