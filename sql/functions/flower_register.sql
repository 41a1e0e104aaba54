-- Start a workflow inside the caller's own transaction: committed, it runs; rolled back, it never existed. Returns the id of the flow.
-- options: priority (-20 to 19, lower first), runAt (ISO 8601 with a zone; in the past: at once, with a notice), idempotencyKey (the same key and
-- content: the same flow), unique ({"key", "policy": skip or queue}: one flow of that key at a time; skipped, with a notice: the one in progress).
CREATE OR REPLACE FUNCTION flower_register(task_id text, parameters jsonb DEFAULT '{}', options jsonb DEFAULT '{}') RETURNS text
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    made record;
BEGIN
    SELECT * INTO made FROM kr_register(task_id, ARRAY[parameters], ARRAY[options]);
    IF made.skipped THEN
        RAISE NOTICE 'nothing is started: flow % has this unique key and is in progress', made.flow_id;
    ELSIF made.is_past THEN
        RAISE NOTICE 'runAt is in the past: flow % runs now', made.flow_id;
    END IF;
    RETURN made.flow_id;
END $$;
