-- Find the first parent of a waiting task that still counts against it: onward from the one it waited for, then once from the first.
-- The parent is looked at under a share lock: nobody is ending it at this moment, and whoever does later sees who waits for it.
-- again: the parent could not be locked, so the task must be looked at again.
CREATE OR REPLACE FUNCTION kr_open_parent(flow text, child numeric, waited numeric, OUT parent numeric, OUT again boolean) LANGUAGE plpgsql AS $$
DECLARE
    start  numeric := coalesce(waited, '-Infinity');
    status numeric;
BEGIN
    again := false;
    LOOP
        SELECT e.parent_seq, e.status INTO parent, status
        FROM (SELECT e.parent_seq, e.counts,
                     coalesce((SELECT p.exec_status FROM kr_task_stat p WHERE p.task_flow_id = e.task_flow_id AND p.task_exec_seq = e.parent_seq), -1) AS status
              FROM kr_task_edge e WHERE e.task_flow_id = flow AND e.task_exec_seq = child AND e.parent_seq >= start
              ORDER BY e.parent_seq OFFSET 0) e
        WHERE e.status <> ALL (e.counts) LIMIT 1;
        EXIT WHEN FOUND OR start = '-Infinity';
        start := '-Infinity';
    END LOOP;
    IF status >= 0 THEN
        PERFORM FROM kr_task_stat p WHERE p.task_flow_id = flow AND p.task_exec_seq = parent AND p.exec_status = status FOR SHARE SKIP LOCKED;
        again := NOT FOUND;
    END IF;
END $$;
