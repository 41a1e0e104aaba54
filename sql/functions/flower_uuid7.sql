-- A time-ordered UUID as text (RFC 9562, version 7): 48 bits of milliseconds, the rest random. PostgreSQL has its own from 18 on.
CREATE OR REPLACE FUNCTION flower_uuid7() RETURNS text LANGUAGE sql VOLATILE AS $$
    SELECT encode(set_byte(random, 6, (get_byte(random, 6) & 15) | 112), 'hex')::uuid::text
    FROM (SELECT overlay(uuid_send(gen_random_uuid()) PLACING substring(int8send(floor(date_part('epoch', clock_timestamp()) * 1000)::bigint) FROM 3) FROM 1 FOR 6)) r (random)
$$;
