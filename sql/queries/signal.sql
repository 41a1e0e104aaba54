-- Send a signal. $1 name   $2 key   $3 payload (JSON)   $4 options (JSON). See functions/flower_signal.sql.
SELECT flower_signal($1::text, $2::text, $3::jsonb, $4::jsonb)::text
