-- Why a value does not fit a JSON schema, as a list of {path, message}; NULL if it fits. Of the schema is read what type hints come to:
-- type, enum, const, anyOf, items, prefixItems, properties, required, additionalProperties, and $ref into its own $defs.
-- A text where another type is wanted is read as JSON first, as a task reads it: the command line hands over texts. Like a task, it lets pass what
-- means the same: "yes" for true, 1 for true and true for 1, seconds for a time. What it refuses no task would take (tests/sql/test_types.py).
CREATE OR REPLACE FUNCTION kr_misfit(schema jsonb, value jsonb, path text, root jsonb) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    kind   text := jsonb_typeof(value);
    wanted text := schema ->> 'type';
    part   record;
    text_  text := value #>> '{}';
    odd    jsonb;
    told   jsonb;
BEGIN
    IF jsonb_typeof(schema) IS DISTINCT FROM 'object' OR jsonb_typeof(schema -> 'type') = 'array' THEN
        RETURN NULL;         -- nothing that a type hint comes to
    ELSIF schema ? '$ref' THEN
        schema := root #> string_to_array(substr(schema ->> '$ref', 3), '/');
        RETURN CASE WHEN schema ? '$ref' OR schema ? '$defs' THEN NULL ELSE kr_misfit(schema, value, path, root) END;
    ELSIF jsonb_typeof(schema -> 'anyOf') = 'array' THEN
        FOR part IN SELECT e.value AS choice FROM jsonb_array_elements(schema -> 'anyOf') e LOOP
            odd := kr_misfit(part.choice, value, path, root);
            IF odd IS NULL THEN
                RETURN NULL;
            END IF;
            told := coalesce(told, odd);
        END LOOP;
        RETURN told;
    ELSIF wanted = 'boolean' AND lower(text_) ~ '^\s*(true|false|t|f|yes|no|y|n|on|off|[01](\.0*)?)\s*$' THEN
        RETURN NULL;
    ELSIF wanted IN ('integer', 'number') AND (kind = 'boolean' OR lower(text_) ~ '^\s*(true|false|[+-]?\d+(_\d+)+(\.\d*)?|[+-]?(nan|inf|infinity))\s*$') THEN
        RETURN NULL;
    ELSIF kind = 'number' AND wanted = 'string' AND schema ->> 'format' IN ('date', 'date-time', 'time', 'duration') THEN
        RETURN NULL;         -- seconds
    ELSIF kind = 'string' AND wanted <> 'string' THEN
        odd := CASE WHEN kr_is_json(text_) THEN text_::jsonb END;
        IF odd IS NULL OR jsonb_typeof(odd) = 'string' THEN
            RETURN kr_odd(path, format('%s is wanted, not the text %s', wanted, left(value::text, 100)));
        END IF;
        RETURN kr_misfit(schema, odd, path, root);
    ELSIF wanted IS NOT NULL AND NOT (CASE wanted WHEN 'integer' THEN kind = 'number' AND text_::numeric % 1 = 0 ELSE kind = wanted END) THEN
        RETURN kr_odd(path, format('%s is wanted, not %s', wanted, CASE WHEN length(value::text) > 100 THEN 'a ' || kind ELSE value::text END));
    ELSIF kind = 'string' AND NOT kr_has_format(text_, schema ->> 'format') THEN
        RETURN kr_odd(path, format('%s is wanted, not %s', schema ->> 'format', left(value::text, 100)));
    ELSIF kind = 'string' AND (schema ? 'enum' OR schema ? 'const') AND kr_is_json(text_) AND kr_misfit(schema - 'type', text_::jsonb, path, root) IS NULL THEN
        RETURN NULL;
    ELSIF kind = 'boolean' AND (schema ? 'enum' OR schema ? 'const') THEN
        RETURN NULL;         -- true is 1
    ELSIF schema ? 'enum' AND NOT schema -> 'enum' @> jsonb_build_array(value) THEN
        RETURN kr_odd(path, format('%s is none of %s', left(value::text, 100), schema -> 'enum'));
    ELSIF schema ? 'const' AND schema -> 'const' <> value THEN
        RETURN kr_odd(path, format('%s is wanted, not %s', schema -> 'const', left(value::text, 100)));
    ELSIF kind = 'array' THEN
        FOR part IN SELECT e.value AS item, e.n FROM jsonb_array_elements(value) WITH ORDINALITY e (value, n) LOOP
            odd := kr_misfit(coalesce(schema #> ARRAY['prefixItems', (part.n - 1)::text], schema -> 'items', '{}'), part.item, format('%s[%s]', path, part.n - 1), root);
            IF odd IS NOT NULL THEN
                RETURN odd;
            END IF;
        END LOOP;
    ELSIF kind = 'object' THEN
        FOR part IN SELECT r.name FROM jsonb_array_elements_text(CASE jsonb_typeof(schema -> 'required') WHEN 'array' THEN schema -> 'required' ELSE '[]' END) r (name) WHERE NOT value ? r.name LOOP
            RETURN kr_odd(path || '.' || part.name, 'is missing and has no default');
        END LOOP;
        FOR part IN SELECT e.key, e.value AS item FROM jsonb_each(value) e LOOP
            odd := schema #> ARRAY['properties', part.key];
            IF odd IS NULL AND schema -> 'additionalProperties' = 'false' THEN
                RETURN kr_odd(path || '.' || part.key, 'is unknown there');
            END IF;
            odd := kr_misfit(coalesce(odd, CASE jsonb_typeof(schema -> 'additionalProperties') WHEN 'object' THEN schema -> 'additionalProperties' END, '{}'), part.item, path || '.' || part.key, root);
            IF odd IS NOT NULL THEN
                RETURN odd;
            END IF;
        END LOOP;
    END IF;
    RETURN NULL;
END $$;

-- Whether a text has one of the formats that type hints come to; any other format is not looked at.
CREATE OR REPLACE FUNCTION kr_has_format(value text, format text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF format IN ('date', 'date-time') AND value ~ '^\s*[+-]?\d+(\.\d*)?(e\d+)?\s*$' THEN
        RETURN true;         -- seconds
    END IF;
    CASE format
        WHEN 'date' THEN RETURN value ~ '^\d{4}-\d\d-\d\d(T[0:.]+Z?)?$' AND value::timestamp IS NOT NULL;
        WHEN 'date-time' THEN RETURN value ~ '^\d{4}-\d\d-\d\d' AND value::timestamp IS NOT NULL;
        WHEN 'uuid' THEN RETURN replace(value, 'urn:uuid:', '')::uuid IS NOT NULL;
        ELSE RETURN true;
    END CASE;
EXCEPTION WHEN data_exception THEN
    RETURN false;
END $$;

CREATE OR REPLACE FUNCTION kr_is_json(value text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RETURN value::jsonb IS NOT NULL;
EXCEPTION WHEN data_exception THEN
    RETURN false;
END $$;

CREATE OR REPLACE FUNCTION kr_odd(path text, message text) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
    SELECT jsonb_build_array(jsonb_build_object('path', path, 'message', message))
$$;
