-- Write the schedule that code says a workflow has. $1 name   $2 options (JSON), NULL: it has none   $3 hash. See functions/flower_schedule.sql.
SELECT kr_declare_schedule($1::text, $2::jsonb, $3::text)
