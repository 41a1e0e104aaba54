-- Write how far attempts are, each only while its row runs under its claim; a row that somebody has locked is left for the next time.
-- $1 flows   $2 seqs   $3 claims   $4 done   $5 total, NULL where it is not known, as parallel arrays
-- Joined by key, not by ctid: see notice.sql.
WITH held AS MATERIALIZED (
    SELECT t.task_flow_id, t.task_exec_seq, p.claim, p.done, p.total
    FROM unnest($1::text[], $2::numeric[], $3::uuid[], $4::double precision[], $5::double precision[]) p (flow, seq, claim, done, total)
        JOIN kr_task_stat t ON t.task_flow_id = p.flow AND t.task_exec_seq = p.seq
    WHERE t.exec_status + 0 = 1 AND t.claim_id = p.claim ORDER BY t.task_flow_id, t.task_exec_seq FOR UPDATE OF t SKIP LOCKED)
UPDATE kr_task_stat t SET progress = jsonb_build_object('done', h.done, 'total', h.total)
FROM held h WHERE t.task_flow_id = h.task_flow_id AND t.task_exec_seq = h.task_exec_seq AND t.claim_id = h.claim
