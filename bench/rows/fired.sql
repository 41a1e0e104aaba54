-- How many flows schedules have made, and by how many seconds the last was late.
SELECT count(*) AS made, max(extract(epoch FROM registered_ts - scheduled_ts))::float8 AS late FROM kr_flow_stat WHERE scheduled_ts IS NOT NULL
