-- The ids of all workflows.
SELECT DISTINCT d.task_id::text AS workflow FROM ms_task_definition d
