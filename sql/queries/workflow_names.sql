-- The ids of all workflows, to find those that look like a wrong one.
SELECT DISTINCT d.task_id::text AS workflow FROM ms_task_definition d ORDER BY 1
