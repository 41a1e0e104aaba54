-- The steps of one workflow ($1), or of all (NULL), in order, each with what its workflow says as a whole.
SELECT w.workflow, s.seq, s.program, s.priority, s."dependsOn" AS depends_on, s.limits, s.place, nullif(jsonb_strip_nulls(kr_step_options(s.attempts, s.backoff, s."retryOn", s."giveUpOn", s.timeout, s."onLost")), '{}')::text AS options, s.parameters::text AS parameters, s.name,
    s.program = 'WaitForSignal' OR EXISTS (SELECT FROM kr_worker k WHERE s.program = ANY (k.programs)) AS known, m.revision, m.takes::text AS takes, m.result::text AS result, m.timeout AS flow_timeout,
    (SELECT l.slots FROM ms_limit l WHERE l.name = 'workflow:' || w.workflow) AS max_flows,
    z.kind AS pause_kind, z.task_id AS pause_name, z.reason AS pause_reason, z.paused_ts AS pause_since, CASE WHEN isfinite(z.until_ts) THEN z.until_ts END AS pause_until, z.who AS pause_by
FROM (SELECT DISTINCT d.task_id::text AS workflow FROM ms_task_definition d WHERE $1::text IS NULL OR d.task_id = $1) w
    CROSS JOIN LATERAL jsonb_to_recordset(kr_listed_steps(w.workflow))
        s (seq numeric, name text, program text, priority numeric, "dependsOn" numeric[], limits text[], place text, parameters jsonb,
            attempts integer, backoff jsonb, "retryOn" text[], "giveUpOn" text[], timeout double precision, "onLost" text)
    LEFT JOIN ms_workflow m ON m.task_id = w.workflow
    LEFT JOIN LATERAL (SELECT p.* FROM ms_pause p WHERE (p.kind = 'workflow' AND p.door = w.workflow) OR p.kind = 'all' ORDER BY p.kind = 'all' LIMIT 1) z ON true
ORDER BY w.workflow, s.seq
