-- SQL is an interface: what a hand changes is honoured. The engine changes claim_id whenever it changes a status, a hand never does:
-- that tells them apart with one comparison per row. The functions touch the changed row only, and write down (kr_recount) what the
-- engine has to look at; they lock nothing else. SECURITY DEFINER: a role that may only write the two tables can use them.

CREATE OR REPLACE FUNCTION kr_task_inserted_by_hand() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    step ms_task_definition;
BEGIN
    NEW.registered_ts := coalesce(NEW.registered_ts, clock_timestamp());
    IF NEW.program IS NULL OR NEW.name IS NULL THEN         -- SELECT INTO NEW would empty what the hand wrote, where there is no such step
        SELECT d.* INTO step FROM ms_task_definition d WHERE d.task_id = NEW.task_id AND d.task_seq = NEW.task_seq;
        NEW.name := coalesce(NEW.name, step.name, NEW.program, step.program);
        NEW.program := coalesce(NEW.program, step.program);
        NEW.limits := coalesce(NEW.limits, step.limits);
        NEW.options := coalesce(NEW.options, nullif(jsonb_strip_nulls(kr_step_options(step.attempts, step.backoff, step.retry_on, step.give_up_on, step.timeout, step.on_lost)), '{}'));
    END IF;
    NEW.limits := kr_written_limits(NEW.limits, NEW.program);
    NEW.keyed := kr_keyed(NEW.limits);
    RETURN NEW;
END $$;

CREATE OR REPLACE FUNCTION kr_task_placed() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    NEW.run_order := kr_run_order(NEW.registered_ts, NEW.task_priority);
    RETURN NEW;
END $$;

CREATE OR REPLACE FUNCTION kr_task_arrived_by_hand() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO kr_task_edge (task_flow_id, parent_seq, task_exec_seq, by_hand)
        SELECT NEW.task_flow_id, NEW.depends_task_exec_seq, NEW.task_exec_seq, false WHERE NEW.depends_task_exec_seq >= 0 ON CONFLICT DO NOTHING;
    INSERT INTO kr_recount (kind, task_flow_id, task_exec_seq) VALUES ('task', NEW.task_flow_id, NEW.task_exec_seq);
    PERFORM pg_notify('flower', '');
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION kr_task_changed_by_hand() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF (NEW.task_flow_id, NEW.task_exec_seq) IS DISTINCT FROM (OLD.task_flow_id, OLD.task_exec_seq) THEN
        RAISE EXCEPTION 'task_flow_id and task_exec_seq may not be changed' USING ERRCODE = 'integrity_constraint_violation',
            HINT = 'insert a new row and delete this one';
    END IF;
    IF NEW.depends_task_exec_seq IS DISTINCT FROM OLD.depends_task_exec_seq THEN
        DELETE FROM kr_task_edge e WHERE e.task_flow_id = OLD.task_flow_id AND e.task_exec_seq = OLD.task_exec_seq AND e.parent_seq = OLD.depends_task_exec_seq;
        INSERT INTO kr_task_edge (task_flow_id, parent_seq, task_exec_seq)
            SELECT NEW.task_flow_id, NEW.depends_task_exec_seq, NEW.task_exec_seq WHERE NEW.depends_task_exec_seq >= 0 ON CONFLICT DO NOTHING;
    END IF;
    IF NEW.exec_status <> OLD.exec_status THEN
        NEW := kr_status_set_by_hand(OLD, NEW);
        NEW.waits_since := NULL;
        NEW.waits_until := NULL;
    END IF;
    IF NEW.limits IS DISTINCT FROM OLD.limits THEN
        NEW.keyed := kr_keyed(NEW.limits);
    END IF;
    NEW.run_order := kr_run_order(NEW.registered_ts, NEW.task_priority);
    IF NEW.exec_status <> 1 OR OLD.exec_status <> 1 THEN      -- the attempt that runs goes on as it began: what changes counts for the next
        NEW.gate := NULL;
        NEW.waits_seq := NULL;
        NEW.waits_for := NULL;
        NEW.claim_id := NULL;
        NEW.worker_id := NULL;
    END IF;
    INSERT INTO kr_recount (kind, task_flow_id, task_exec_seq) VALUES ('task', OLD.task_flow_id, OLD.task_exec_seq);
    INSERT INTO kr_recount (kind, name) SELECT 'limit', l FROM unnest(OLD.limits) l;
    PERFORM pg_notify('flower', '');
    IF OLD.exec_status = 1 THEN
        PERFORM pg_notify('flower_stop', '');
    END IF;
    RETURN NEW;
END $$;

