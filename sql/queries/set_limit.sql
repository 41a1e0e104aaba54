-- Set or remove a limit. $1 its name   $2 options (JSON). See functions/flower_limit.sql.
SELECT flower_limit($1::text, $2::jsonb)::text
