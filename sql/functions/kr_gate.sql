-- The gate at which a waiting task stands, if *parent* is the first of its parents that still counts against it, and the name that
-- it waits for there. The order of the gates is decided here and nowhere else.
-- RETURNS TABLE and not OUT parameters: only so is it inlined into the calling statement.
CREATE OR REPLACE FUNCTION kr_gate(parent numeric, run_after timestamptz, flow text, workflow text, program text, limits text[])
RETURNS TABLE (gate text, waits_for text) LANGUAGE sql STABLE AS $$
    SELECT g.gate, CASE g.gate WHEN 'pause' THEN (SELECT min(p.door) FROM kr_pauses(flow, workflow, kr_gate.program, limits) p) WHEN 'program' THEN program
        WHEN 'limit' THEN coalesce((SELECT d.name FROM kr_flow_door(flow, workflow, limits) d), kr_queue_of(limits)) END
    FROM (SELECT CASE
        WHEN parent IS NOT NULL THEN 'dependencies'
        WHEN run_after > clock_timestamp() THEN 'time'
        WHEN EXISTS (SELECT FROM ms_pause) AND EXISTS (SELECT FROM kr_pauses(flow, workflow, kr_gate.program, limits)) THEN 'pause'
        -- a step that waits is of a flow that was let in; its door is found in kr_begin_to_wait
        WHEN kr_gate.program = 'WaitForSignal' AND NOT EXISTS (SELECT FROM kr_flow_door(flow, workflow, limits) d WHERE d.name IS NOT NULL) THEN 'signal'
        WHEN kr_gate.program IS DISTINCT FROM 'WaitForSignal' AND NOT EXISTS (SELECT FROM kr_worker w WHERE kr_gate.program = ANY (w.programs)) THEN 'program'
        WHEN (SELECT d.name FROM kr_flow_door(flow, workflow, limits) d) IS NOT NULL THEN 'limit'
        WHEN limits <> '{}' AND (SELECT min(l) FROM unnest(limits) l WHERE NOT kr_counts_flows(l)) IS NOT NULL THEN 'limit'
        ELSE 'slot' END AS gate) g
$$;
