-- A page of flows, the newest first (sql/functions/kr_list.sql); a last row without flow_id says where the search stopped before the end.
-- $1 status   $2 outcome of one of its tasks   $3 workflow   $4 what stands in its id, parameters or errors   $5 registered since   $6 and before
-- $7 whether the last one seen was found by its id   $8, $9 its time and its id; each NULL for any
-- $10 how many   $11 how many flows to look at   $12 for how long
SELECT l.flow AS at_flow, l.registered_ts AS at_ts, l.named, v.*
FROM kr_list($1::text, $2::text, $3::text, $4::text, $5::timestamptz, $6::timestamptz, $7::boolean, $8::timestamptz, $9::text, $10::integer, $11::integer, $12::interval)
    WITH ORDINALITY l (flow, registered_ts, named, is_found, n)
    LEFT JOIN LATERAL (SELECT f.* FROM flower_flows f WHERE l.is_found AND f.flow_id = l.flow) v ON true
ORDER BY l.n
