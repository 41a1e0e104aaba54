-- A time-ordered UUID as text (RFC 9562, version 7): 48 bits of milliseconds, the rest random. PostgreSQL has its own from 18 on. One
-- expression, so that it is inlined: that and not reading the clock twice is why the hyphen is put in.
CREATE OR REPLACE FUNCTION flower_uuid7() RETURNS text LANGUAGE sql VOLATILE AS $$
    SELECT overlay(overlay(gen_random_uuid()::text PLACING '7' FROM 15)
        PLACING overlay(lpad(to_hex(floor(date_part('epoch', clock_timestamp()) * 1000)::bigint), 12, '0') PLACING '-' FROM 9 FOR 0) FROM 1)
$$;
