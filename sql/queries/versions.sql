-- Of each of these flows ($1) a text that is another one after every change that can be seen of it. xmin: any change of a row gives it a new one.
SELECT f.id AS flow_id, concat_ws(' ',
    (SELECT concat_ws(' ', count(*), sum(t.xmin::text::bigint)) FROM kr_task_stat t WHERE t.task_flow_id = f.id),
    (SELECT max(l.id) FROM kr_task_log l WHERE l.task_flow_id = f.id),
    (SELECT max(a.id) FROM kr_audit a WHERE a.task_flow_id = f.id),
    (SELECT s.xmin FROM kr_flow_stat s WHERE s.task_flow_id = f.id),
    (SELECT p.xmin FROM ms_pause p WHERE p.door = f.id)) AS version
FROM unnest($1::text[]) f (id)
