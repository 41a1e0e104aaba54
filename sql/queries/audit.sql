-- What people did to a flow ($1) by verbs, the oldest first.
SELECT a.at_ts AS at, a.verb, a.task_exec_seq AS seq, a.who, a.role, a.reason FROM kr_audit a WHERE a.task_flow_id = $1::text ORDER BY a.id
