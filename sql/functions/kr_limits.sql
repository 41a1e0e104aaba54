-- What holds for a limit of this name: its own row of ms_limit, else that of the longest pattern that fits; no row: nothing does. pattern: that pattern.
CREATE OR REPLACE FUNCTION kr_rule(limit_name text) RETURNS TABLE (slots integer, every_seconds double precision, pattern text) LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN o.name IS NULL THEN p.slots ELSE o.slots END, CASE WHEN o.name IS NULL THEN p.every_seconds ELSE o.every_seconds END, p.name
    FROM (VALUES (1)) one LEFT JOIN ms_limit o ON o.name = limit_name
        LEFT JOIN LATERAL (SELECT m.* FROM ms_limit m WHERE m.prefix IS NOT NULL AND starts_with(limit_name, m.prefix) ORDER BY length(m.prefix) DESC LIMIT 1) p ON true
    WHERE o.name IS NOT NULL OR p.name IS NOT NULL
$$;

-- The limits of a step: its own or, if it says nothing, those of its function.
CREATE OR REPLACE FUNCTION kr_written_limits(limits text[], program text) RETURNS text[] LANGUAGE sql STABLE AS $$
    SELECT coalesce(limits, (SELECT p.limits FROM kr_program p WHERE p.program = kr_written_limits.program))
$$;

-- Limits if a parameter stands in one of them, else NULL.
CREATE OR REPLACE FUNCTION kr_keyed(limits text[]) RETURNS text[] LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN EXISTS (SELECT FROM unnest(limits) l WHERE l ~ '\{\w+\}') THEN limits END
$$;

-- Limits with what a task is called with in the place of {parameters}: a text as it is, anything else as JSON, nothing for null and what is not there.
CREATE OR REPLACE FUNCTION kr_limit_names(limits text[], parameters jsonb) RETURNS text[] LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    names text[] := '{}';
    made  text;
BEGIN
    FOR made IN SELECT unnest(limits) LOOP
        IF made ~ '\{\w+\}' THEN        -- from the left: what a value holds is no parameter
            SELECT string_agg(CASE WHEN p.n % 2 = 1 THEN p.part ELSE coalesce(parameters ->> p.part, '') END, '' ORDER BY p.n) INTO made
                FROM regexp_split_to_table(regexp_replace(made, '\{(\w+)\}', E'\x01\\1\x01', 'g'), E'\x01') WITH ORDINALITY p (part, n);
            IF kr_counts_flows(made) THEN         -- what a value says is no limit on flows
                made := ':' || made;
            END IF;
        END IF;
        names := names || made;
    END LOOP;
    RETURN names;
END $$;

-- At which of its limits a task waits, as long as nobody knows which of them is full: at one among whose names slots go round, if there is one.
CREATE OR REPLACE FUNCTION kr_queue_of(limits text[]) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT l FROM unnest(limits) l WHERE NOT kr_counts_flows(l)
    ORDER BY CASE WHEN cardinality(limits) > 1 THEN NOT EXISTS (SELECT FROM ms_limit m WHERE m.prefix IS NOT NULL AND starts_with(l, m.prefix)) END, l LIMIT 1
$$;

-- In which part of the queue of its limit a waiting task stands: as the index kr_task_queue has it.
CREATE OR REPLACE FUNCTION kr_part(limits text[], waits_for text) RETURNS integer LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN cardinality(limits) > 1 THEN kr_limit_set(limits, waits_for) ELSE 0 END
$$;

-- The parts of the queue of a limit: 0, and by skipping through the index those in which somebody waits who has several limits. Of very many the first twenty, and
-- twenty from a place that is drawn: none is overlooked for ever.
CREATE OR REPLACE FUNCTION kr_parts(limit_name text) RETURNS SETOF integer LANGUAGE sql STABLE AS $$
    WITH RECURSIVE p AS (
        SELECT 0 AS part, 0 AS n, (random() * 2147483647)::integer AS drawn         -- here: what is drawn for each row is no index condition
        UNION ALL
        SELECT m.part, p.n + 1, p.drawn FROM p CROSS JOIN LATERAL (
            SELECT kr_part(t.limits, t.waits_for) AS part FROM kr_task_stat t WHERE t.exec_status = 0 AND t.gate = 'limit' AND t.waits_for COLLATE "C" = limit_name
                AND kr_part(t.limits, t.waits_for) > CASE WHEN p.n = 20 THEN greatest(p.part, p.drawn) ELSE p.part END
            ORDER BY kr_part(t.limits, t.waits_for) LIMIT 1) m WHERE p.n < 40)
    SELECT p.part FROM p
