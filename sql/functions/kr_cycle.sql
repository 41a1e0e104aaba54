-- The engine's one round trip: record the outcomes gathered so far, release who waited for them, look at what others changed, admit
-- through limits, claim for the free slots. Waits for no lock that somebody else's session may hold, but for those of limits: 10 ms at most for each.
-- look_round: also look at hand-made changes, timers and doors. careful: the last call failed, on a value, or on a user's trigger or constraint. So
-- each row is written in a subtransaction of its own: an outcome that cannot be stored is recorded with a constant text, and what cannot be
-- written at all stays for the next call, alone. at_…: where the last claim ended, NULL from the start.
-- Answers rows of one shape, by kind: claimed; refused (the claim was gone); not written (locked: send again); unstorable (the culprit);
-- sleep (seconds until the next time gate opens, a pause ends or the wait for a signal is over, or until something locked must be tried again; and, as the key of a task, from where the
-- next claim must look if this one had no slots: what came to a slot meanwhile may stand before the last position).
CREATE OR REPLACE FUNCTION kr_cycle(worker uuid, flows text[], seqs numeric[], claims uuid[], statuses numeric[], outcomes text[], payloads text[],
    delays double precision[], unharmed boolean[], slots integer, look_round boolean, careful boolean,
    at_order double precision, at_rank integer, at_seq numeric, at_flow text)
RETURNS TABLE (kind text, flow text, seq numeric, workflow text, name text, program text, parameters text, attempt integer, claim uuid,
    run_order double precision, rank integer, seconds double precision, input text[], tries integer)
LANGUAGE plpgsql SET search_path FROM CURRENT
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off SET jit = off SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
    done    record;
    one     record;
    o       record;
    wflows  text[];              -- of which something was recorded
    tflows  text[];
    tseqs   numeric[];
    tedges  boolean[];
    sflows  text[];              -- what came to the gate signal
    sseqs   numeric[];
    look_signals boolean := look_round;
    names   text[] := '{}';
    since   double precision := 'Infinity';      -- where the first of those stands that came to a limit
    rung    text[] := '{}';      -- limits on flows where somebody may come in
    checked text[] := '{}';      -- those that are to be looked at closely
    fflows  text[] := '{}';      -- what came to the gate limit
    fseqs   numeric[] := '{}';
    busy    text[] := '{}';      -- flows that have something at a slot or limit now
    quiet   text[] := '{}';      -- those that have not, and may be over
    ready   integer := 0;
    let_in  kr_admission;
    claimed integer := 0;
