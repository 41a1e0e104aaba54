-- Whom the gate limit lets through: all of a task's limits or none. Who is inside is counted from rows, under a lock per limit (kr_lock_limits).
-- A limit lets in the most urgent first; among the keys of a pattern slots go round (decision 0019). None lets in more than the workers have slots for:
-- whoever waits for a slot would be counted at each turn. A task that finds another of its limits full moves there.
-- Those that are let through are locked and not written: most are claimed at once, and kr_settle_admitted writes the rest.
-- since: where the first of those stands that came to a limit in this turn (Infinity: nobody did); NULL: look from the beginning. Else nobody is looked for before that and
-- before all that are inside, where starts follow close on each other (kr_inside): nearly all there are dead entries of whoever is through.
CREATE OR REPLACE FUNCTION kr_admit(names text[], since double precision) RETURNS kr_admission LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
    most   CONSTANT integer := 100;
    now_   CONSTANT timestamptz := clock_timestamp();
    made   kr_admission;
    doors  text[];             -- the limits and patterns that nobody else lets somebody in at now
    inside kr_inside;
    takes  integer[];          -- of how many of each queue we look at the tasks
    starts double precision[]; -- and from where on; NULL: the beginning
    others text[];             -- keys that rang, though it is not their turn
    ruled  record;
    round  record;
    found_ record;
    judged record;
