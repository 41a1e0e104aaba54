-- Limits that count flows: workflow:NAME, with the slots of its row in ms_limit or of the longest pattern that fits (workflow:*), and
-- unique:NAME:KEY, which has one. A flow that is let in passes with all its tasks until it is over, or stalled.

-- Whether a limit counts flows, and not tasks: a flow that is let in passes it with all that it has.
CREATE OR REPLACE FUNCTION kr_counts_flows(limit_name text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT starts_with(limit_name, 'workflow:') OR starts_with(limit_name, 'unique:')
$$;

-- The limit of a unique key. A colon in the workflow's name is marked, so that no two have one name.
CREATE OR REPLACE FUNCTION kr_unique_name(workflow text, unique_key text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT 'unique:' || replace(replace(workflow, '\', '\\'), ':', '\:') || ':' || unique_key
$$;

-- How many flows such a limit lets in at once: one of a unique key; of a workflow what its row says, or that of the longest pattern of such (a pattern that begins
-- before the colon, as *, is one for tasks). No row: as many as there are. RETURNS TABLE: to be inlined, as kr_gate.
CREATE OR REPLACE FUNCTION kr_flow_slots(limit_name text) RETURNS TABLE (slots integer) LANGUAGE sql STABLE AS $$
    SELECT s.slots FROM (
        (SELECT 1 AS slots WHERE starts_with(limit_name, 'unique:'))
        UNION ALL
        (SELECT m.slots FROM ms_limit m WHERE m.name = limit_name AND starts_with(limit_name, 'workflow:'))
        UNION ALL
        (SELECT m.slots FROM ms_limit m WHERE m.name LIKE 'workflow:%*' AND starts_with(limit_name, m.prefix) ORDER BY length(m.prefix) DESC LIMIT 1)
        LIMIT 1) s WHERE s.slots IS NOT NULL
$$;

-- The limit at which a flow has to wait for its turn, unique before workflow: else it would keep a place of its workflow while it cannot begin.
CREATE OR REPLACE FUNCTION kr_flow_door(flow text, workflow text, limits text[]) RETURNS TABLE (name text) LANGUAGE sql STABLE AS $$
    SELECT coalesce(
        (SELECT min(l) FROM unnest(limits) l WHERE starts_with(l, 'unique:') AND NOT EXISTS (SELECT FROM kr_flow_inside i WHERE i.task_flow_id = flow AND i.name = l)),
        CASE WHEN EXISTS (SELECT FROM ms_limit m WHERE m.name LIKE 'workflow:%') AND EXISTS (SELECT FROM kr_flow_slots('workflow:' || workflow))
            AND NOT EXISTS (SELECT FROM kr_flow_inside i WHERE i.task_flow_id = flow AND i.name = 'workflow:' || workflow) THEN 'workflow:' || workflow END)
    WHERE limits IS NOT NULL OR EXISTS (SELECT FROM ms_limit m WHERE m.name LIKE 'workflow:%')
$$;

-- Whether a flow is in progress: neither over nor stalled, as the view flower_flows says it.
CREATE OR REPLACE FUNCTION kr_goes_on(flow text) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_variable
BEGIN
    -- from the end: what is left of a large flow stands there
    IF (SELECT true FROM kr_task_stat t WHERE t.task_flow_id = flow
        AND (t.exec_status + 0 NOT IN (0, 2, 3, 9) OR (t.exec_status + 0 = 0 AND t.gate || '' IS DISTINCT FROM 'dependencies')) ORDER BY t.task_exec_seq DESC LIMIT 1) THEN
        RETURN true;
    END IF;
    RETURN coalesce((SELECT bool_or(t.exec_status + 0 = 0) AND NOT bool_or(t.exec_status + 0 = 2) FROM kr_task_stat t WHERE t.task_flow_id = flow), false);
END $$;

-- How many more flows such a limit would let in if all that are over left it; NULL: it does not hold.
CREATE OR REPLACE FUNCTION kr_flow_room(limit_name text) RETURNS bigint LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (SELECT s.slots FROM kr_flow_slots(limit_name) s)
        - (SELECT count(*) FROM kr_flow_inside i WHERE i.name = limit_name AND kr_goes_on(i.task_flow_id));
END $$;

-- A flow with this unique key that is in progress or waits for its turn; NULL: there is none. Looked for among those inside, those at the door, and
-- for the sake of those that stand at a gate before it, the ten newest: never in all of history.
CREATE OR REPLACE FUNCTION kr_unfinished_with_key(workflow text, unique_key text) RETURNS text LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_variable
DECLARE
    door CONSTANT text := kr_unique_name(workflow, unique_key);
BEGIN
    RETURN coalesce(
        (SELECT i.task_flow_id FROM kr_flow_inside i WHERE i.name = door AND kr_goes_on(i.task_flow_id) LIMIT 1),
        (SELECT t.task_flow_id FROM kr_task_stat t WHERE t.exec_status = 0 AND t.gate = 'limit' AND t.waits_for COLLATE "C" = door AND kr_part(t.limits, t.waits_for) = 0
            ORDER BY t.run_order, t.rank, t.task_exec_seq, t.task_flow_id LIMIT 1),
        (SELECT n.task_flow_id FROM (SELECT f.task_flow_id FROM kr_flow_stat f WHERE f.task_id = workflow AND f.unique_key = kr_unfinished_with_key.unique_key
            ORDER BY f.registered_ts DESC LIMIT 10) n WHERE kr_goes_on(n.task_flow_id) LIMIT 1));
END $$;
