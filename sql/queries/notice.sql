-- Note in the row of a running task what its worker sees of it. $1 flow   $2 seq   $3 claim   $4 type   $5 message   $6 where
-- A row that somebody has locked is left alone: then, and when the claim is gone, there is no row in the answer.
-- Joined by key, not by ctid: a version that came after the snapshot is locked, and found by its key only.
WITH held AS MATERIALIZED (
    SELECT t.task_flow_id, t.task_exec_seq FROM kr_task_stat t
    WHERE t.task_flow_id = $1::text AND t.task_exec_seq = $2::numeric AND t.exec_status + 0 = 1 AND t.claim_id = $3::uuid FOR UPDATE SKIP LOCKED)
UPDATE kr_task_stat t SET notice = jsonb_build_object('type', $4::text, 'message', $5::text, 'where', $6::text, 'at', clock_timestamp())
FROM held h WHERE t.task_flow_id = h.task_flow_id AND t.task_exec_seq = h.task_exec_seq AND t.claim_id = $3::uuid RETURNING t.claim_id
