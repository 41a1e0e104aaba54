-- The tasks of these flows ($1) that wait for an answer of a person, the latest first.
SELECT t.task_flow_id AS flow_id, t.task_exec_seq AS seq, coalesce(t.name, t.program, t.task_seq::text)::text AS name, t.task_id AS workflow, t.error ->> 'message' AS question, t.suspended_ts AS since
FROM kr_task_stat t WHERE t.task_flow_id = ANY ($1::text[]) AND t.exec_status = 2 AND t.outcome = 'approval' ORDER BY t.suspended_ts DESC NULLS LAST, t.task_flow_id, t.task_exec_seq
