-- Record, inside the caller's own transaction, that an attempt has finished: what else that transaction writes is committed with it or not at
-- all. Answers false if the claim is gone; the caller then rolls back. Who waited for the task is looked at by the engine, after the commit.
CREATE OR REPLACE FUNCTION kr_finish(flow text, seq numeric, claim uuid, result text) RETURNS boolean LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    done record;
BEGIN
    PERFORM FROM kr_task_stat t WHERE t.task_flow_id = flow AND t.task_exec_seq = seq AND t.exec_status + 0 = 1 AND t.claim_id = claim FOR UPDATE;
    done := kr_record(ARRAY[flow], ARRAY[seq], ARRAY[claim], '{3}', '{NULL}', ARRAY[result], '{NULL}', '{false}');
    IF done.wflows IS NULL THEN
        RETURN false;
    END IF;
    INSERT INTO kr_recount (kind, task_flow_id, task_exec_seq) VALUES ('task', flow, seq);
    INSERT INTO kr_recount (kind, name) SELECT 'limit', n FROM unnest(done.names) n;
    PERFORM pg_notify('flower', '');
    RETURN true;
END $$;
