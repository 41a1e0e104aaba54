-- The gate at which a waiting task stands, if *parent* is the first of its parents that still counts against it, and the name that
-- it waits for there. The order of the gates is decided here and nowhere else.
-- RETURNS TABLE and not OUT parameters: only so is it inlined into the calling statement.
CREATE OR REPLACE FUNCTION kr_gate(parent numeric, run_after timestamptz, flow text, workflow text, program text, limits text[])
RETURNS TABLE (gate text, waits_for text) LANGUAGE sql STABLE AS $$
    SELECT g.gate, CASE g.gate WHEN 'pause' THEN (SELECT min(p.task_id) FROM ms_pause p WHERE p.task_id IN (workflow, flow)) WHEN 'program' THEN program WHEN 'limit' THEN (SELECT min(l) FROM unnest(limits) l) END
    FROM (SELECT CASE
        WHEN parent IS NOT NULL THEN 'dependencies'
        WHEN run_after > clock_timestamp() THEN 'time'
        WHEN EXISTS (SELECT FROM ms_pause p WHERE p.task_id IN (workflow, flow)) THEN 'pause'
        WHEN kr_gate.program = 'WaitForSignal' THEN 'signal'          -- its door is found in kr_begin_to_wait
        WHEN NOT EXISTS (SELECT FROM kr_worker w WHERE kr_gate.program = ANY (w.programs)) THEN 'program'
        WHEN limits <> '{}' AND (SELECT min(l) FROM unnest(limits) l) IS NOT NULL THEN 'limit'
        ELSE 'slot' END AS gate) g
$$;
