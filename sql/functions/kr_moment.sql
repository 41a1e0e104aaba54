-- A moment as the HTTP interface writes it.
CREATE OR REPLACE FUNCTION kr_moment(ts timestamptz) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT to_char(ts AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
$$;

-- The other way round: the moment that a JSON text means, with its zone. Refused as *path*, if it is none.
CREATE OR REPLACE FUNCTION kr_time(value jsonb, path text) RETURNS timestamptz LANGUAGE plpgsql AS $$
BEGIN
    IF jsonb_typeof(value) <> 'string' OR value #>> '{}' !~ '^\d{4}-\d\d-\d\d[T ]\d\d:\d\d.*(Z|[+-]\d\d(:?\d\d)?)$' THEN
        PERFORM kr_refuse(path, 'must be a time with a zone, as in 2026-01-31T14:00:00+01:00');
    END IF;
    RETURN (value #>> '{}')::timestamptz;
EXCEPTION WHEN data_exception THEN
    PERFORM kr_refuse(path, 'must be a time with a zone, as in 2026-01-31T14:00:00+01:00');
END $$;
