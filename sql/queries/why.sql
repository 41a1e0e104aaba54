-- Where the tasks of a flow stand that are neither running, suspended nor done, and what is known of the thing that each waits for.
SELECT t.seq, t.name, t.status_number, t.program, t.gate, t.waits_seq, t.waits_for, t.run_after, t.crashes, t.priority,
    p.name AS parent_name, p.status AS parent_status, p.outcome AS parent_outcome,
    z.reason AS pause_reason, l.slots AS limit_slots,
    CASE WHEN t.gate = 'limit' THEN ARRAY(
        SELECT i.task_flow_id || '/' || i.task_exec_seq FROM kr_task_stat i WHERE i.limits IS NOT NULL AND (i.exec_status = 1 OR (i.exec_status = 0 AND i.gate = 'slot'))
            AND i.limits @> ARRAY[t.waits_for] ORDER BY i.started_ts LIMIT 5) END AS limit_holders,
    EXISTS (SELECT FROM kr_worker w WHERE t.program = ANY (w.programs)) AS program_known
FROM flower_tasks t
    LEFT JOIN flower_tasks p ON p.flow_id = t.flow_id AND p.seq = t.waits_seq
    LEFT JOIN ms_pause z ON t.gate = 'pause' AND z.task_id = t.waits_for
    LEFT JOIN ms_limit l ON t.gate = 'limit' AND l.name = t.waits_for
WHERE t.flow_id = $1::text AND t.status_number NOT IN (1, 2, 3, 9) ORDER BY t.seq
