-- Send a signal inside the caller's own transaction: committed it counts, rolled back it never was. It continues every step that waits for this
-- name and key when a worker takes it up, milliseconds after the commit; if none does, it is kept, 30 days at most, for the first that comes. Several
-- are taken in the order in which they were sent. Answers with waiting, how many steps wait for it at this moment (1000: or more). options: idempotencyKey (the same key for the same name and key: the same signal).
-- Refusals: FL422 wrong content, FL409 an idempotency key that came before with another payload.
CREATE OR REPLACE FUNCTION flower_signal(name text, key text DEFAULT '', payload jsonb DEFAULT 'null', options jsonb DEFAULT '{}') RETURNS jsonb
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
#variable_conflict use_variable
DECLARE
    made    bigint;
    earlier kr_signal;
BEGIN
    key := coalesce(key, '');
    payload := coalesce(payload, 'null');
    IF NOT kr_is_signal_name(name) THEN
        PERFORM kr_refuse('name', 'must be a text of 1 to 256 characters, without control characters');
    ELSIF octet_length(key) > 512 THEN
        PERFORM kr_refuse('key', format('has %s bytes, the limit is 512', octet_length(key)));
    ELSIF octet_length(payload::text) > 1048576 THEN
        PERFORM kr_refuse('payload', format('has %s bytes of JSON, the limit is 1048576 (1 MiB): send a key or a path instead', octet_length(payload::text)));
    ELSIF jsonb_typeof(options) IS DISTINCT FROM 'object' THEN
        PERFORM kr_refuse('options', 'must be a JSON object');
    ELSIF options - 'idempotencyKey' <> '{}' THEN
        PERFORM kr_refuse(o, 'no such option; there is idempotencyKey') FROM jsonb_object_keys(options - 'idempotencyKey') o LIMIT 1;
    ELSIF options ? 'idempotencyKey' AND (jsonb_typeof(options -> 'idempotencyKey') <> 'string' OR octet_length(options ->> 'idempotencyKey') NOT BETWEEN 1 AND 512) THEN
        PERFORM kr_refuse('idempotencyKey', 'must be a text of 1 to 512 bytes');
    END IF;
    INSERT INTO kr_signal (name, key, payload, idempotency_key) VALUES (name, key, payload, options ->> 'idempotencyKey')
        ON CONFLICT (door, idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING RETURNING id INTO made;
    IF made IS NULL THEN
        SELECT s.* INTO earlier FROM kr_signal s WHERE s.door = kr_door(name, key) AND s.idempotency_key = options ->> 'idempotencyKey';
        IF earlier.payload IS DISTINCT FROM payload THEN
            RAISE EXCEPTION 'the idempotency key % was used before with another payload', quote_literal(options ->> 'idempotencyKey') USING ERRCODE = 'FL409', DETAIL = '[]';
        END IF;
        RETURN jsonb_build_object('signalId', earlier.id, 'name', name, 'key', key, 'duplicate', true);
    END IF;
    INSERT INTO kr_recount (kind, name) VALUES ('signal', kr_door(name, key));
    PERFORM pg_notify('flower', '');
    RETURN jsonb_build_object('signalId', made, 'name', name, 'key', key, 'waiting', (
        SELECT count(*) FROM (SELECT FROM kr_task_stat t WHERE t.exec_status = 0 AND t.gate = 'signal' AND t.waits_for = kr_door(name, key)
            AND coalesce(t.waits_until > clock_timestamp(), true) LIMIT 1000) w));
END $$;

CREATE OR REPLACE FUNCTION kr_is_signal_name(name text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(length(name) BETWEEN 1 AND 256 AND name !~ '[\x01-\x1f\x7f]', false)
$$;

-- Where those stand that wait for a signal: its name has no line end, so this is no other's.
CREATE OR REPLACE FUNCTION kr_door(name text, key text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT name || E'\n' || key
$$;
