-- Start a workflow inside the caller's own transaction: committed, it runs; rolled back, it never existed. Returns the id of the flow.
-- options: priority (-20 to 19, lower first), runAt (ISO 8601 with a zone), idempotencyKey (the same key and content: the same flow).
CREATE OR REPLACE FUNCTION flower_register(task_id text, parameters jsonb DEFAULT '{}', options jsonb DEFAULT '{}') RETURNS text
LANGUAGE sql SET search_path FROM CURRENT AS $$
    SELECT r.flow_id FROM kr_register(task_id, ARRAY[parameters], ARRAY[options]) r
$$;