$$;

-- How many of one limit may stand inside, whatever its slots: as many as all workers can run at once.
CREATE OR REPLACE FUNCTION kr_width() RETURNS integer LANGUAGE sql STABLE AS $$
    SELECT greatest(least(sum(w.slots::bigint), 1000000), 1)::integer FROM kr_worker w
$$;

-- How many may start together by a rate, a tenth of a second's worth; and how many may start now, if *waiting* were let in already and have not begun.
-- The generic cell rate algorithm (ITU-T I.371): free_at is when the next one is due; never further away than all that may start together take, whatever the rate
-- was before, or the clock.
CREATE OR REPLACE FUNCTION kr_burst(every_seconds double precision) RETURNS double precision LANGUAGE sql IMMUTABLE AS $$
    SELECT greatest(1, least(ceil(0.1 / every_seconds), 1000000))
$$;

CREATE OR REPLACE FUNCTION kr_free_in(free_at timestamptz, every_seconds double precision, now_ timestamptz) RETURNS double precision LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN free_at > now_ THEN least(extract(epoch FROM free_at - now_)::double precision, kr_burst(every_seconds) * every_seconds) ELSE 0 END
$$;

CREATE OR REPLACE FUNCTION kr_tokens(limit_name text, every_seconds double precision, waiting integer, now_ timestamptz) RETURNS integer LANGUAGE sql STABLE AS $$
    SELECT greatest(kr_burst(every_seconds) - greatest(waiting, ceil(kr_free_in((SELECT t.free_at FROM kr_turn t WHERE t.name = limit_name), every_seconds, now_) / every_seconds)), 0)::integer
$$;

-- How many tasks stand inside each limit, and, if the last of them has just begun, where the first of them stood: else nobody need skip what is dead before it. Without bitmaps: only a plain look at an index takes note of the dead entries that it meets.
CREATE OR REPLACE FUNCTION kr_inside() RETURNS kr_inside LANGUAGE sql STABLE SET enable_bitmapscan = off SET enable_seqscan = off SET jit = off AS $$
    SELECT ROW(coalesce(array_agg(i.name), '{}'), coalesce(array_agg(i.count), '{}'), coalesce(array_agg(i.waiting), '{}'), coalesce(array_agg(i.first), '{}'))::kr_inside FROM (
        SELECT n.name, count(*)::integer AS count, (count(*) FILTER (WHERE t.exec_status = 0))::integer AS waiting,
            CASE WHEN max(t.started_ts) FILTER (WHERE t.exec_status = 1) > clock_timestamp() - interval '50 ms' THEN min(t.run_order) END AS first
        FROM kr_task_stat t CROSS JOIN LATERAL unnest(CASE WHEN cardinality(t.limits) = 1 THEN t.limits ELSE ARRAY(SELECT DISTINCT unnest(t.limits)) END) n (name)
        WHERE t.limits IS NOT NULL AND (t.exec_status = 1 OR (t.exec_status = 0 AND t.gate = 'slot')) AND NOT kr_counts_flows(n.name) GROUP BY 1) i
$$;

-- Lock limits and patterns: those that another session has are answered without. If only one is wanted we wait for it, as long as a turn of the cycle takes: to look
-- again later would cost more.
CREATE OR REPLACE FUNCTION kr_lock_limits(doors text[]) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
    locked text[] := ARRAY(SELECT d FROM unnest(doors) d WHERE pg_try_advisory_xact_lock(kr_limit_key(d)));
BEGIN
    IF locked = '{}' AND cardinality(doors) = 1 AND kr_waited_for(doors[1]) THEN
        RETURN doors;
    END IF;
    RETURN locked;
END $$;

CREATE OR REPLACE FUNCTION kr_limit_key(door text) RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT hashtextextended(current_schema || ' limit ' || door, 0)
$$;

CREATE OR REPLACE FUNCTION kr_waited_for(door text) RETURNS boolean LANGUAGE plpgsql SET lock_timeout = '10ms' AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(kr_limit_key(door));
    RETURN true;
EXCEPTION WHEN lock_not_available THEN
    RETURN false;
END $$;

