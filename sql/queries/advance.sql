-- Make it time for those of a flow's waiting tasks whose time comes first, if all that is left of the flow waits for a time, or for a task that does.
-- $1 flow
UPDATE kr_task_stat SET run_after = clock_timestamp()
WHERE task_flow_id = $1 AND exec_status = 0 AND gate = 'time'
    AND run_after = (SELECT min(run_after) FROM kr_task_stat WHERE task_flow_id = $1 AND exec_status = 0 AND gate = 'time')
    AND NOT EXISTS (SELECT FROM kr_task_stat WHERE task_flow_id = $1 AND (exec_status = 1 OR (exec_status = 0 AND coalesce(gate, '') NOT IN ('time', 'dependencies'))))
