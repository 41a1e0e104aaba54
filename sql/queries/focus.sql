-- The task of a flow ($1) that a person looks at first: that went wrong, else that waits for a person, else that runs, else that has ended last.
SELECT t.task_exec_seq AS seq FROM kr_task_stat t WHERE t.task_flow_id = $1::text
ORDER BY CASE WHEN t.exec_status + 0 = 2 THEN CASE WHEN t.outcome IN ('failed', 'poison', 'invalid') THEN 0 ELSE 1 END WHEN t.exec_status + 0 = 1 THEN 2 WHEN t.exec_status + 0 = 3 THEN 3 ELSE 4 END,
    CASE WHEN t.exec_status + 0 = 3 THEN t.finished_ts END DESC NULLS LAST, t.task_exec_seq LIMIT 1
