-- One task of a flow, like those of tasks_of_flow.sql: that with the seq $2, else the first with the name $3.
-- $1 flow   $4 how many of the step numbers that it depends on, NULL for all
-- The second is looked for only if there is no first.
SELECT t.*, ARRAY(
    SELECT coalesce(p.task_seq, e.parent_seq) FROM kr_task_edge e
        LEFT JOIN kr_task_stat p ON p.task_flow_id = e.task_flow_id AND p.task_exec_seq = e.parent_seq
    WHERE e.task_flow_id = t.flow_id AND e.task_exec_seq = t.seq ORDER BY e.parent_seq LIMIT $4::integer) AS depends_on,
    (SELECT s.place FROM kr_flow_stat f JOIN kr_step s ON s.task_id = f.task_id AND s.revision = f.revision AND s.task_exec_seq = t.seq WHERE f.task_flow_id = t.flow_id) AS place
FROM flower_tasks t WHERE t.flow_id = $1::text AND t.seq = coalesce(
    (SELECT k.task_exec_seq FROM kr_task_stat k WHERE k.task_flow_id = $1 AND k.task_exec_seq = $2::numeric),
    (SELECT min(k.task_exec_seq) FROM kr_task_stat k WHERE k.task_flow_id = $1 AND coalesce(k.name, k.program, k.task_seq::text) = $3::text))