-- How it stands with limits, those of them that have a rule. doors: what is locked.
CREATE OR REPLACE FUNCTION kr_rooms(limit_names text[], doors text[], inside kr_inside, now_ timestamptz) RETURNS kr_rooms LANGUAGE sql STABLE AS $$
    SELECT ROW(array_agg(r.name), array_agg(r.pattern), array_agg(r.count), array_agg(greatest(CASE
            WHEN NOT r.locked THEN 0 WHEN r.every_seconds IS NULL OR r.free <= 0 THEN r.free
            ELSE least(r.free, kr_tokens(r.name, r.every_seconds, coalesce(inside.waiting[r.at], 0), now_)) END, 0)), array_agg(r.every_seconds), array_agg(r.locked))::kr_rooms
    FROM (SELECT n AS name, l.pattern, l.every_seconds, a.at, coalesce(inside.counts[a.at], 0) AS count, least(l.slots, w.wide) - coalesce(inside.counts[a.at], 0) AS free,
              coalesce(l.pattern, n) = ANY (doors) AS locked
          FROM (SELECT kr_width() AS wide OFFSET 0) w CROSS JOIN unnest(limit_names) n CROSS JOIN LATERAL kr_rule(n) l CROSS JOIN LATERAL (SELECT array_position(inside.names, n) AS at) a
          WHERE NOT kr_counts_flows(n)) r
$$;

-- The last name there can be of those that begin like this one (128 characters of four bytes fit into one), if one of these patterns holds for them; else the
-- name itself. Never one that comes before it.
CREATE OR REPLACE FUNCTION kr_last_like(limit_name text, prefixes text[]) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT greatest(limit_name COLLATE "C", (SELECT min(p COLLATE "C") FROM unnest(prefixes) p WHERE starts_with(limit_name, p)) || repeat(chr(1114111), 128))
$$;

-- Whether one of these patterns, given by how it begins, holds for a name.
CREATE OR REPLACE FUNCTION kr_begins(limit_name text, prefixes text[]) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT EXISTS (SELECT FROM unnest(prefixes) p WHERE starts_with(limit_name, p))
$$;

-- How many tasks stand inside a pattern, each once, however many of its names it has.
CREATE OR REPLACE FUNCTION kr_inside_of(pattern text) RETURNS integer LANGUAGE sql STABLE SET enable_bitmapscan = off SET enable_seqscan = off SET jit = off AS $$
    SELECT count(*)::integer FROM kr_task_stat t WHERE t.limits IS NOT NULL AND (t.exec_status = 1 OR (t.exec_status = 0 AND t.gate = 'slot'))
        AND EXISTS (SELECT FROM unnest(t.limits) l WHERE NOT kr_counts_flows(l) AND starts_with(l, left(pattern, -1)))
$$;

-- The keys of a pattern that have room and somebody waiting, from the one after the last that had its turn, some more than the pattern may let in: free.
-- is_over: the round came to its end. kr_last_like and kr_begins are called only where patterns are nested: for very many keys they are dear.
CREATE OR REPLACE FUNCTION kr_round(rule ms_limit, inside kr_inside, now_ timestamptz, OUT keys kr_rooms, OUT free integer, OUT is_over boolean) LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
    wide  integer := kr_width();
    most  integer;
    found_ record;
    nested text[] := ARRAY(SELECT m.prefix FROM ms_limit m WHERE m.prefix IS NOT NULL AND starts_with(m.prefix, rule.prefix) AND m.name <> rule.name)
        || ARRAY(SELECT f FROM unnest('{unique:,workflow:}'::text[]) f WHERE starts_with(f, rule.prefix));      -- limits on flows are no keys
    last_ text COLLATE "C" := coalesce((SELECT t.last_key FROM kr_turn t WHERE t.name = rule.name), '');
