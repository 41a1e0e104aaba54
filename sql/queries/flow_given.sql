-- What a flow ($1) was started with, as JSON text, and what it has resulted in.
SELECT f.parameters::text AS parameters, kr_flow_result(f.task_flow_id)::text AS result FROM kr_flow_stat f WHERE f.task_flow_id = $1::text
