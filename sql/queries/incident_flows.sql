-- The flows with a suspended task of an incident ($1 its id, or a unique beginning of it).
SELECT DISTINCT t.task_flow_id::text AS flow_id, t.fingerprint FROM kr_task_stat t
WHERE t.exec_status = 2 AND t.fingerprint IS NOT NULL AND starts_with(t.fingerprint, $1::text) ORDER BY 1
