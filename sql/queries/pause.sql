-- Have nothing new of something start. $1 options (JSON). See functions/flower_pause.sql.
SELECT flower_pause($1::jsonb)::text
