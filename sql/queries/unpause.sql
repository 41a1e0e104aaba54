-- Let what is paused go on. $1 options (JSON). See functions/flower_pause.sql.
SELECT flower_unpause($1::jsonb)::text
