-- All tasks of a flow, in order, with the step numbers that each depends on, and where its workflow calls it.
SELECT t.*, ARRAY(
    SELECT coalesce(p.task_seq, e.parent_seq) FROM kr_task_edge e
        LEFT JOIN kr_task_stat p ON p.task_flow_id = e.task_flow_id AND p.task_exec_seq = e.parent_seq
    WHERE e.task_flow_id = t.flow_id AND e.task_exec_seq = t.seq ORDER BY e.parent_seq) AS depends_on,
    (SELECT s.place FROM kr_flow_stat f JOIN kr_step s ON s.task_id = f.task_id AND s.revision = f.revision AND s.task_exec_seq = t.seq WHERE f.task_flow_id = t.flow_id) AS place
FROM flower_tasks t WHERE t.flow_id = $1::text ORDER BY t.seq