-- What a status set by hand means for the rest of its row. What the hand wrote itself in the same statement stays.
CREATE OR REPLACE FUNCTION kr_status_set_by_hand(old_ kr_task_stat, new_ kr_task_stat) RETURNS kr_task_stat LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    said_why boolean := new_.outcome IS DISTINCT FROM old_.outcome;
BEGIN
    IF old_.attempt > 0 AND (new_.exec_status = 0 OR old_.exec_status IN (1, 2)) THEN
        INSERT INTO kr_task_attempt (task_flow_id, task_exec_seq, attempt, exec_status, outcome, started_ts, ended_ts, result, error, worker_id)
            SELECT old_.task_flow_id, old_.task_exec_seq, old_.attempt, CASE old_.exec_status WHEN 1 THEN new_.exec_status ELSE old_.exec_status END, old_.outcome,
                old_.started_ts, coalesce(CASE WHEN old_.exec_status <> 1 THEN coalesce(old_.finished_ts, old_.suspended_ts) END, clock_timestamp()), old_.result, old_.error, old_.worker_id
            WHERE NOT EXISTS (SELECT FROM kr_task_attempt a WHERE a.task_flow_id = old_.task_flow_id AND a.task_exec_seq = old_.task_exec_seq AND a.attempt = old_.attempt);
    END IF;
    IF new_.exec_status IN (0, 1) THEN
        new_.error := NULL;
        new_.tries := 0;
        new_.crashes := 0;
        new_.started_ts := NULL;
        new_.finished_ts := NULL;
        new_.suspended_ts := NULL;
        new_.result := CASE WHEN new_.result IS DISTINCT FROM old_.result THEN new_.result END;
        new_.run_after := CASE WHEN new_.run_after IS DISTINCT FROM old_.run_after THEN new_.run_after END;
        IF new_.program IS NULL THEN
            SELECT d.program, coalesce(new_.name, d.name, d.program) INTO new_.program, new_.name FROM ms_task_definition d WHERE d.task_id = new_.task_id AND d.task_seq = new_.task_seq;
        END IF;
    ELSIF new_.exec_status IN (3, 9) AND old_.exec_status NOT IN (3, 9) THEN
        new_.error := CASE WHEN new_.error IS DISTINCT FROM old_.error THEN new_.error END;
        new_.finished_ts := CASE WHEN new_.finished_ts IS DISTINCT FROM old_.finished_ts THEN new_.finished_ts ELSE clock_timestamp() END;
    ELSIF new_.exec_status = 2 THEN
        new_.suspended_ts := CASE WHEN new_.suspended_ts IS DISTINCT FROM old_.suspended_ts THEN new_.suspended_ts ELSE clock_timestamp() END;
    END IF;
    new_.fingerprint := CASE WHEN new_.exec_status = 2 AND new_.outcome IN ('failed', 'poison', 'invalid') THEN kr_fingerprint(new_.program, new_.error) END;
    IF NOT said_why THEN
        new_.outcome := CASE WHEN new_.exec_status = 9 THEN 'skipped' END;
    END IF;
    RETURN new_;
END $$;

CREATE OR REPLACE FUNCTION kr_task_deleted() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    DELETE FROM kr_task_edge e WHERE e.task_flow_id = OLD.task_flow_id AND e.task_exec_seq = OLD.task_exec_seq;
    DELETE FROM kr_task_edge e WHERE e.task_flow_id || '' = OLD.task_flow_id AND e.parent_seq + 0 = OLD.task_exec_seq AND OLD.exec_status = ANY (e.counts);
    DELETE FROM kr_task_attempt a WHERE a.task_flow_id = OLD.task_flow_id AND a.task_exec_seq = OLD.task_exec_seq;
    DELETE FROM kr_task_log l WHERE l.task_flow_id = OLD.task_flow_id AND l.task_exec_seq = OLD.task_exec_seq;
    INSERT INTO kr_recount (kind, task_flow_id, task_exec_seq) VALUES ('task', OLD.task_flow_id, OLD.task_exec_seq);
    INSERT INTO kr_recount (kind, name) SELECT 'limit', l FROM unnest(OLD.limits) l;
    PERFORM pg_notify('flower', '');
    IF OLD.exec_status = 1 THEN
        PERFORM pg_notify('flower_stop', '');
    END IF;
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION kr_tasks_truncated() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    TRUNCATE kr_task_edge, kr_task_attempt, kr_task_log, kr_flow_stat, kr_flow_inside;
    DELETE FROM kr_recount WHERE kind IN ('task', 'edge');
    PERFORM pg_notify('flower_stop', '');
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION kr_edge_changed_by_hand() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        INSERT INTO kr_recount (kind, task_flow_id, task_exec_seq) VALUES ('edge', OLD.task_flow_id, OLD.task_exec_seq);
    END IF;
    IF TG_OP <> 'DELETE' THEN
        INSERT INTO kr_recount (kind, task_flow_id, task_exec_seq) VALUES ('edge', NEW.task_flow_id, NEW.task_exec_seq);
    END IF;
    PERFORM pg_notify('flower', '');
    RETURN NULL;
