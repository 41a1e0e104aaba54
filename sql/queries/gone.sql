-- Which of these claims are gone: cancelled, taken away, set by hand or deleted. $1 flows   $2 seqs   $3 claims, as parallel arrays
SELECT g.claim FROM unnest($1::text[], $2::numeric[], $3::uuid[]) g (flow, seq, claim)
WHERE NOT EXISTS (SELECT FROM kr_task_stat t WHERE t.task_flow_id = g.flow AND t.task_exec_seq = g.seq AND t.exec_status + 0 = 1 AND t.claim_id = g.claim)
