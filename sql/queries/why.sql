-- Why the tasks of a flow that neither run nor are over do not run. $1 flow   $2 seq of a task, NULL for all. reasons: see flower_why in functions/views.sql.
SELECT w.seq, w.name, w.program, w.status_number, w.outcome, w.gate, w.crashes, w.priority, w.tries, w.reasons::text AS reasons
FROM flower_why w WHERE w.flow_id = $1::text AND ($2::numeric IS NULL OR w.seq = $2) ORDER BY w.seq