END $$;

-- A pause, a worker or a limit came, went or changed: its door is looked at.
CREATE OR REPLACE FUNCTION kr_door_changed() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    CASE TG_TABLE_NAME
        WHEN 'ms_pause' THEN
            IF TG_OP <> 'INSERT' THEN
                INSERT INTO kr_recount (kind, name) VALUES ('unpause', OLD.door);
            END IF;
            IF TG_OP <> 'DELETE' THEN
                INSERT INTO kr_recount (kind, name) VALUES ('pause', NEW.door);
            END IF;
        WHEN 'ms_limit' THEN
            IF TG_OP <> 'INSERT' THEN
                INSERT INTO kr_recount (kind, name) VALUES (CASE WHEN kr_counts_flows(OLD.name) THEN 'new flow limit' ELSE 'limit' END, OLD.name);
            END IF;
            IF TG_OP <> 'DELETE' THEN
                INSERT INTO kr_recount (kind, name) VALUES (CASE WHEN kr_counts_flows(NEW.name) THEN 'new flow limit' ELSE 'limit' END, NEW.name);
            END IF;
        WHEN 'kr_worker' THEN
            IF TG_OP = 'INSERT' THEN
                INSERT INTO kr_recount (kind, name) SELECT 'program', p FROM unnest(NEW.programs) p;
                INSERT INTO kr_recount (kind, name) SELECT 'limit', l.name FROM ms_limit l       -- more workers, more room
                    WHERE l.prefix IS NOT NULL OR EXISTS (
                        SELECT FROM kr_task_stat t WHERE t.exec_status = 0 AND t.gate = 'limit' AND t.waits_for COLLATE "C" = l.name);
            ELSE
                INSERT INTO kr_recount (kind, name) SELECT 'no program', p FROM unnest(OLD.programs) p
                    WHERE NOT EXISTS (SELECT FROM kr_worker w WHERE p = ANY (w.programs));
            END IF;
    END CASE;
    PERFORM pg_notify('flower', '');
    RETURN NULL;
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

-- A hand has written a schedule: what it said before counts no more. The engine's own writes change looked_ts.
CREATE OR REPLACE FUNCTION kr_schedule_changed_by_hand() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF NEW.name <> OLD.name THEN
        RAISE EXCEPTION 'the name of a schedule may not be changed' USING ERRCODE = 'integrity_constraint_violation', HINT = 'insert a new row and delete this one';
    END IF;
    IF (NEW.cron, NEW.every, NEW.zone) IS DISTINCT FROM (OLD.cron, OLD.every, OLD.zone) AND NEW.since_ts = OLD.since_ts THEN
        NEW.since_ts := clock_timestamp();
    END IF;
    IF NEW.since_ts <> OLD.since_ts AND NEW.next_ts IS NOT DISTINCT FROM OLD.next_ts THEN
        NEW.next_ts := NULL;
    END IF;
    IF NEW.error IS NOT DISTINCT FROM OLD.error THEN
        NEW.error := NULL;          -- it tries again
    END IF;
    RETURN NEW;
END $$;

CREATE OR REPLACE FUNCTION kr_schedule_written_by_hand() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        DELETE FROM kr_schedule_turn t WHERE t.schedule = OLD.name;
    END IF;
    PERFORM pg_notify('flower_schedule', '');
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION kr_schedules_truncated() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    DELETE FROM kr_schedule_turn;
    RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER zz_flower_insert BEFORE INSERT ON kr_task_stat FOR EACH ROW
    WHEN (NEW.gate IS NULL) EXECUTE FUNCTION kr_task_inserted_by_hand();
CREATE OR REPLACE TRIGGER zz_flower_placed BEFORE INSERT ON kr_task_stat FOR EACH ROW
    WHEN (NEW.run_order = 0) EXECUTE FUNCTION kr_task_placed();
CREATE OR REPLACE TRIGGER zz_flower_inserted AFTER INSERT ON kr_task_stat FOR EACH ROW
    WHEN (NEW.gate IS NULL) EXECUTE FUNCTION kr_task_arrived_by_hand();
