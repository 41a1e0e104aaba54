-- Work out what a workflow's rows say now: check them, and where they differ from its current revision, make a new one. Answers the
-- number of the current revision, NULL if the workflow has no steps (any more). One session at a time per workflow.
-- Refuses with FL422: two steps of one name, an unknown dependency, a circle, a reference to a step that does not come before, or to none.
CREATE OR REPLACE FUNCTION kr_revise(workflow text, hash text DEFAULT NULL, origin text DEFAULT NULL) RETURNS integer
LANGUAGE plpgsql SET search_path FROM CURRENT SET jit = off AS $$
#variable_conflict use_column
DECLARE
    whole   ms_workflow;
    current_ ms_workflow_revision;
    listed  jsonb;
    odd     text;
    graph   record;
    made    integer;
BEGIN
    IF NOT EXISTS (SELECT FROM ms_task_definition d WHERE d.task_id = workflow) AND NOT EXISTS (SELECT FROM ms_workflow w WHERE w.task_id = workflow) THEN
        RETURN NULL;
    END IF;
    INSERT INTO ms_workflow (task_id) VALUES (workflow) ON CONFLICT DO NOTHING;
    SELECT w.* INTO whole FROM ms_workflow w WHERE w.task_id = workflow FOR UPDATE;
    DELETE FROM kr_changed_workflow c WHERE c.task_id = workflow AND c.transaction = pg_current_xact_id();
    listed := kr_listed_steps(workflow);
    IF listed IS NULL THEN
        UPDATE ms_workflow w SET revision = 0, takes = NULL, result = NULL WHERE w.task_id = workflow;
        RETURN NULL;
    END IF;
    SELECT r.* INTO current_ FROM ms_workflow_revision r WHERE r.task_id = workflow AND r.revision = whole.revision;
    IF FOUND AND (current_.steps, current_.takes, current_.result) IS NOT DISTINCT FROM (listed, whole.takes, whole.result) THEN
        RETURN whole.revision;
    END IF;
    SELECT s.name INTO odd FROM jsonb_to_recordset(listed) s (name text) GROUP BY s.name HAVING count(*) > 1 ORDER BY 1 LIMIT 1;
    IF FOUND THEN
        PERFORM kr_refuse('steps', format('two steps have the name %s', quote_literal(odd)));
    END IF;
    IF EXISTS (SELECT FROM ms_task_definition d WHERE d.task_id = workflow AND array_ndims(d.depends_on) > 1) THEN
        PERFORM kr_refuse('steps', 'depends_on must be a plain list, like {1,2}');
    END IF;
    graph := kr_graph(listed);
    SELECT coalesce(max(r.revision), 0) + 1 INTO made FROM ms_workflow_revision r WHERE r.task_id = workflow;

    INSERT INTO kr_step (task_id, revision, task_exec_seq, task_seq, name, program, task_priority, limits, parents, depth, own, place)
        SELECT workflow, made, s.n, s.seq, s.name, s.program, s.priority, d.limits, '{}', graph.depths[s.n], kr_without_references(s.parameters), d.place
        FROM (SELECT row_number() OVER (ORDER BY x.seq)::integer AS n, x.* FROM jsonb_to_recordset(listed) x (seq numeric, name text, program text, priority numeric, parameters jsonb)) s
            JOIN ms_task_definition d ON d.task_id = workflow AND d.task_seq = s.seq;
    UPDATE kr_step s SET parents = e.parents
        FROM (SELECT g.child, array_agg(g.parent ORDER BY g.parent) AS parents FROM unnest(graph.children, graph.parents) g (child, parent) GROUP BY 1) e
        WHERE s.task_id = workflow AND s.revision = made AND s.task_exec_seq = e.child;
    IF listed::text LIKE '%"$%' THEN
        PERFORM kr_work_out_references(workflow, made, listed, whole.takes);
    END IF;
    INSERT INTO ms_workflow_revision (task_id, revision, steps, takes, result, result_inputs, code_hash, source)
        VALUES (workflow, made, listed, whole.takes, whole.result, kr_result_inputs(workflow, made, whole.result), hash, coalesce(origin, nullif(current_setting('application_name'), '')));
    UPDATE ms_workflow w SET revision = made WHERE w.task_id = workflow;
    RETURN made;
END $$;

