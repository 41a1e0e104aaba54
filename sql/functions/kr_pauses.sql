-- The pauses that hold a task: of its workflow, its flow, its program, one of its limits, or of everything. Who is held by what is decided here;
-- kr_claim asks the same of many tasks at once.
-- RETURNS SETOF and STABLE: only so is it inlined into the calling statement.
CREATE OR REPLACE FUNCTION kr_pauses(flow text, workflow text, program text, limits text[]) RETURNS SETOF ms_pause LANGUAGE sql STABLE AS $$
    SELECT p.* FROM ms_pause p WHERE p.door = ANY (ARRAY[workflow, flow, 'program:' || program, 'all:*']) AND CASE p.kind
        WHEN 'workflow' THEN p.task_id IN (workflow, flow)         -- as a hand writes it: the name of either
        WHEN 'flow' THEN p.task_id = flow
        WHEN 'program' THEN p.task_id = program
        ELSE p.kind = 'all' END
    UNION ALL
    SELECT p.* FROM ms_pause p WHERE p.kind = 'limit' AND limits IS NOT NULL AND kr_fits(limits, ARRAY[p.task_id::text])
$$;

-- Whether one of these limits is called like one of *patterns*, or begins as one of them that ends in a star.
CREATE OR REPLACE FUNCTION kr_fits(limits text[], patterns text[]) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT EXISTS (SELECT FROM unnest(limits) l CROSS JOIN unnest(patterns) p WHERE l = p OR (right(p, 1) = '*' AND starts_with(l, left(p, -1))))
$$;

-- Remove the pauses whose time is over. One that a user's trigger or constraint will not let go stays, and is tried again after a minute: it holds
-- nothing up but what it holds. Few end, so that each may have a subtransaction of its own.
CREATE OR REPLACE FUNCTION kr_end_pauses(now_ timestamptz) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    ended text;
BEGIN
    FOREACH ended IN ARRAY ARRAY(SELECT p.door FROM ms_pause p WHERE p.until_ts <= now_ FOR UPDATE SKIP LOCKED) LOOP
        BEGIN
            DELETE FROM ms_pause p WHERE p.door = ended;
            CONTINUE WHEN FOUND;
        EXCEPTION WHEN OTHERS THEN
            NULL;
        END;
        BEGIN
            UPDATE ms_pause p SET until_ts = now_ + interval '1 minute' WHERE p.door = ended;
        EXCEPTION WHEN OTHERS THEN
            NULL;       -- not even that: every look tries again
        END;
    END LOOP;
END $$;