CREATE OR REPLACE TRIGGER zz_flower_update BEFORE UPDATE ON kr_task_stat FOR EACH ROW
    WHEN (NEW.claim_id IS NOT DISTINCT FROM OLD.claim_id AND (((NEW.keyed IS NOT NULL OR OLD.gate = 'signal') AND NEW.parameters::text <> OLD.parameters::text) OR
        (NEW.exec_status, NEW.task_priority, NEW.registered_ts, NEW.run_after, NEW.program, NEW.limits, NEW.task_id, NEW.task_flow_id, NEW.task_exec_seq, NEW.depends_task_exec_seq)
        IS DISTINCT FROM
        (OLD.exec_status, OLD.task_priority, OLD.registered_ts, OLD.run_after, OLD.program, OLD.limits, OLD.task_id, OLD.task_flow_id, OLD.task_exec_seq, OLD.depends_task_exec_seq)))
    EXECUTE FUNCTION kr_task_changed_by_hand();
CREATE OR REPLACE TRIGGER zz_flower_deleted AFTER DELETE ON kr_task_stat FOR EACH ROW EXECUTE FUNCTION kr_task_deleted();
CREATE OR REPLACE TRIGGER zz_flower_truncated AFTER TRUNCATE ON kr_task_stat FOR EACH STATEMENT EXECUTE FUNCTION kr_tasks_truncated();
CREATE OR REPLACE TRIGGER zz_flower_inserted AFTER INSERT ON kr_task_edge FOR EACH ROW WHEN (NEW.by_hand) EXECUTE FUNCTION kr_edge_changed_by_hand();
CREATE OR REPLACE TRIGGER zz_flower_changed AFTER UPDATE OR DELETE ON kr_task_edge FOR EACH ROW EXECUTE FUNCTION kr_edge_changed_by_hand();
CREATE OR REPLACE TRIGGER zz_flower AFTER INSERT OR UPDATE OR DELETE ON ms_pause FOR EACH ROW EXECUTE FUNCTION kr_door_changed();
CREATE OR REPLACE TRIGGER zz_flower AFTER INSERT OR DELETE ON kr_worker FOR EACH ROW EXECUTE FUNCTION kr_door_changed();
CREATE OR REPLACE TRIGGER zz_flower AFTER INSERT OR UPDATE OR DELETE ON ms_limit FOR EACH ROW EXECUTE FUNCTION kr_door_changed();
CREATE OR REPLACE TRIGGER zz_flower_inserted AFTER INSERT ON ms_task_definition REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION kr_definition_changed();
CREATE OR REPLACE TRIGGER zz_flower_updated AFTER UPDATE ON ms_task_definition REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION kr_definition_changed();
CREATE OR REPLACE TRIGGER zz_flower_deleted AFTER DELETE ON ms_task_definition REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION kr_definition_changed();
CREATE OR REPLACE TRIGGER zz_flower_truncated AFTER TRUNCATE ON ms_task_definition FOR EACH STATEMENT EXECUTE FUNCTION kr_definition_changed();
CREATE OR REPLACE TRIGGER zz_flower_update BEFORE UPDATE ON ms_schedule FOR EACH ROW WHEN (NEW.looked_ts IS NOT DISTINCT FROM OLD.looked_ts AND NEW IS DISTINCT FROM OLD) EXECUTE FUNCTION kr_schedule_changed_by_hand();
CREATE OR REPLACE TRIGGER zz_flower_inserted AFTER INSERT OR DELETE ON ms_schedule FOR EACH ROW EXECUTE FUNCTION kr_schedule_written_by_hand();
CREATE OR REPLACE TRIGGER zz_flower_updated AFTER UPDATE ON ms_schedule FOR EACH ROW WHEN (NEW.looked_ts IS NOT DISTINCT FROM OLD.looked_ts AND NEW IS DISTINCT FROM OLD) EXECUTE FUNCTION kr_schedule_written_by_hand();
CREATE OR REPLACE TRIGGER zz_flower_truncated AFTER TRUNCATE ON ms_schedule FOR EACH STATEMENT EXECUTE FUNCTION kr_schedules_truncated();
-- A constraint trigger waits for the commit; it cannot be replaced.
DROP TRIGGER IF EXISTS zz_flower_committed ON kr_changed_workflow;
CREATE CONSTRAINT TRIGGER zz_flower_committed AFTER INSERT ON kr_changed_workflow DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION kr_definition_committed();

-- They run with our rights: nobody may hang them on a table of his own. The right is asked for when a trigger is made, not when it fires.
REVOKE ALL ON FUNCTION kr_task_inserted_by_hand(), kr_task_placed(), kr_task_arrived_by_hand(), kr_task_changed_by_hand(), kr_task_deleted(),
    kr_tasks_truncated(), kr_edge_changed_by_hand(), kr_door_changed(),
    kr_definition_changed(), kr_definition_committed(), kr_schedule_changed_by_hand(), kr_schedule_written_by_hand(), kr_schedules_truncated() FROM PUBLIC;
