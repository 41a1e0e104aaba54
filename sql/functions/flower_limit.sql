-- Set a limit, live: {"slots": how many tasks that name it may run at once, null for any number; "rate": how many may start in what time, as "10/min", null for
-- none; "remove": true}. What is not named stays as it is. A name that ends in * is a pattern: each name that begins so has that many of its own.
CREATE OR REPLACE FUNCTION flower_limit(name text, options jsonb DEFAULT '{}') RETURNS jsonb LANGUAGE plpgsql SET search_path FROM CURRENT SET lock_timeout = '1s' AS $$
#variable_conflict use_variable
DECLARE
    set_to ms_limit;
BEGIN
    PERFORM kr_check_options(options, '{slots,rate,remove}');
    IF octet_length(name) NOT BETWEEN 1 AND 512 THEN
        PERFORM kr_refuse('name', format('a limit needs a name of 1 to 512 bytes; this one has %s', octet_length(name)));
    ELSIF position('*' IN name) NOT IN (0, length(name)) THEN
        PERFORM kr_refuse('name', 'a * stands at the end of a pattern, as in tenant:*, and nowhere else');
    ELSIF name ~ '\{\w*\}' THEN
        PERFORM kr_refuse('name', format('a task names %s; its limits are called by what stands there then. To limit all of them: %s*', name, split_part(name, '{', 1)));
    ELSIF jsonb_typeof(options -> 'slots') NOT IN ('number', 'null') OR (options ->> 'slots')::numeric NOT BETWEEN 0 AND 2147483647 OR (options ->> 'slots')::numeric % 1 <> 0 THEN
        PERFORM kr_refuse('slots', 'must be a whole number from 0 (nothing may start) to 2147483647, or null for any number');
    ELSIF jsonb_typeof(options -> 'rate') NOT IN ('string', 'null') OR options ->> 'rate' !~ '^[0-9]{1,9}(\.[0-9]{1,9})?/(s|min|h|day)$' THEN
        PERFORM kr_refuse('rate', 'must be a number per time, as in 10/min; the times are s, min, h and day');
    ELSIF options ->> 'rate' ~ '^[0.]+/' THEN
        PERFORM kr_refuse('rate', 'must be above 0; if nothing may start at all, set slots to 0');
    ELSIF substring(options ->> 'rate' FROM '^[0-9.]+')::numeric < 1 / 36500.0 AND options ->> 'rate' LIKE '%/day' THEN
        PERFORM kr_refuse('rate', 'must be at least one in a hundred years; if nothing may start at all, set slots to 0');
    ELSIF kr_counts_flows(name) AND options ->> 'rate' IS NOT NULL THEN
        PERFORM kr_refuse('rate', format('the limit %s counts flows, and a rate is for tasks: name slots', quote_literal(name)));
    ELSIF starts_with(name, 'unique:') THEN
        PERFORM kr_refuse('name', 'a unique key lets in one flow at a time, and has no limit to set');
    END IF;
    DELETE FROM ms_limit l WHERE l.name = name AND options -> 'remove' = 'true' RETURNING l.* INTO set_to;
    IF options -> 'remove' = 'true' THEN
        IF set_to IS NULL THEN
            RAISE EXCEPTION 'there is no limit %', quote_literal(name) USING ERRCODE = 'FL404', DETAIL = jsonb_build_object('limit', name);
        END IF;
        PERFORM kr_end_verb('limit', NULL, NULL, options, jsonb_build_object('limit', name));
        RETURN jsonb_build_object('name', name, 'slots', set_to.slots, 'rate', set_to.rate, 'removed', true);
    ELSIF NOT options ?| '{slots,rate}' THEN
        PERFORM kr_refuse('slots', 'say how many slots, or a rate; or remove');
    END IF;
    UPDATE ms_limit l SET slots = CASE WHEN options ? 'slots' THEN (options ->> 'slots')::numeric ELSE l.slots END, rate = CASE WHEN options ? 'rate' THEN options ->> 'rate' ELSE l.rate END
        WHERE l.name = name RETURNING l.* INTO set_to;
    IF NOT FOUND THEN
        INSERT INTO ms_limit AS l (name, slots, rate) VALUES (name, (options ->> 'slots')::numeric, options ->> 'rate')
            ON CONFLICT ON CONSTRAINT ms_limit_pkey DO UPDATE SET slots = excluded.slots, rate = excluded.rate RETURNING l.* INTO set_to;
    END IF;
    PERFORM kr_end_verb('limit', NULL, NULL, options, jsonb_build_object('limit', name));
    RETURN jsonb_build_object('name', name, 'slots', set_to.slots, 'rate', set_to.rate);
EXCEPTION WHEN check_violation THEN
    PERFORM kr_refuse('slots', 'without slots and without a rate it would limit nothing: remove it instead');
WHEN lock_not_available THEN
    PERFORM kr_not_now(format('somebody else is changing the limit %s at this moment, and has not ended within a second: try again', quote_literal(name)));
END $$;