BEGIN
    names := ARRAY(SELECT unnest(names) UNION SELECT unnest(k.also) FROM kr_turn k WHERE k.name = ANY (names));
    -- the keys of a pattern are found below; a rate counts for each of its own
    SELECT coalesce(array_agg(n) FILTER (WHERE r.pattern IS NULL OR r.every_seconds IS NOT NULL), '{}') AS names, coalesce(array_agg(n) FILTER (WHERE r.pattern IS NULL), '{}') AS plain,
            coalesce(array_agg(DISTINCT r.pattern) FILTER (WHERE r.pattern IS NOT NULL), '{}') AS patterns, array_agg(n) FILTER (WHERE r.pattern <> n) AS keys INTO ruled
        FROM unnest(names) n LEFT JOIN LATERAL kr_rule(n) r ON true WHERE NOT kr_counts_flows(n);
    doors := kr_lock_limits(ruled.plain || ruled.patterns);
    IF NOT doors @> ruled.patterns THEN
        INSERT INTO kr_recount (kind, name) SELECT 'limit', p FROM unnest(ruled.patterns) p WHERE p <> ALL (doors);
    END IF;
    inside := kr_inside();     -- after the lock, with a snapshot of its own: whoever was let in before is counted
    IF kr_sent_back(names, doors, inside) THEN
        inside := kr_inside();
    END IF;
    made.rooms := kr_rooms(ruled.names, doors, inside, now_);
    SELECT coalesce(array_agg(l.name), '{}'), array_agg(l.take) INTO made.looked, takes FROM (
        SELECT n AS name, least(coalesce((made.rooms).free[p.at], most), most) AS take FROM unnest(ruled.plain) n CROSS JOIN LATERAL (SELECT array_position((made.rooms).names, n) AS at) p) l WHERE l.take > 0;
    IF since IS NOT NULL THEN          -- of the keys that follow it is NULL
        starts := ARRAY(SELECT CASE WHEN f.first IS NOT NULL THEN least(since, f.first) END FROM unnest(made.looked) WITH ORDINALITY l (name, n)
            CROSS JOIN LATERAL (SELECT inside.firsts[array_position(inside.names, l.name)] AS first) f ORDER BY l.n);
    END IF;
    FOR round IN SELECT l.name, r.* FROM ms_limit l CROSS JOIN LATERAL kr_round(l, inside, now_) r WHERE l.name = ANY (ruled.patterns) AND l.name = ANY (doors) LOOP
        made.groups := made.groups || round.name::text;
        made.frees := made.frees || round.free;
        made.rounds := made.rounds || round.is_over;
        made.looked := made.looked || (round.keys).names;
        takes := takes || ARRAY(SELECT CASE WHEN cardinality((round.keys).names) >= round.free THEN 1 ELSE least(f, round.free, most) END FROM unnest((round.keys).free) f);
        made.rooms := kr_joined(round.keys, made.rooms);
    END LOOP;
    found_ := kr_heads(made.looked, takes, starts);
    IF found_.several IS NOT NULL THEN
        IF made.groups IS NOT NULL THEN        -- those whose turn it is may have to wait for another limit: whoever rang may pass them
            others := ARRAY(SELECT unnest(ruled.keys) EXCEPT SELECT unnest(made.looked));
            INSERT INTO kr_recount (kind, name) SELECT 'limit', r FROM unnest(others[most + 1 :]) r;
            made.rooms := kr_joined(made.rooms, kr_rooms(ARRAY(SELECT unnest(others[: most]) EXCEPT SELECT unnest((made.rooms).names)), doors, inside, now_));
            made.rang := ARRAY(SELECT r FROM unnest(others[: most]) r WHERE (made.rooms).free[array_position((made.rooms).names, r)] > 0);
            IF made.rang <> '{}' THEN
                made.looked := made.looked || made.rang;
                takes := takes || array_fill(1, ARRAY[cardinality(made.rang)]);
                found_ := kr_heads(made.looked, takes, starts);
            END IF;
        END IF;
        -- what else they need is locked and counted, too
        names := ARRAY(SELECT DISTINCT u FROM unnest(found_.several) s CROSS JOIN LATERAL unnest(s::text[]) u WHERE u <> ALL (made.looked));
        doors := doors || kr_lock_limits(ARRAY(SELECT DISTINCT coalesce(r.pattern, n) FROM unnest(names) n CROSS JOIN LATERAL kr_rule(n) r WHERE coalesce(r.pattern, n) <> ALL (doors)));
        made.rooms := kr_joined(made.rooms, kr_rooms(names, doors, kr_inside(), now_));
    END IF;
    judged := kr_judged(found_.rows_, found_.places, found_.several IS NOT NULL, made.looked, made.rooms, made.groups, made.frees);
    made.rows_ := judged.rows_in;
    made.orders := judged.orders;
    made.firsts := judged.firsts;
    made.heads := judged.heads;
    made.entered := judged.entered;
    made.blocked := judged.blocked;
    made.blockers := judged.blockers;
    IF judged.rows_out IS NOT NULL THEN
        UPDATE kr_task_stat t SET (gate, waits_for) = (
                SELECT g.gate, CASE WHEN g.gate = 'limit' AND NOT kr_counts_flows(g.waits_for) THEN coalesce(j.full_, g.waits_for) ELSE g.waits_for END
                FROM kr_gate(NULL, t.run_after, t.task_flow_id, t.task_id, t.program, t.limits) g)
            FROM unnest(judged.rows_out, judged.fulls) j (row_, full_) WHERE t.ctid = j.row_;
        made.looked := made.looked || ARRAY(SELECT DISTINCT f FROM unnest(judged.fulls) f WHERE f IS NOT NULL);
    END IF;
    RETURN made;
END $$;

-- Whoever was let in and still waits for a slot has no right to its place against a more urgent one: for the first in each part of the queue of a full limit that is more
-- urgent by a second (turns differ by less), the least urgent of those goes back whose leaving would let it in. Answers whether one did; who waits is then looked at again, as there may be more of them.
CREATE OR REPLACE FUNCTION kr_sent_back(names text[], doors text[], inside kr_inside) RETURNS boolean LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    wide integer := kr_width();
    moved integer;
