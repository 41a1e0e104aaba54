-- How many milliseconds the flow $1 took, from its registration to the end of its last task.
SELECT (extract(epoch FROM max(t.finished_ts) - min(f.registered_ts)) * 1000)::float8
FROM kr_flow_stat f JOIN kr_task_stat t USING (task_flow_id) WHERE f.task_flow_id = $1