BEGIN
    free := greatest(wide - kr_inside_of(rule.name), 0);
    IF rule.slots = 0 AND NOT EXISTS (SELECT FROM ms_limit m WHERE starts_with(m.name, rule.prefix) AND m.prefix IS NULL AND m.slots IS DISTINCT FROM 0) THEN
        free := 0;         -- of very many keys none need be looked at
    END IF;
    most := CASE WHEN free > 0 THEN greatest(free, 50) ELSE 0 END;      -- among more than may come in, the more urgent can come before their turn
    WITH RECURSIVE later AS (          -- each name once, by skipping through the index
        (SELECT t.waits_for COLLATE "C" AS name FROM kr_task_stat t WHERE t.exec_status = 0 AND t.gate = 'limit'
            AND t.waits_for COLLATE "C" > last_ AND t.waits_for COLLATE "C" >= rule.prefix ORDER BY t.waits_for COLLATE "C" LIMIT 1)
        UNION ALL
        SELECT n.* FROM later k CROSS JOIN LATERAL (
            SELECT t.waits_for COLLATE "C" FROM kr_task_stat t WHERE t.exec_status = 0 AND t.gate = 'limit'
                AND t.waits_for COLLATE "C" > CASE WHEN nested = '{}' THEN k.name ELSE kr_last_like(k.name, nested) END ORDER BY t.waits_for COLLATE "C" LIMIT 1) n WHERE starts_with(k.name, rule.prefix)),
    sooner AS (
        (SELECT t.waits_for COLLATE "C" AS name FROM kr_task_stat t WHERE t.exec_status = 0 AND t.gate = 'limit'
            AND t.waits_for COLLATE "C" >= rule.prefix ORDER BY t.waits_for COLLATE "C" LIMIT 1)
        UNION ALL
        SELECT n.* FROM sooner k CROSS JOIN LATERAL (
            SELECT t.waits_for COLLATE "C" FROM kr_task_stat t WHERE t.exec_status = 0 AND t.gate = 'limit'
                AND t.waits_for COLLATE "C" > CASE WHEN nested = '{}' THEN k.name ELSE kr_last_like(k.name, nested) END ORDER BY t.waits_for COLLATE "C" LIMIT 1) n WHERE k.name < last_)
    SELECT ROW(array_agg(r.name::text), array_agg(rule.name), array_agg(r.count), array_agg(r.free), array_agg(r.every_seconds), array_agg(true))::kr_rooms AS rooms,
            coalesce(bool_or(r.is_again), false) OR count(*) < most AS is_over INTO found_ FROM (
        SELECT k.name, k.is_again, s.count, s.every_seconds, f.free
        FROM (SELECT l.name COLLATE "default" AS name, false AS is_again FROM later l WHERE starts_with(l.name, rule.prefix)          -- as the indexes have it
              UNION ALL SELECT s.name COLLATE "default", true FROM sooner s WHERE s.name <= last_ AND starts_with(s.name, rule.prefix)) k
            LEFT JOIN ms_limit o ON o.name = k.name
            CROSS JOIN LATERAL (SELECT array_position(inside.names, k.name::text) AS at) a
            CROSS JOIN LATERAL (SELECT coalesce(inside.counts[a.at], 0) AS count, CASE WHEN o.name IS NULL THEN rule.slots ELSE o.slots END AS slots,
                CASE WHEN o.name IS NULL THEN rule.every_seconds ELSE o.every_seconds END AS every_seconds) s
            CROSS JOIN LATERAL (SELECT least(s.slots, wide) - s.count AS room) r
            CROSS JOIN LATERAL (SELECT CASE WHEN s.every_seconds IS NULL OR r.room <= 0 THEN r.room
                ELSE least(r.room, kr_tokens(k.name, s.every_seconds, coalesce(inside.waiting[a.at], 0), now_)) END AS free) f
        WHERE f.free > 0 AND (nested = '{}' OR NOT kr_begins(k.name, nested)) LIMIT most) r;
    keys := found_.rooms;
    is_over := found_.is_over;
END $$;

-- The limits that have room and somebody waiting: none, unless a bell was lost. The names that no pattern fits one after the other, by skipping through the index.
CREATE OR REPLACE FUNCTION kr_open_doors() RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    most     CONSTANT integer := 200;      -- of unique keys there may be very many
    door     text COLLATE "C" := '';
    inside   kr_inside;
    one      record;
    prefixes text[];
    flow_doors integer := 0;