BEGIN
    IF NOT 0 < ANY (inside.waiting) THEN
        RETURN false;
    END IF;
    WITH full_ AS (          -- like: what the limits of those are called who stand in the way
        SELECT n AS name, CASE WHEN own.count >= least(r.slots, wide) THEN n ELSE r.pattern END AS "like" FROM unnest(names) n CROSS JOIN LATERAL kr_rule(n) r
            CROSS JOIN LATERAL (SELECT coalesce(inside.counts[array_position(inside.names, n)], 0) AS count) own
        WHERE coalesce(r.pattern, n) = ANY (doors) AND NOT kr_counts_flows(n) AND (own.count >= least(r.slots, wide)
            OR kr_inside_of(r.pattern) >= wide)),
    victim AS (
        SELECT DISTINCT ON (v.row_) v.row_, (SELECT min(l) FROM unnest(v.limits) l WHERE NOT kr_counts_flows(l) AND kr_fits(ARRAY[l], ARRAY[f."like"])) AS limit_name
        FROM full_ f CROSS JOIN LATERAL (          -- fulls: all that one must leave for it to come in
                SELECT w.run_order, ARRAY(SELECT u FROM unnest(w.limits) u CROSS JOIN LATERAL kr_rule(u) r
                    WHERE NOT kr_counts_flows(u) AND coalesce(inside.counts[array_position(inside.names, u)], 0) >= least(r.slots, wide)) AS fulls
                FROM kr_parts(f.name) p (part) CROSS JOIN LATERAL (
                    SELECT t.run_order, t.limits FROM kr_task_stat t WHERE t.exec_status = 0 AND t.gate = 'limit' AND t.waits_for COLLATE "C" = f.name AND kr_part(t.limits, t.waits_for) = p.part
                    ORDER BY t.run_order, t.rank, t.task_exec_seq, t.task_flow_id LIMIT 1) w
                WHERE NOT EXISTS (SELECT FROM unnest(w.limits) u CROSS JOIN LATERAL kr_rule(u) r WHERE r.every_seconds IS NOT NULL AND NOT kr_counts_flows(u)
                    AND kr_tokens(u, r.every_seconds, coalesce(inside.waiting[array_position(inside.names, u)], 0), clock_timestamp()) <= 0)) h
            CROSS JOIN LATERAL (
                SELECT t.ctid AS row_, t.limits FROM kr_task_stat t WHERE t.limits IS NOT NULL AND (t.exec_status = 1 OR (t.exec_status = 0 AND t.gate = 'slot'))
                    AND t.exec_status + 0 = 0 AND t.run_order > h.run_order + 1 AND kr_fits(ARRAY(SELECT u FROM unnest(t.limits) u WHERE NOT kr_counts_flows(u)), ARRAY[f."like"]) AND t.limits @> h.fulls
                ORDER BY t.run_order DESC LIMIT 1 FOR UPDATE OF t SKIP LOCKED) v
        ORDER BY v.row_)
    UPDATE kr_task_stat t SET gate = 'limit', waits_for = v.limit_name FROM victim v WHERE t.ctid = v.row_;
    GET DIAGNOSTICS moved = ROW_COUNT;
    IF moved > 0 THEN
        INSERT INTO kr_recount (kind, name) SELECT 'limit', n FROM unnest(names) n WHERE NOT kr_counts_flows(n);
    END IF;
    RETURN moved > 0;
END $$;

-- The first in each part of the queues of these limits, locked, as many as they say, from where they say (NULL: the beginning); several: the limits of those that have more than one, as texts.
CREATE OR REPLACE FUNCTION kr_heads(looked text[], takes integer[], starts double precision[], OUT rows_ tid[], OUT places integer[], OUT several text[]) LANGUAGE sql AS $$
    SELECT array_agg(c.row_), array_agg(c.place), array_agg(c.limits::text) FILTER (WHERE cardinality(c.limits) > 1) FROM (
        SELECT DISTINCT ON (h.row_) h.row_, h.limits, l.place::integer AS place FROM unnest(looked, takes, starts) WITH ORDINALITY l (name, take, start, place) CROSS JOIN LATERAL (
            SELECT o.* FROM kr_parts(l.name) p (part) CROSS JOIN LATERAL (
                SELECT t.ctid AS row_, t.limits FROM kr_task_stat t WHERE t.exec_status = 0 AND t.gate = 'limit' AND t.waits_for COLLATE "C" = l.name AND kr_part(t.limits, t.waits_for) = p.part
                    AND t.run_order >= coalesce(l.start, '-Infinity')
                ORDER BY t.run_order, t.rank, t.task_exec_seq, t.task_flow_id LIMIT l.take FOR UPDATE OF t SKIP LOCKED) o
            UNION ALL
            SELECT o.* FROM (         -- whatever part they stand in: of very many parts not all are looked at
                SELECT t.ctid AS row_, t.limits FROM kr_task_stat t WHERE t.exec_status = 0 AND t.gate = 'limit' AND t.waits_for COLLATE "C" = l.name AND cardinality(t.limits) > 1
                    AND t.run_order >= coalesce(l.start, '-Infinity')
                ORDER BY t.run_order, t.rank, t.task_exec_seq, t.task_flow_id LIMIT l.take FOR UPDATE OF t SKIP LOCKED) o) h
        ORDER BY h.row_, l.place) c
