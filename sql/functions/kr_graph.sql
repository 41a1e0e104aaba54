-- The edges of listed steps as parallel arrays of step numbers (1..n), and of each step its depth: its longest path from a root. Refuses an
-- unknown dependency and a circle.
CREATE OR REPLACE FUNCTION kr_graph(listed jsonb, OUT children integer[], OUT parents integer[], OUT depths integer[]) LANGUAGE plpgsql AS $$
DECLARE
    seqs    numeric[];
    names   text[];
    odd     record;
    circle  integer[];
    below   integer[];      -- the edges in the order of their parents
    above   integer[];
    first   integer[];      -- of each step: its first edge as a parent
    open_   integer[];      -- of each step: how many parents are left
    ready   integer[];
    done    integer := 0;
    place   integer;
BEGIN
    SELECT array_agg(s.seq ORDER BY s.seq), array_agg(s.name ORDER BY s.seq) INTO seqs, names FROM jsonb_to_recordset(listed) s (seq numeric, name text);
    WITH step AS MATERIALIZED (
        SELECT s.seq, s."dependsOn" AS depends_on, row_number() OVER (ORDER BY s.seq)::integer AS n FROM jsonb_to_recordset(listed) s (seq numeric, "dependsOn" numeric[])),
    edge AS (
        SELECT s.n AS child, s.n - 1 AS parent FROM step s WHERE s.depends_on IS NULL AND s.n > 1
        UNION
        SELECT c.n, p.n FROM step c CROSS JOIN unnest(c.depends_on) x LEFT JOIN step p ON p.seq = x)
    SELECT array_agg(e.child ORDER BY e.child, e.parent), array_agg(e.parent ORDER BY e.child, e.parent) INTO children, parents FROM edge e;
    IF array_position(parents, NULL) IS NOT NULL THEN
        SELECT s.seq, s.name, x INTO odd FROM jsonb_to_recordset(listed) s (seq numeric, name text, "dependsOn" numeric[]) CROSS JOIN unnest(s."dependsOn") x
            WHERE x = ANY (seqs) IS NOT TRUE ORDER BY s.seq LIMIT 1;
        PERFORM kr_refuse(format('steps[%s].dependsOn', odd.seq), format('the workflow has no step %s', coalesce(odd.x::text, 'NULL')));
    END IF;
    -- from the roots down, each step once all its parents are done
    depths := array_fill(0, ARRAY[cardinality(seqs)]);
    open_ := depths;
    first := depths;
    SELECT array_agg(e.child ORDER BY e.parent, e.child), array_agg(e.parent ORDER BY e.parent, e.child) INTO below, above FROM unnest(children, parents) e (child, parent);
    FOR i IN REVERSE coalesce(cardinality(above), 0) .. 1 LOOP
        first[above[i]] := i;
        open_[below[i]] := open_[below[i]] + 1;
    END LOOP;
    ready := ARRAY(SELECT n FROM unnest(open_) WITH ORDINALITY o (count, n) WHERE count = 0);
    WHILE done < coalesce(cardinality(ready), 0) LOOP
        done := done + 1;
        place := first[ready[done]];
        WHILE place > 0 AND above[place] = ready[done] LOOP
            depths[below[place]] := greatest(depths[below[place]], depths[ready[done]] + 1);
            open_[below[place]] := open_[below[place]] - 1;
            IF open_[below[place]] = 0 THEN
                ready := ready || below[place];
            END IF;
            place := place + 1;
        END LOOP;
    END LOOP;
    IF done < cardinality(seqs) THEN
        circle := kr_circle(children, parents, open_);
        PERFORM kr_refuse('steps', 'depend on each other in a circle: ' || (SELECT string_agg(names[c], ' → ' ORDER BY n) FROM unnest(circle) WITH ORDINALITY u (c, n)));
    END IF;
END $$;

-- A circle in these edges, each step before those that depend on it, the first again at the end. open_: of each step, how many of its parents
-- stand in a circle or behind one: going from such a step to such a parent, again and again, ends in a circle.
CREATE OR REPLACE FUNCTION kr_circle(children integer[], parents integer[], open_ integer[]) RETURNS integer[] LANGUAGE plpgsql AS $$
DECLARE
    way   integer[] := ARRAY[(SELECT min(n) FROM unnest(open_) WITH ORDINALITY o (count, n) WHERE count > 0)];
    next_ integer;
BEGIN
    LOOP
        SELECT min(e.parent) INTO next_ FROM unnest(children, parents) e (child, parent) WHERE e.child = way[1] AND open_[e.parent] > 0;
        EXIT WHEN next_ = ANY (way);
        way := next_ || way;
    END LOOP;
    way := way[1 : array_position(way, next_)];
    WHILE way[1] > ANY (way) LOOP      -- beginning with the first step
        way := way[2 :] || way[1];
    END LOOP;
    RETURN way || way[1];
END $$;
