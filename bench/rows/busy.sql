-- Is the first in the order a no-op task, or does one run? By index, however many other tasks there are.
SELECT EXISTS (SELECT FROM kr_task_stat WHERE exec_status = 1 AND task_id = 'one') OR coalesce((
    SELECT task_id = 'one' FROM kr_task_stat WHERE exec_status = 0 AND gate = 'slot' AND crashes < 2
    ORDER BY run_order, rank, task_exec_seq, task_flow_id LIMIT 1), false)