$$;

-- These waiting tasks, each near the head of the queue of a limit, in the order in which they may pass. places: in *looked*, of the limit where each waits. Of the keys
-- of a pattern those come first that have fewest inside, in turn, of those that are more urgent. is_here: no other gate has closed meanwhile.
CREATE OR REPLACE FUNCTION kr_candidates(rows_ tid[], places integer[], looked text[], rooms kr_rooms, groups text[])
RETURNS TABLE (n bigint, row_ tid, limits text[], place integer, in_group integer, turn bigint, run_order double precision, urgency double precision, is_here boolean) LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
DECLARE
    is_simple boolean := NOT EXISTS (SELECT FROM ms_pause) AND NOT EXISTS (SELECT FROM ms_limit m WHERE m.name LIKE 'workflow:%');
BEGIN
    RETURN QUERY
    WITH task AS MATERIALIZED (
        SELECT t.ctid AS row_, h.place, t.limits, t.run_order, t.rank, t.task_exec_seq, t.task_flow_id, t.task_id, t.task_priority, t.program, t.run_after
        FROM unnest(rows_, places) h (row_, place) JOIN kr_task_stat t ON t.ctid = h.row_),
    alive AS MATERIALIZED (
        SELECT array_agg(p.program) AS programs FROM (SELECT DISTINCT t.program FROM task t) p WHERE EXISTS (SELECT FROM kr_worker w WHERE p.program = ANY (w.programs))),
    mine AS (        -- for most a glance is enough to see that they still stand at this gate
        SELECT t.*, array_position(groups, rooms.patterns[r.at]) AS in_group, rooms.inside[r.at] AS inside,
            CASE WHEN cardinality(t.limits) = 1 AND is_simple AND t.run_after IS NULL AND t.program = ANY (a.programs) THEN true
                ELSE (SELECT g.gate = 'limit' AND NOT kr_counts_flows(g.waits_for) FROM kr_gate(NULL, t.run_after, t.task_flow_id, t.task_id, t.program, t.limits) g) END AS is_here
        FROM task t CROSS JOIN alive a CROSS JOIN LATERAL (SELECT array_position(rooms.names, looked[t.place]) AS at) r),
    numbered AS (
        SELECT m.*, CASE WHEN m.in_group IS NULL THEN m.run_order ELSE min(m.run_order) OVER (PARTITION BY m.in_group, m.task_priority) END AS class,
            row_number() OVER (PARTITION BY m.place ORDER BY m.run_order, m.rank, m.task_exec_seq, m.task_flow_id) AS nth FROM mine m),
    in_order AS (
        SELECT m.*, row_number() OVER (ORDER BY m.class, CASE WHEN m.in_group IS NULL THEN 0 ELSE m.inside + m.nth END, m.place, m.nth) AS n FROM numbered m)
    SELECT i.n, i.row_, i.limits, i.place, i.in_group, CASE WHEN i.in_group IS NOT NULL THEN row_number() OVER (PARTITION BY i.in_group ORDER BY i.n) END, i.run_order, i.task_priority::double precision * 14400, i.is_here FROM in_order i ORDER BY i.n;
END $$;

