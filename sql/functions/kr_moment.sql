-- A moment as the HTTP interface writes it.
CREATE OR REPLACE FUNCTION kr_moment(ts timestamptz) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT to_char(ts AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
$$;
