-- What can be paused by a name, besides workflows. $1 kind: the programs of the workers, or the limits that have a row, or that a step or its function names.
SELECT DISTINCT n.name FROM (
    SELECT 'program' AS kind, unnest(w.programs) AS name FROM kr_worker w
    UNION ALL SELECT 'limit', l.name FROM ms_limit l
    UNION ALL SELECT 'limit', unnest(d.limits) FROM ms_task_definition d
    UNION ALL SELECT 'limit', unnest(p.limits) FROM kr_program p) n
WHERE n.kind = $1::text AND n.name IS NOT NULL ORDER BY n.name
