-- Make a flow more or less urgent. $1 flow   $2 options (JSON). See functions/flower_verbs.sql.
SELECT flower_priority($1::text, $2::jsonb)::text
