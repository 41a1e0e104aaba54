-- Make a flow for each time of a schedule that has none yet. $1 name   $2 times. See functions/flower_schedule.sql.
SELECT nominal, flow_id FROM kr_backfill($1::text, $2::timestamptz[])
