-- The tasks that a worker ($1) holds, by the table.
SELECT t.task_flow_id::text AS flow, t.task_exec_seq AS seq, t.task_id::text AS workflow, t.name::text AS name, t.program::text AS program,
    t.attempt, t.claim_id AS claim
FROM kr_task_stat t WHERE t.exec_status = 1 AND t.worker_id = $1::uuid
