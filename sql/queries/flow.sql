-- One flow by its whole id.
SELECT * FROM flower_flows WHERE flow_id = $1::text
