-- Let times of schedules go on that wait for a flow which is over: see functions/kr_fire.sql.
SELECT event, schedule, nominal, flow_id, message FROM kr_advance_schedules()