-- The steps of a workflow as they stand in its rows, in the shape of the HTTP interface; NULL if there are none.
CREATE OR REPLACE FUNCTION kr_listed_steps(workflow text) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT jsonb_agg(jsonb_strip_nulls(jsonb_build_object('seq', d.task_seq, 'name', d.name, 'program', d.program, 'priority', d.task_priority, 'dependsOn', d.depends_on,
            'limits', d.limits, 'place', d.place)) || jsonb_build_object('parameters', d.parameters) ORDER BY d.task_seq)
    FROM (SELECT d.task_seq, d.program, d.task_priority, d.depends_on, d.limits, d.place,
            coalesce(d.name, left(d.program || coalesce('-' || nullif(row_number() OVER (PARTITION BY d.program, d.name IS NULL ORDER BY d.task_seq), 1), ''), 256)) AS name,
            kr_own_parameters(ARRAY[[d.param1_key, d.param1_value], [d.param2_key, d.param2_value], [d.param3_key, d.param3_value],
                [d.param4_key, d.param4_value], [d.param5_key, d.param5_value]]::text[], d.parameters) AS parameters
        FROM ms_task_definition d WHERE d.task_id = workflow) d
$$;

-- The parameters that a step itself has: its pairs, then its own object.
CREATE OR REPLACE FUNCTION kr_own_parameters(pairs text[], own jsonb) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN coalesce((SELECT jsonb_object_agg(pairs[i][1], coalesce(pairs[i][2], '') ORDER BY i) FROM generate_series(1, 5) i WHERE pairs[i][1] <> ''), '{}') || coalesce(own, '{}');
END $$;

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

-- Write the references of a revision's steps as places that something else takes. Each must name a step that comes before, or a parameter
-- that a flow takes.
CREATE OR REPLACE FUNCTION kr_work_out_references(workflow text, made integer, listed jsonb, takes jsonb) RETURNS void LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    found_ jsonb := (
        SELECT jsonb_agg(jsonb_build_object('n', l.n, 'at', r.place, 'kind', r.kind, 'name', r.name, 'path', r.path, 'source', s.task_exec_seq))
        FROM jsonb_array_elements(listed) WITH ORDINALITY l (step, n) CROSS JOIN LATERAL kr_references(l.step -> 'parameters') r
            LEFT JOIN kr_step s ON s.task_id = workflow AND s.revision = made AND s.name = r.name AND r.kind = 'task');
    later jsonb := (          -- of each source that is no parent of its user: who comes after it
        SELECT jsonb_agg(jsonb_build_object('source', f.source, 'later', l)) FROM (
            SELECT DISTINCT f.source FROM jsonb_to_recordset(found_) f (n integer, source integer)
                JOIN kr_step s ON s.task_id = workflow AND s.revision = made AND s.task_exec_seq = f.n WHERE f.source <> ALL (s.parents)) f
            CROSS JOIN LATERAL unnest(kr_after(workflow, made, f.source)) l);
    odd record;
BEGIN
    SELECT s.name, s.task_seq, f.at, f.kind, f.name AS what, f.source INTO odd
    FROM jsonb_to_recordset(found_) f (n integer, at text[], kind text, name text, source integer)
        JOIN kr_step s ON s.task_id = workflow AND s.revision = made AND s.task_exec_seq = f.n
    WHERE f.at = '{}' OR CASE f.kind
        WHEN 'param' THEN NOT takes ? f.name
        WHEN 'env' THEN f.name ~ '^(FLOWER|DB|PG)'
        WHEN 'task' THEN f.source IS NULL OR NOT (f.source = ANY (s.parents) OR f.n = ANY (
            SELECT l.later FROM jsonb_to_recordset(later) l (source integer, later integer) WHERE l.source = f.source))
        END ORDER BY f.n LIMIT 1;
    IF FOUND THEN
        PERFORM kr_refuse(format('steps[%s].parameters%s', odd.task_seq, kr_path(odd.at)), CASE
            WHEN odd.at = '{}' THEN 'must be an object with names: a reference stands under one of them'
            WHEN odd.kind = 'env' THEN format('%s is no variable for tasks: Flower and PostgreSQL read it themselves', quote_literal(odd.what))
            WHEN odd.kind = 'param' THEN format('a flow takes no parameter %s', quote_literal(odd.what))
            WHEN odd.source IS NULL THEN format('the workflow has no step %s', quote_literal(odd.what))
            ELSE format('%s does not come before %s: name it in dependsOn', quote_literal(odd.what), quote_literal(odd.name)) END);
    END IF;
    UPDATE kr_step s SET inputs = f.inputs, given = f.given
        FROM (SELECT r.n, jsonb_agg(jsonb_strip_nulls(jsonb_build_object('at', r.at, 'seq', r.source, 'env', CASE r.kind WHEN 'env' THEN r.name END, 'name', r.name, 'path', r.path)))
                FILTER (WHERE r.kind <> 'param') AS inputs,
                jsonb_agg(jsonb_build_object('at', r.at, 'param', r.name, 'path', r.path)) FILTER (WHERE r.kind = 'param') AS given
            FROM jsonb_to_recordset(found_) r (n integer, at text[], kind text, name text, path jsonb, source integer) GROUP BY 1) f
        WHERE s.task_id = workflow AND s.revision = made AND s.task_exec_seq = f.n;
