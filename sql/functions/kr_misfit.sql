-- Why a value does not fit a JSON schema, as {path, message}; NULL if it fits. Of the schema is read what type hints come to: type, enum, const,
-- anyOf, items, prefixItems, properties, required, additionalProperties, and $ref into its own $defs (root: the schema as a whole).
-- A text where another type is wanted is read as JSON first, as a task reads it: the command line hands over texts; not if root says "x-strict",
-- for what is kept as it is. What is refused here no task would take (tests/sql/test_types.py); what would take long to look at is let pass: deeper
-- than six levels, one of more than ten choices, and the inside of what is larger than 16 KiB.
CREATE OR REPLACE FUNCTION kr_misfit(schema jsonb, value jsonb, path text, root jsonb DEFAULT NULL, depth integer DEFAULT 0) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    kind   text := jsonb_typeof(value);
    wanted text := schema ->> 'type';
    text_  text := CASE kind WHEN 'string' THEN value #>> '{}' END;
    inner_ jsonb;
    odd    jsonb;
    part   record;
    exact_ boolean := coalesce(root, schema) ? 'x-strict';
BEGIN
    IF root IS NULL THEN
        root := schema;
        depth := CASE WHEN octet_length(value::text) > 16384 THEN 6 ELSE 0 END;
    END IF;
    -- what says nothing, what says less than the task knows (a validator, an alias), and what no type hint comes to
    IF depth > 6 OR schema = '{}' OR schema ? 'x-unchecked' OR jsonb_typeof(schema) IS DISTINCT FROM 'object' OR jsonb_typeof(schema -> 'type') = 'array' THEN
        RETURN NULL;
    ELSIF schema ? '$ref' THEN
        inner_ := root #> string_to_array(substr(schema ->> '$ref', 3), '/');
        RETURN CASE WHEN NOT (inner_ ? '$ref' OR inner_ ? '$defs') THEN kr_misfit(inner_, value, path, root, depth + 1) END;
    ELSIF jsonb_typeof(schema -> 'anyOf') = 'array' THEN
        IF jsonb_array_length(schema -> 'anyOf') > 10 THEN
            RETURN NULL;
        END IF;
        FOR part IN SELECT kr_misfit(e.choice, value, path, root, depth + 1) AS odd FROM jsonb_array_elements(schema -> 'anyOf') e (choice) LOOP
            IF part.odd IS NULL THEN
                RETURN NULL;
            END IF;
            odd := coalesce(odd, part.odd);
        END LOOP;
        RETURN odd;
    ELSIF NOT exact_ AND kr_passes_as(schema, kind, value #>> '{}') THEN
        RETURN NULL;
    ELSIF NOT exact_ AND text_ IS NOT NULL AND wanted <> 'string' THEN
        inner_ := kr_as_json(text_);
        IF inner_ IS NULL OR (jsonb_typeof(inner_) = 'string' AND NOT kr_passes_as(schema, 'string', inner_ #>> '{}')) THEN
            RETURN kr_odd(path, format('%s is wanted, not the text %s', wanted, left(value::text, 100)));
        END IF;
        RETURN CASE WHEN jsonb_typeof(inner_) <> 'string' THEN kr_misfit(schema, inner_, path, root, depth) END;
    ELSIF wanted IS NOT NULL AND NOT (CASE wanted WHEN 'integer' THEN kind = 'number' AND (value #>> '{}')::numeric % 1 = 0 ELSE kind = wanted END) THEN
        RETURN kr_odd(path, format('%s is wanted, not %s', wanted, CASE WHEN length(value::text) > 100 THEN 'this ' || kind ELSE value::text END));
    ELSIF NOT kr_has_format(text_, schema ->> 'format') THEN
        RETURN kr_odd(path, format('%s is wanted, not %s', schema ->> 'format', left(value::text, 100)));
    ELSIF schema ?| '{enum,const}' THEN
        inner_ := coalesce(schema -> 'enum', jsonb_build_array(schema -> 'const'));
        RETURN CASE WHEN NOT (inner_ @> jsonb_build_array(value) OR (NOT exact_
                AND (inner_ @> coalesce(jsonb_build_array(kr_as_json(text_)), 'false') OR text_ IS NULL OR lower(text_) IN ('true', 'false')))) THEN
            kr_odd(path, format('%s is none of %s', left(value::text, 100), left(inner_::text, 500))) END;
    ELSIF depth = 6 THEN
        RETURN NULL;
    ELSIF kind = 'array' THEN
        FOR part IN SELECT e.value AS item, e.n FROM jsonb_array_elements(value) WITH ORDINALITY e (value, n) LOOP
            odd := kr_misfit(coalesce(schema #> ARRAY['prefixItems', (part.n - 1)::text], schema -> 'items', '{}'), part.item, format('%s[%s]', path, part.n - 1), root, depth + 1);
            EXIT WHEN odd IS NOT NULL;
        END LOOP;
    ELSIF kind = 'object' THEN
        SELECT kr_odd(path || '.' || r.name, 'is missing and has no default') INTO odd
            FROM jsonb_array_elements_text(CASE jsonb_typeof(schema -> 'required') WHEN 'array' THEN schema -> 'required' ELSE '[]' END) r (name) WHERE NOT value ? r.name LIMIT 1;
        FOR part IN SELECT e.key, e.value AS item, schema #> ARRAY['properties', e.key] AS known FROM jsonb_each(value) e LOOP
            EXIT WHEN odd IS NOT NULL;
            IF part.known IS NULL AND schema -> 'additionalProperties' = 'false' THEN
                odd := kr_odd(path || '.' || part.key, 'is unknown there');
            ELSE
                odd := kr_misfit(coalesce(part.known, CASE jsonb_typeof(schema -> 'additionalProperties') WHEN 'object' THEN schema -> 'additionalProperties' END, '{}'),
                    part.item, path || '.' || part.key, root, depth + 1);
            END IF;
        END LOOP;
    END IF;
    RETURN odd;
END $$;

-- Whether a value of this kind, and with this text, is read by a task as what a schema wants, though JSON says otherwise.
CREATE OR REPLACE FUNCTION kr_passes_as(schema jsonb, kind text, text_ text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(CASE schema ->> 'type'
        WHEN 'boolean' THEN kind <> 'boolean' AND lower(text_) ~ '^\s*(true|false|t|f|yes|no|y|n|on|off|[01](\.0*)?)\s*$'
        WHEN 'integer' THEN kind = 'boolean' OR lower(text_) ~ '^\s*(true|false|[+-]?[\d_]+(\.0*)?)\s*$'             -- true is 1, 007 is 7
        WHEN 'number' THEN kind = 'boolean' OR lower(text_) ~ '^\s*(true|false|[+-]?(\d[\d_]*\.?[\d_]*|\.\d+)(e[+-]?\d+)?|[+-]?(nan|inf|infinity))\s*$'
        WHEN 'string' THEN kind = 'number' AND schema ->> 'format' IN ('date', 'date-time', 'time', 'duration')           -- seconds
        ELSE kind = 'boolean' AND schema ?| '{enum,const}' END, false)
$$;

-- Whether a text may have one of the formats that type hints come to: there are more ways to write a time than one would think.
CREATE OR REPLACE FUNCTION kr_has_format(text_ text, format text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RETURN coalesce(CASE
        WHEN format IN ('date', 'date-time') THEN text_ ~ '^\s*[+-]?(\d[\d_]*\.?\d*|\.\d+)([eE][+-]?\d+)?\s*$'          -- seconds
            OR (text_ ~ '^\s*\d{4}-\d\d-\d\d' AND left(ltrim(text_), 10)::date IS NOT NULL)
        WHEN format = 'uuid' THEN lower(text_) ~ '^(urn:uuid:)?\{?[0-9a-f]{8}' END, true);
EXCEPTION WHEN data_exception THEN
    RETURN false;
END $$;

-- A text as the JSON that it is, NULL if it is none.
CREATE OR REPLACE FUNCTION kr_as_json(text_ text) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RETURN text_::jsonb;
EXCEPTION WHEN data_exception OR statement_too_complex THEN
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION kr_odd(path text, message text) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
    SELECT jsonb_build_object('path', path, 'message', message)
$$;
