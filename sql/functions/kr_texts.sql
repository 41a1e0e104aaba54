-- The texts of an array that a hand may have written: of any dimension, with NULLs in it.
CREATE OR REPLACE FUNCTION kr_texts(given text[]) RETURNS text[] LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(array_agg(t), '{}') FROM unnest(given) t WHERE t IS NOT NULL
$$;