END $$;

-- The steps that come after one, directly or not.
CREATE OR REPLACE FUNCTION kr_after(workflow text, made integer, source integer) RETURNS integer[] LANGUAGE sql STABLE AS $$
    WITH RECURSIVE edge AS MATERIALIZED (
        SELECT s.task_exec_seq AS child, p AS parent FROM kr_step s CROSS JOIN unnest(s.parents) p WHERE s.task_id = workflow AND s.revision = made),
    down AS (
        SELECT e.child FROM edge e WHERE e.parent = source
        UNION
        SELECT e.child FROM down d JOIN edge e ON e.parent = d.child)
    SELECT array_agg(d.child) FROM down d
$$;

-- The references in what a flow results in: they must name steps.
CREATE OR REPLACE FUNCTION kr_result_inputs(workflow text, made integer, result jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    odd    text;
    inputs jsonb;
BEGIN
    SELECT min(r.name) FILTER (WHERE s.task_exec_seq IS NULL), jsonb_agg(jsonb_build_object('at', r.place, 'seq', s.task_exec_seq, 'name', r.name, 'path', r.path)) INTO odd, inputs
        FROM kr_references(result) r LEFT JOIN kr_step s ON s.task_id = workflow AND s.revision = made AND s.name = r.name AND r.kind = 'task';
    IF odd IS NOT NULL THEN
        PERFORM kr_refuse('result', format('the workflow has no step %s', quote_literal(odd)));
    END IF;
    RETURN inputs;
END $$;

-- A transaction changed definitions, by whatever statement: note which workflows, so that each is worked out once, when it commits.
CREATE OR REPLACE FUNCTION kr_definition_changed() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    CASE TG_OP
        WHEN 'INSERT' THEN INSERT INTO kr_changed_workflow (task_id) SELECT DISTINCT r.task_id FROM new_rows r ON CONFLICT DO NOTHING;
        WHEN 'DELETE' THEN INSERT INTO kr_changed_workflow (task_id) SELECT DISTINCT r.task_id FROM old_rows r ON CONFLICT DO NOTHING;
        WHEN 'UPDATE' THEN INSERT INTO kr_changed_workflow (task_id) SELECT r.task_id FROM old_rows r UNION SELECT r.task_id FROM new_rows r ON CONFLICT DO NOTHING;
        WHEN 'TRUNCATE' THEN INSERT INTO kr_changed_workflow (task_id) SELECT w.task_id FROM ms_workflow w WHERE w.revision > 0 ON CONFLICT DO NOTHING;
    END CASE;
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION kr_definition_committed() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    -- all of the transaction at its first event, in one order: two that change the same workflows wait for each other and do not lock each other out
    PERFORM kr_revise(c.task_id) FROM (SELECT c.task_id FROM kr_changed_workflow c WHERE c.transaction = NEW.transaction ORDER BY c.task_id) c;
    RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER zz_flower_inserted AFTER INSERT ON ms_task_definition REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION kr_definition_changed();
CREATE OR REPLACE TRIGGER zz_flower_updated AFTER UPDATE ON ms_task_definition REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION kr_definition_changed();
CREATE OR REPLACE TRIGGER zz_flower_deleted AFTER DELETE ON ms_task_definition REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION kr_definition_changed();
CREATE OR REPLACE TRIGGER zz_flower_truncated AFTER TRUNCATE ON ms_task_definition FOR EACH STATEMENT EXECUTE FUNCTION kr_definition_changed();
-- A constraint trigger waits for the commit; it cannot be replaced.
DROP TRIGGER IF EXISTS zz_flower_committed ON kr_changed_workflow;
CREATE CONSTRAINT TRIGGER zz_flower_committed AFTER INSERT ON kr_changed_workflow DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION kr_definition_committed();

REVOKE ALL ON FUNCTION kr_definition_changed(), kr_definition_committed() FROM PUBLIC;