BEGIN
    -- 1 record
    IF cardinality(flows) > 0 THEN
        IF NOT careful THEN
            done := kr_record(flows, seqs, claims, statuses, outcomes, payloads, delays, unharmed);
        ELSE
            done := kr_record('{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}');
            FOR i IN 1 .. cardinality(flows) LOOP
                BEGIN
                    one := kr_record(flows[i:i], seqs[i:i], claims[i:i], statuses[i:i], outcomes[i:i], payloads[i:i], delays[i:i], unharmed[i:i]);
                EXCEPTION WHEN OTHERS THEN
                    BEGIN
                        one := kr_record(flows[i:i], seqs[i:i], claims[i:i], '{2}', '{failed}',
                            '{"{\"type\": \"Unstorable\", \"message\": \"the task ended, but PostgreSQL could not store what it returned\"}"}', '{NULL}', '{false}');
                        RETURN QUERY SELECT 'unstorable', flows[i], seqs[i], NULL, NULL, NULL, NULL, NULL::integer, claims[i], NULL::float8, NULL::integer, NULL::float8, NULL::text[], NULL::integer;
                    EXCEPTION WHEN OTHERS THEN
                        CONTINUE;
                    END;
                END;
                done.wflows := done.wflows || one.wflows;
                done.wseqs := done.wseqs || one.wseqs;
                done.wclaims := done.wclaims || one.wclaims;
                done.wstatuses := done.wstatuses || one.wstatuses;
                done.names := done.names || one.names;
            END LOOP;
        END IF;
        names := coalesce(done.names, '{}');
        wflows := done.wflows;
        IF coalesce(cardinality(done.wflows), 0) < cardinality(flows) THEN
            RETURN QUERY
            SELECT CASE WHEN t.task_flow_id IS NULL THEN 'refused' ELSE 'not written' END, g.f, g.s, NULL, NULL, NULL, NULL, NULL::integer, g.c, NULL::float8, NULL::integer, NULL::float8, NULL::text[], NULL::integer
            FROM unnest(flows, seqs, claims) g (f, s, c)
                LEFT JOIN kr_task_stat t ON t.task_flow_id = g.f AND t.task_exec_seq = g.s AND t.exec_status + 0 = 1 AND t.claim_id = g.c
            WHERE g.c <> ALL (coalesce(done.wclaims, '{}'));
        END IF;
        -- 2 release: the children that wait for one of them; a task that goes back looks for its gate
        SELECT array_agg(x.f), array_agg(x.s), array_agg(x.e) INTO tflows, tseqs, tedges FROM (
            SELECT DISTINCT e.task_flow_id::text AS f, e.task_exec_seq AS s, false AS e
            FROM unnest(done.wflows, done.wseqs, done.wstatuses) w (f, s, status)
                JOIN kr_task_edge e ON e.task_flow_id || '' = w.f AND e.parent_seq + 0 = w.s AND w.status = ANY (e.counts)
                JOIN kr_task_stat t ON t.task_flow_id = e.task_flow_id AND t.task_exec_seq = e.task_exec_seq
            WHERE t.exec_status + 0 = 0 AND t.gate = 'dependencies' AND t.waits_seq = w.s
            UNION ALL
            SELECT w.f, w.s, true FROM unnest(done.wflows, done.wseqs, done.wstatuses) w (f, s, status) WHERE w.status = 0) x;
        IF EXISTS (SELECT FROM kr_waiter) AND EXISTS (SELECT FROM unnest(done.wflows) w (f) JOIN kr_waiter k ON k.task_flow_id = w.f
            WHERE NOT EXISTS (SELECT FROM kr_task_stat t WHERE t.task_flow_id = w.f AND (t.exec_status + 0 = 1 OR (t.exec_status + 0 = 0 AND t.gate IS DISTINCT FROM 'dependencies')))) THEN
            PERFORM pg_notify('flower_end', '');
        END IF;
    END IF;
    -- 3 what others changed, whose time has come, which doors opened
    IF look_round THEN
        FOR o IN SELECT * FROM kr_look(500) LOOP
            IF o.limit_name IS NULL THEN
                tflows := tflows || o.flow;
                tseqs := tseqs || o.seq;
                tedges := tedges || o.edges_changed;
            ELSIF o.edges_changed THEN
                checked := checked || o.limit_name;
            ELSIF kr_counts_flows(o.limit_name) THEN
                rung := rung || o.limit_name;
            ELSE
                names := names || o.limit_name;
            END IF;
        END LOOP;
    END IF;
    -- 4 settle and admit; the claim goes back as far as the oldest task that came to a slot. Signals end tasks, which others wait for: then once more
    LOOP
        sflows := '{}';
        sseqs := '{}';
        busy := '{}';
        IF cardinality(tflows) > 0 THEN
            FOR o IN SELECT * FROM kr_settle(tflows, tseqs, tedges, careful) LOOP
                busy := busy || o.flow;
                IF o.gate = 'limit' THEN
                    names := names || ARRAY(SELECT unnest(o.limits));
                    since := least(since, o.run_order);
                    fflows := fflows || o.flow;
                    fseqs := fseqs || o.seq;
                ELSIF o.gate = 'signal' THEN
                    sflows := sflows || o.flow;
                    sseqs := sseqs || o.seq;
                ELSE
                    ready := ready + 1;
                    IF (o.run_order, o.rank, o.seq, o.flow) < (at_order, at_rank, at_seq, at_flow) THEN
                        at_order := o.run_order; at_rank := o.rank; at_seq := o.seq; at_flow := o.flow;
                    END IF;
                END IF;
            END LOOP;
        END IF;
        -- flows first: whoever is let in may find a limit of its own
        IF EXISTS (SELECT FROM kr_flow_inside) THEN
            quiet := ARRAY(SELECT unnest(wflows || tflows) EXCEPT SELECT unnest(busy));
        END IF;
        IF quiet || fflows || rung || checked <> '{}' THEN
            FOR o IN SELECT * FROM kr_admit_flows(rung, checked, quiet, fflows, fseqs, careful) LOOP
                IF o.gate = 'limit' THEN
                    names := names || ARRAY(SELECT unnest(o.limits));
                    since := least(since, o.run_order);
                ELSIF o.gate = 'signal' THEN
                    sflows := sflows || o.flow;
                    sseqs := sseqs || o.seq;
                ELSE
                    ready := ready + 1;
                    IF (o.run_order, o.rank, o.seq, o.flow) < (at_order, at_rank, at_seq, at_flow) THEN
                        at_order := o.run_order; at_rank := o.rank; at_seq := o.seq; at_flow := o.flow;
                    END IF;
                END IF;
            END LOOP;
        END IF;
        EXIT WHEN NOT look_signals AND sflows = '{}';
        SELECT array_agg(DISTINCT r.flow), array_agg(r.flow) FILTER (WHERE r.seq IS NOT NULL), array_agg(r.seq) FILTER (WHERE r.seq IS NOT NULL), array_agg(false) FILTER (WHERE r.seq IS NOT NULL)
            INTO wflows, tflows, tseqs, tedges FROM kr_signals(sflows, sseqs, look_signals, careful) r;
        EXIT WHEN wflows IS NULL;
        look_signals := false;
        rung := '{}'; checked := '{}'; quiet := '{}'; fflows := '{}'; fseqs := '{}';
    END LOOP;
    names := ARRAY(SELECT DISTINCT n FROM unnest(names) n WHERE NOT kr_counts_flows(n));
    IF cardinality(names) > 0 THEN
        IF careful THEN
            ready := ready + kr_admit_each(names);
            at_order := NULL; at_rank := NULL; at_seq := NULL; at_flow := NULL;
        ELSE
            -- a claim from the start, too, looks at all
            let_in := kr_admit(names, CASE WHEN NOT look_round AND at_order IS NOT NULL THEN since END);
        END IF;
    END IF;
    -- 5 claim; the rest of those whom their limits let through comes to a slot
    IF slots > 0 THEN
        RETURN QUERY
        SELECT 'claimed', c.flow, c.seq, c.workflow, c.name, c.program, c.parameters, c.attempt, c.claim, c.run_order, c.rank, NULL::float8, c.input, c.tries
        FROM kr_claim(worker, slots, coalesce(at_order, '-Infinity'), coalesce(at_rank, -2147483648), coalesce(at_seq, '-Infinity'), coalesce(at_flow, ''), let_in.rows_, let_in.orders, careful) c;
        GET DIAGNOSTICS claimed = ROW_COUNT;
    END IF;
    IF let_in.looked IS NOT NULL THEN
        o := kr_settle_admitted(let_in);
        ready := ready + coalesce(cardinality(let_in.rows_), 0);
        IF (o.run_order, o.rank, o.seq, o.flow) < (at_order, at_rank, at_seq, at_flow) THEN
            at_order := o.run_order; at_rank := o.rank; at_seq := o.seq; at_flow := o.flow;
        END IF;
    END IF;
    -- 6 whatever came to a slot and was not taken here may be for others
    IF ready > claimed THEN
        PERFORM pg_notify('flower', '') WHERE (SELECT count(*) FROM kr_worker) > 1;
    END IF;
    IF look_round THEN
        RETURN QUERY
        SELECT 'sleep', at_flow, at_seq, NULL, NULL, NULL, NULL, NULL::integer, NULL::uuid, at_order, at_rank,
            CASE WHEN EXISTS (SELECT FROM kr_recount) OR EXISTS (SELECT FROM kr_task_stat t WHERE t.exec_status = 0 AND t.gate IS NULL) THEN 0.05
            -- one that is due and still there is locked, or one of very many
            ELSE least((SELECT CASE WHEN n.at <= clock_timestamp() THEN 0.05 ELSE extract(epoch FROM n.at - clock_timestamp()) END::float8 FROM (SELECT least(
                    (SELECT t.run_after FROM kr_task_stat t WHERE t.exec_status = 0 AND t.gate = 'time' AND isfinite(t.run_after) ORDER BY t.run_after LIMIT 1),
                    (SELECT t.waits_until FROM kr_task_stat t WHERE t.exec_status = 0 AND t.gate = 'signal' AND t.waits_until IS NOT NULL ORDER BY t.waits_until LIMIT 1),
                    (SELECT p.until_ts FROM ms_pause p WHERE isfinite(p.until_ts) ORDER BY p.until_ts LIMIT 1)) AS at) n),
                -- the next start by a rate
                (SELECT greatest(extract(epoch FROM k.look_at - clock_timestamp())::float8, 0.01) FROM kr_turn k WHERE k.look_at IS NOT NULL ORDER BY k.look_at LIMIT 1)) END, NULL::text[], NULL::integer;
    END IF;
END $$;
