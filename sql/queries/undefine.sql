-- Remove a workflow. $1 its name. Answers whether there was one. Its flows stay as they are.
WITH gone AS (DELETE FROM ms_task_definition WHERE task_id = $1::text RETURNING task_id),
bare AS (UPDATE ms_workflow SET takes = NULL, result = NULL WHERE task_id = $1::text)
SELECT EXISTS (SELECT FROM gone)