-- Which of these waiting tasks may pass the gate limit, and which have to wait elsewhere: fulls, one of their limits that has no room, NULL if it is another gate.
-- several: some have more limits than that where they wait. Whom the pattern, or the limit where it waits, has no room for is in neither list, nor is who waits there for its turn and needs another
-- limit that is full: blocked, blockers. Those of a pattern stand one behind the other, each with its urgency, as if registered when the first of those who waited in
-- the last round was: else a newcomer would stand behind all that has waited longer without its limit. firsts: of each pattern, that time.
CREATE OR REPLACE FUNCTION kr_judged(rows_ tid[], places integer[], several boolean, looked text[], rooms kr_rooms, groups text[], frees integer[],
    OUT rows_in tid[], OUT orders double precision[], OUT heads text[], OUT entered text[], OUT firsts double precision[], OUT rows_out tid[], OUT fulls text[],
    OUT blocked text[], OUT blockers text[]) LANGUAGE plpgsql AS $$
DECLARE
    c     record;
    at    integer;
    full_ text;
    bases double precision[];      -- of each pattern, where those who have a turn stand
    turns bigint[];                -- and how many did so before
BEGIN
    SELECT array_agg(f.first ORDER BY g.n), array_agg(least(f.first, k.round_order, k.so_far) ORDER BY g.n), array_agg(CASE WHEN k.turn_order = least(f.first, k.round_order, k.so_far) THEN k.turns ELSE 0 END ORDER BY g.n)
        INTO firsts, bases, turns FROM unnest(groups) WITH ORDINALITY g (name, n) LEFT JOIN kr_turn k ON k.name = g.name LEFT JOIN (
            SELECT array_position(groups, rooms.patterns[array_position(rooms.names, looked[h.place])]) AS n, min(t.run_order - t.task_priority::double precision * 14400) AS first
            FROM unnest(rows_, places) h (row_, place) JOIN kr_task_stat t ON t.ctid = h.row_ GROUP BY 1) f ON f.n = g.n;
    IF NOT several THEN          -- no more were taken of a limit than there is room for
        SELECT array_agg(k.row_ ORDER BY k.n) FILTER (WHERE k.is_here), array_agg(CASE WHEN k.in_group IS NULL THEN k.run_order ELSE bases[k.in_group] + k.urgency + (turns[k.in_group] + k.turn) * kr_step_of_turns() END ORDER BY k.n) FILTER (WHERE k.is_here),
                array_agg(looked[k.place] ORDER BY k.n) FILTER (WHERE k.is_here), array_agg(k.row_) FILTER (WHERE NOT k.is_here), array_agg(NULL::text) FILTER (WHERE NOT k.is_here)
            INTO rows_in, orders, heads, rows_out, fulls FROM kr_candidates(rows_, places, looked, rooms, groups) k WHERE k.in_group IS NULL OR k.turn <= frees[k.in_group] OR NOT k.is_here;
        entered := heads;
        RETURN;
    END IF;
    FOR c IN SELECT * FROM kr_candidates(rows_, places, looked, rooms, groups) LOOP
        IF NOT c.is_here THEN
            rows_out := rows_out || c.row_;
            fulls := fulls || NULL::text;
            CONTINUE;
        END IF;
        CONTINUE WHEN frees[c.in_group] <= 0 OR rooms.free[array_position(rooms.names, looked[c.place])] <= 0;
        c.limits := ARRAY(SELECT DISTINCT u FROM unnest(c.limits) u WHERE u IS NOT NULL ORDER BY u);
        SELECT min(l) INTO full_ FROM unnest(c.limits) l WHERE rooms.free[array_position(rooms.names, l)] <= 0;
        IF full_ IS NOT NULL THEN
            IF c.in_group IS NULL THEN
                rows_out := rows_out || c.row_;
                fulls := fulls || full_;
            ELSE
                blocked := blocked || looked[c.place];
                blockers := blockers || full_;
            END IF;
            CONTINUE;
        END IF;
        FOR i IN 1 .. cardinality(c.limits) LOOP
            at := array_position(rooms.names, c.limits[i]);
            IF at IS NOT NULL THEN
                rooms.free[at] := rooms.free[at] - 1;
            END IF;
        END LOOP;
        rows_in := rows_in || c.row_;
        heads := heads || looked[c.place];
        entered := entered || c.limits;
        IF c.in_group IS NULL THEN
            orders := orders || c.run_order;
        ELSE
            frees[c.in_group] := frees[c.in_group] - 1;
            turns[c.in_group] := turns[c.in_group] + 1;
            orders := orders || (bases[c.in_group] + c.urgency + turns[c.in_group] * kr_step_of_turns());
        END IF;
    END LOOP;
