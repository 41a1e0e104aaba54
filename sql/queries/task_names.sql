-- Names of tasks of a flow, the first ones: enough to tell somebody what looks like the one that is not there. $1 flow   $2 how many
SELECT DISTINCT n.name FROM (SELECT t.name FROM flower_tasks t WHERE t.flow_id = $1::text ORDER BY t.seq LIMIT $2::integer) n ORDER BY n.name
