-- Start flows, all or none.
-- $1 workflows   $2 parameters (JSON objects)   $3 options (JSON objects), as parallel arrays
-- Answers one row per order, in their order. Errors carry SQLSTATEs of ours: see functions/kr_register.sql.
SELECT r.flow_id, r.duplicate, r.skipped, r.is_past
FROM (SELECT o.workflow, array_agg(o.parameters ORDER BY o.n) AS givens, array_agg(o.options ORDER BY o.n) AS options, array_agg(o.n ORDER BY o.n) AS ns
      FROM unnest($1::text[], $2::jsonb[], $3::jsonb[]) WITH ORDINALITY o (workflow, parameters, options, n) GROUP BY o.workflow ORDER BY o.workflow) w
    CROSS JOIN LATERAL kr_register(w.workflow, w.givens, w.options) r
ORDER BY w.ns[r.n]