END $$;

-- How far one turn stands behind another: the least that a double of seconds since 1970 can tell apart.
CREATE OR REPLACE FUNCTION kr_step_of_turns() RETURNS double precision LANGUAGE sql IMMUTABLE AS $$
    SELECT 1.0::double precision / 2097152
$$;

-- Write what became of those whom their limits let through: who was not claimed stands at the gate slot. Answers how many do, and the first of them.
-- And note what is left to note: of rates, when the next may start; of patterns, whose turn it was; of full limits, which keys they blocked; and, in kr_recount, what has room and somebody waiting
-- still: a limit that another session held, rows that somebody has locked, more than we take at once.
CREATE OR REPLACE FUNCTION kr_settle_admitted(made kr_admission, OUT ready integer, OUT run_order double precision, OUT rank integer, OUT seq numeric, OUT flow text) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    most  CONSTANT integer := 50;
    rooms kr_rooms := made.rooms;
    full_groups text[];
BEGIN
    WITH moved AS (
        UPDATE kr_task_stat t SET gate = 'slot', waits_for = NULL, run_order = j.new_order
        FROM unnest(made.rows_, made.orders) j (row_, new_order) WHERE t.ctid = j.row_ AND t.exec_status + 0 = 0
        RETURNING t.run_order, t.rank, t.task_exec_seq, t.task_flow_id)
    SELECT count(*) OVER (), m.run_order, m.rank, m.task_exec_seq, m.task_flow_id INTO ready, run_order, rank, seq, flow FROM moved m ORDER BY 2, 3, 4, 5 LIMIT 1;
    IF EXISTS (SELECT FROM unnest(rooms.every_seconds) e WHERE e IS NOT NULL) THEN
        PERFORM kr_note_starts(rooms, made.entered);
    END IF;
    IF made.groups IS NOT NULL THEN
        full_groups := ARRAY(SELECT g.name FROM unnest(made.groups, made.frees) g (name, free) WHERE g.free <= cardinality(kr_keys_of(g.name, made.heads, rooms)));
        PERFORM kr_note_round(g.name, g.first, g.is_over, kr_keys_of(g.name, made.heads, rooms), kr_keys_of(g.name, made.looked, rooms), coalesce(made.rang, '{}'))
            FROM unnest(made.groups, made.firsts, made.rounds) g (name, first, is_over) WHERE g.first IS NOT NULL;
    END IF;
    IF made.blocked IS NOT NULL THEN
        INSERT INTO kr_turn AS k (name, also)
            SELECT b.blocker, (array_agg(DISTINCT b.name))[: most] FROM unnest(made.blocked, made.blockers) b (name, blocker) GROUP BY 1
            ON CONFLICT (name) DO UPDATE SET also = (excluded.also || ARRAY(SELECT unnest(k.also) EXCEPT SELECT unnest(excluded.also)))[: most] WHERE NOT coalesce(k.also, '{}') @> excluded.also;
    END IF;
    INSERT INTO kr_recount (kind, name)
        SELECT 'limit', n.name FROM (
            SELECT r.name FROM unnest(rooms.names, rooms.patterns, rooms.free, rooms.locked) r (name, pattern, free, locked)
            WHERE NOT r.locked OR (r.free > 0 AND coalesce(r.pattern <> ALL (full_groups), true) AND r.free > (SELECT count(*) FROM unnest(made.entered) e WHERE e = r.name))
            UNION (SELECT unnest(made.looked) EXCEPT SELECT unnest(rooms.names))) n (name)
        WHERE n.name <> ALL (coalesce(made.blocked, '{}')) AND EXISTS (SELECT FROM kr_task_stat t WHERE t.exec_status = 0 AND t.gate = 'limit' AND t.waits_for COLLATE "C" = n.name);
END $$;

