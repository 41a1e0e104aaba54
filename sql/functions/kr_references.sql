-- The references in the parameters of a definition, {"$task": "fetch", "path": ["links", 0]} and $param and $env, each with the place where
-- it stands; {"$literal": …} hides what is in it. Read in definitions only, never in what is given at registration.
CREATE OR REPLACE FUNCTION kr_references(value jsonb, at text[] DEFAULT '{}') RETURNS TABLE (place text[], kind text, name text, path jsonb)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    one record;
BEGIN
    IF jsonb_typeof(value) = 'object' AND value ? '$literal' THEN
        IF value - '$literal' <> '{}' THEN
            PERFORM kr_refuse('parameters' || kr_path(at), '{"$literal": …} stands alone: nothing else beside it is read');
        END IF;
    ELSIF jsonb_typeof(value) = 'object' THEN
        kind := CASE WHEN value ? '$task' THEN 'task' WHEN value ? '$param' THEN 'param' WHEN value ? '$env' THEN 'env' END;
        IF kind IS NOT NULL THEN
            place := at;
            name := CASE jsonb_typeof(value -> ('$' || kind)) WHEN 'string' THEN value ->> ('$' || kind) END;
            path := coalesce(value -> 'path', '[]');
            IF name IS NULL OR jsonb_typeof(path) <> 'array' OR value - ARRAY['$' || kind, 'path'] <> '{}' THEN
                PERFORM kr_refuse('parameters' || kr_path(at), format('%s is no reference: it has %L, a text, and perhaps "path", an array', value, '$' || kind));
            END IF;
            RETURN NEXT;
        ELSE
            FOR one IN SELECT e.key, e.value FROM jsonb_each(value) e LOOP
                RETURN QUERY SELECT * FROM kr_references(one.value, at || one.key);
            END LOOP;
        END IF;
    ELSIF jsonb_typeof(value) = 'array' THEN
        FOR one IN SELECT (e.n - 1)::text AS key, e.value FROM jsonb_array_elements(value) WITH ORDINALITY e (value, n) LOOP
            RETURN QUERY SELECT * FROM kr_references(one.value, at || one.key);
        END LOOP;
    END IF;
END $$;

-- The same value with null where a reference stands, and what {"$literal": …} hides in its place.
CREATE OR REPLACE FUNCTION kr_without_references(value jsonb) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF jsonb_typeof(value) = 'object' THEN
        RETURN CASE WHEN value ? '$literal' THEN value -> '$literal'
            WHEN value ?| '{$task,$param,$env}' THEN 'null'
            ELSE coalesce((SELECT jsonb_object_agg(e.key, kr_without_references(e.value)) FROM jsonb_each(value) e), '{}') END;
    ELSIF jsonb_typeof(value) = 'array' THEN
        RETURN coalesce((SELECT jsonb_agg(kr_without_references(e.value) ORDER BY e.n) FROM jsonb_array_elements(value) WITH ORDINALITY e (value, n)), '[]');
    END IF;
    RETURN value;
END $$;

-- How a place is written for people: .pages[0].url
CREATE OR REPLACE FUNCTION kr_path(at text[]) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(string_agg(CASE WHEN p ~ '^\d+$' THEN '[' || p || ']' ELSE '.' || p END, '' ORDER BY n), '') FROM unnest(at) WITH ORDINALITY u (p, n)
$$;