BEGIN
    IF NOT EXISTS (SELECT FROM kr_task_stat t WHERE t.exec_status = 0 AND t.gate = 'limit') THEN
        RETURN;
    END IF;
    inside := kr_inside();
    prefixes := ARRAY(SELECT m.prefix FROM ms_limit m WHERE m.prefix IS NOT NULL AND NOT kr_counts_flows(m.name));
    RETURN QUERY SELECT l.name FROM ms_limit l CROSS JOIN LATERAL kr_round(l, inside, clock_timestamp()) r WHERE l.prefix IS NOT NULL AND NOT kr_counts_flows(l.name) AND (r.keys).names IS NOT NULL;
    LOOP
        SELECT t.waits_for COLLATE "C" INTO door FROM kr_task_stat t WHERE t.exec_status = 0 AND t.gate = 'limit' AND t.waits_for COLLATE "C" > door
            ORDER BY t.waits_for COLLATE "C" LIMIT 1;
        EXIT WHEN NOT FOUND;
        IF kr_counts_flows(door) THEN
            flow_doors := flow_doors + 1;
            IF flow_doors > most THEN
                door := kr_last_like(door, '{unique:,workflow:}');
            ELSIF coalesce(kr_flow_room(door) > 0, true) THEN
                RETURN NEXT door;
            END IF;
        ELSIF kr_begins(door, prefixes) THEN
            -- names of limits on flows may stand between: not further than to them
            door := CASE WHEN '' = ANY (prefixes) THEN CASE WHEN door < 'unique:' THEN 'unique:' WHEN door < 'workflow:' THEN 'workflow:' ELSE kr_last_like(door, '{""}') END
                ELSE kr_last_like(door, prefixes) END;
        ELSE
            SELECT r.* INTO one FROM kr_rule(door) r;
            IF NOT FOUND OR (one.every_seconds IS NULL AND least(one.slots, kr_width()) > coalesce(inside.counts[array_position(inside.names, door::text)], 0)) THEN
                RETURN NEXT door;
            END IF;
        END IF;
    END LOOP;
END $$;

-- Who waits though the pattern that held them is gone, some of the names; the rest is looked at again.
CREATE OR REPLACE FUNCTION kr_freed_keys(pattern text, most integer) RETURNS SETOF text LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
    freed text[];
BEGIN
    IF EXISTS (SELECT FROM ms_limit l WHERE l.name = pattern) THEN
        RETURN;
    END IF;
    freed := ARRAY(
        WITH RECURSIVE k AS (
            (SELECT t.waits_for COLLATE "C" AS name FROM kr_task_stat t WHERE t.exec_status = 0 AND t.gate = 'limit'
                AND t.waits_for COLLATE "C" >= left(pattern, -1) ORDER BY t.waits_for COLLATE "C" LIMIT 1)
            UNION ALL
            SELECT n.* FROM k CROSS JOIN LATERAL (
                SELECT t.waits_for COLLATE "C" FROM kr_task_stat t WHERE t.exec_status = 0 AND t.gate = 'limit'
                    AND t.waits_for COLLATE "C" > k.name ORDER BY t.waits_for COLLATE "C" LIMIT 1) n WHERE starts_with(k.name, left(pattern, -1)))
        SELECT k.name FROM k WHERE starts_with(k.name, left(pattern, -1)) LIMIT most);
    IF cardinality(freed) >= most THEN
        INSERT INTO kr_recount (kind, name) VALUES ('limit', pattern);
    END IF;
    RETURN QUERY SELECT unnest(freed);
END $$;

-- Those of a task's limits that let nobody in now: their slots, who holds them (five at most, as flow/seq), and if it is only by the rate, until when.
CREATE OR REPLACE FUNCTION kr_full_limits(limits text[]) RETURNS TABLE (name text, slots integer, holders jsonb, until timestamptz) LANGUAGE sql STABLE AS $$
    SELECT n.name, r.slots, h.holders, CASE WHEN r.slots IS NULL OR r.slots > h.count THEN k.free_at END
    FROM (SELECT DISTINCT unnest(limits)) n (name) CROSS JOIN LATERAL kr_rule(n.name) r LEFT JOIN kr_turn k ON k.name = n.name AND r.every_seconds IS NOT NULL
        CROSS JOIN LATERAL (
            SELECT coalesce(max(i.count), 0) AS count, coalesce(jsonb_agg(i.holder ORDER BY i.n) FILTER (WHERE i.n <= 5), '[]') AS holders FROM (
                SELECT i.task_flow_id || '/' || i.task_exec_seq AS holder, row_number() OVER (ORDER BY i.started_ts) AS n, count(*) OVER () AS count FROM kr_task_stat i
                WHERE i.limits IS NOT NULL AND (i.exec_status = 1 OR (i.exec_status = 0 AND i.gate = 'slot')) AND i.limits @> ARRAY[n.name]) i) h
    WHERE NOT kr_counts_flows(n.name) AND (r.slots <= h.count OR k.free_at > clock_timestamp())
$$;
