-- Where a task stands among those that wait: by its age, a point of priority counting as four hours.
CREATE OR REPLACE FUNCTION kr_run_order(registered timestamptz, priority numeric) RETURNS double precision LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(date_part('epoch', registered AT TIME ZONE 'UTC'), 0) + priority::double precision * 14400
$$;
