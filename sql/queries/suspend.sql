-- Have nothing new of a flow start. $1 flow   $2 options (JSON). See functions/flower_verbs.sql.
SELECT flower_suspend($1::text, $2::jsonb)::text
