-- What people did to a flow ($1) by verbs, the last $2 of it (NULL: all), the oldest first.
SELECT a.at_ts AS at, a.verb, a.task_exec_seq AS seq, a.who, a.role, a.reason FROM (
    SELECT k.* FROM kr_audit k WHERE k.task_flow_id = $1::text ORDER BY k.id DESC LIMIT $2::integer) a ORDER BY a.id
