-- Start flows, all or none.
-- $1 workflows   $2 parameters (JSON objects)   $3 options (JSON objects), as parallel arrays
-- Answers one row per order, in their order. Errors carry SQLSTATEs of ours: see functions/kr_register.sql.
SELECT r.flow_id, r.duplicate
FROM unnest($1::text[], $2::jsonb[], $3::jsonb[]) WITH ORDINALITY o (workflow, parameters, options, n)
    CROSS JOIN LATERAL kr_register(o.workflow, o.parameters, o.options) r
ORDER BY o.n