-- By the rates of these limits: when the next may start, and when to look again, if somebody waits for that and not for a place. While one that was let in waits for a
-- slot, nobody rings for the next: then now and again.
CREATE OR REPLACE FUNCTION kr_note_starts(rooms kr_rooms, entered text[]) RETURNS void LANGUAGE sql AS $$
    INSERT INTO kr_turn AS k (name, free_at, look_at)
        SELECT s.name, s.now_ + s.due * interval '1 s', CASE WHEN s.has_place AND EXISTS (SELECT FROM kr_task_stat t WHERE t.exec_status = 0 AND t.gate = 'limit' AND t.waits_for COLLATE "C" = s.name)
            THEN s.now_ + greatest(s.due - (kr_burst(s.every_seconds) - 1) * s.every_seconds, least(s.every_seconds, 1), 0.02) * interval '1 s' END
        FROM (SELECT r.name, r.every_seconds, r.now_, kr_free_in(t.free_at, r.every_seconds, r.now_) + r.every_seconds * r.count AS due,
                  least(l.slots, w.wide) > r.inside + r.count AND (r.count > 0 OR r.waits OR kr_free_in(t.free_at, r.every_seconds, r.now_) > 0) AS has_place
              FROM (SELECT DISTINCT ON (r.name) r.*, clock_timestamp() AS now_, (SELECT count(*) FROM unnest(entered) e WHERE e = r.name) AS count,
                        EXISTS (SELECT FROM kr_task_stat s WHERE s.limits IS NOT NULL AND s.exec_status = 0 AND s.gate = 'slot' AND s.limits @> ARRAY[r.name]) AS waits
                    FROM unnest(rooms.names, rooms.every_seconds, rooms.locked, rooms.inside) r (name, every_seconds, locked, inside) WHERE r.every_seconds IS NOT NULL AND r.locked) r
                  CROSS JOIN LATERAL kr_rule(r.name) l CROSS JOIN (SELECT kr_width() AS wide) w LEFT JOIN kr_turn t ON t.name = r.name) s
        ON CONFLICT (name) DO UPDATE SET free_at = excluded.free_at, look_at = excluded.look_at
$$;

-- Those of these limits that are keys of a pattern, in their order.
CREATE OR REPLACE FUNCTION kr_keys_of(pattern text, names text[], rooms kr_rooms) RETURNS text[] LANGUAGE sql IMMUTABLE AS $$
    SELECT ARRAY(SELECT n FROM unnest(names) WITH ORDINALITY u (n, place) WHERE rooms.patterns[array_position(rooms.names, n)] = pattern ORDER BY place)
$$;

-- Whose turn it was among the keys of a pattern, and where the next stand. heads: the keys that had one, as often as they had; first: of those who waited; looked: at
-- which keys, and those of them that rang out of turn. Where all had to wait for other limits, it is the turn of the keys behind them.
CREATE OR REPLACE FUNCTION kr_note_round(pattern text, first double precision, is_over boolean, heads text[], looked text[], rang text[]) RETURNS void LANGUAGE sql AS $$
    INSERT INTO kr_turn AS k (name, last_key, round_order, so_far, turn_order, turns)
        SELECT pattern, (SELECT l.name FROM unnest(looked) WITH ORDINALITY l (name, place) WHERE (l.name = ANY (heads) OR heads = '{}') AND l.name <> ALL (rang) ORDER BY l.place DESC LIMIT 1), first, NULL, first, cardinality(heads)
        ON CONFLICT (name) DO UPDATE SET last_key = coalesce(excluded.last_key, k.last_key),
            round_order = CASE WHEN is_over THEN least(k.so_far, first) ELSE k.round_order END, so_far = CASE WHEN NOT is_over THEN least(k.so_far, first) END,
            turn_order = least(first, k.round_order, k.so_far),
            turns = CASE WHEN k.turn_order = least(first, k.round_order, k.so_far) THEN k.turns ELSE 0 END + cardinality(heads)
$$;

CREATE OR REPLACE FUNCTION kr_joined(one kr_rooms, other kr_rooms) RETURNS kr_rooms LANGUAGE sql IMMUTABLE AS $$
    SELECT ROW(one.names || other.names, one.patterns || other.patterns, one.inside || other.inside, one.free || other.free,
        one.every_seconds || other.every_seconds, one.locked || other.locked)::kr_rooms
$$;
