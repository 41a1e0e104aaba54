-- Ask the engine to ring flower_end when a flow has nothing left to do. $1 flow   $2 waiter. Those of a day ago are forgotten.
WITH old AS (DELETE FROM kr_waiter WHERE since < clock_timestamp() - interval '1 day')
INSERT INTO kr_waiter (task_flow_id, waiter_id) VALUES ($1::text, $2::uuid)
