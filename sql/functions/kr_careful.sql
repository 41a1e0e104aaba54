-- The careful forms, for a call after one that failed: each row in a subtransaction of its own, so that one on which a user's trigger or
-- constraint raises stops itself and nothing else. Only here and in kr_cycle are there subtransactions for what is many: they cost much.

CREATE OR REPLACE FUNCTION kr_settle_each(flows text[], seqs numeric[], edges_changed boolean[])
RETURNS TABLE (gate text, limits text[], program text, run_order double precision, rank integer, seq numeric, flow text) LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1 .. cardinality(flows) LOOP
        BEGIN
            RETURN QUERY SELECT * FROM kr_settle(flows[i:i], seqs[i:i], edges_changed[i:i], false);
        EXCEPTION WHEN OTHERS THEN
            PERFORM kr_stop_refused(flows[i], seqs[i], SQLERRM);
        END;
    END LOOP;
END $$;

CREATE OR REPLACE FUNCTION kr_start_each(worker uuid, rows_ tid[], orders double precision[])
RETURNS TABLE (flow text, seq numeric, workflow text, name text, program text, parameters text, attempt integer, claim uuid,
    run_order double precision, rank integer, tries integer, input text[]) LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1 .. cardinality(rows_) LOOP
        BEGIN
            RETURN QUERY SELECT * FROM kr_start(worker, rows_[i:i], orders[i:i]);
        EXCEPTION WHEN OTHERS THEN
            PERFORM kr_stop_refused(t.task_flow_id, t.task_exec_seq, SQLERRM) FROM kr_task_stat t WHERE t.ctid = rows_[i];
        END;
    END LOOP;
END $$;

-- One limit at a time; where that fails, each of those at its head is tried alone, and undone again: who is refused stops itself. Answers how many came to a slot.
CREATE OR REPLACE FUNCTION kr_admit_each(names text[]) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    ready integer := 0;
    head  record;
BEGIN
    FOR i IN 1 .. cardinality(names) LOOP
        BEGIN
            ready := ready + coalesce((kr_settle_admitted(kr_admit(names[i:i], NULL))).ready, 0);
        EXCEPTION WHEN OTHERS THEN
            INSERT INTO kr_recount (kind, name) VALUES ('limit', names[i]);
            FOR head IN SELECT t.task_flow_id, t.task_exec_seq FROM kr_task_stat t WHERE t.exec_status = 0 AND t.gate = 'limit' AND kr_fits(ARRAY[t.waits_for::text], names[i:i])
                    ORDER BY t.run_order LIMIT 100 FOR UPDATE SKIP LOCKED LOOP
                BEGIN
                    UPDATE kr_task_stat t SET gate = 'slot', waits_for = NULL WHERE t.task_flow_id = head.task_flow_id AND t.task_exec_seq = head.task_exec_seq;
                    RAISE EXCEPTION 'only tried' USING ERRCODE = 'FL001';
                EXCEPTION WHEN SQLSTATE 'FL001' THEN
                    NULL;
                WHEN OTHERS THEN
                    PERFORM kr_stop_refused(head.task_flow_id, head.task_exec_seq, SQLERRM);
                END;
            END LOOP;
        END;
    END LOOP;
    RETURN ready;
END $$;

-- Suspend a waiting task whose row takes no change that the engine makes, with the words of what refuses it; if it takes not even that, it
-- is looked at again.
CREATE OR REPLACE FUNCTION kr_stop_refused(flow text, seq numeric, why text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    UPDATE kr_task_stat t SET exec_status = 2, outcome = 'invalid', claim_id = gen_random_uuid(), gate = NULL, waits_seq = NULL, waits_for = NULL,
        suspended_ts = clock_timestamp(), fingerprint = kr_fingerprint(t.program, '{"type": "RowRefused"}'), error = jsonb_build_object('type', 'RowRefused', 'program', t.program, 'message', format(
            'a trigger or a constraint of this database refuses to let the task start: %s; correct it and set exec_status to 0', why))
    WHERE t.task_flow_id = flow AND t.task_exec_seq = seq AND t.exec_status = 0;
    INSERT INTO kr_recount (kind, task_flow_id, task_exec_seq) VALUES ('task', flow, seq);       -- the flow may have stalled
EXCEPTION WHEN OTHERS THEN
    INSERT INTO kr_recount (kind, task_flow_id, task_exec_seq) VALUES ('task', flow, seq);
END $$;
