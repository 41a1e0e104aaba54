-- The standing question of an idle worker: is there anything to do, and is the bell heard? Sends *nonce* to the channel flower_probe and
-- answers whether a cycle would find work, how many seconds until the next time gate opens, pause ends or wait for a signal is over (NULL: none), and how many running rows
-- this worker has by the table. scheduled: how many seconds until a schedule is to be looked at (NULL: none is). Heals what a lost race left: a task at the door of a pause or program that is open, or of a limit;
-- and one that came to a slot while the door of a pause or of its program closed, if it is near the head.
CREATE OR REPLACE FUNCTION kr_probe(worker uuid, nonce text, OUT work boolean, OUT seconds double precision, OUT running integer, OUT scheduled double precision)
LANGUAGE plpgsql SET search_path FROM CURRENT SET enable_seqscan = off SET jit = off AS $$
DECLARE
    now_ timestamptz := clock_timestamp();
    mine text[] := ARRAY(SELECT p FROM kr_worker w CROSS JOIN unnest(w.programs) p WHERE w.worker_id = worker
        AND NOT EXISTS (SELECT FROM ms_pause z WHERE (z.door = 'program:' || p AND z.kind = 'program') OR (z.door = 'all:*' AND z.kind = 'all')));
    held text[] := ARRAY(SELECT p.task_id FROM ms_pause p WHERE p.kind = 'limit');
BEGIN
    PERFORM pg_notify('flower_probe', nonce);
    WITH RECURSIVE door AS (        -- each gate and name once, by skipping through the index
        (SELECT t.gate, t.waits_for FROM kr_task_stat t WHERE t.exec_status = 0 AND t.gate IN ('pause', 'program') ORDER BY t.gate, t.waits_for LIMIT 1)
        UNION ALL
        SELECT n.* FROM door d CROSS JOIN LATERAL (
            SELECT t.gate, t.waits_for FROM kr_task_stat t WHERE t.exec_status = 0 AND t.gate IN ('pause', 'program')
                AND (t.gate, t.waits_for) > (d.gate, d.waits_for) ORDER BY t.gate, t.waits_for LIMIT 1) n)
    INSERT INTO kr_recount (kind, name)
        SELECT CASE d.gate WHEN 'pause' THEN 'unpause' ELSE d.gate END, d.waits_for FROM door d
        WHERE CASE d.gate WHEN 'pause' THEN NOT EXISTS (SELECT FROM ms_pause p WHERE p.door = d.waits_for AND (p.kind <> 'flow' OR NOT EXISTS (      -- shut for one flow only, whose name it has
                SELECT FROM kr_task_stat t WHERE t.exec_status = 0 AND t.gate IN ('pause', 'program') AND t.gate = 'pause' AND t.waits_for = d.waits_for AND t.task_flow_id <> d.waits_for)))
            ELSE EXISTS (SELECT FROM kr_worker w WHERE d.waits_for = ANY (w.programs)) END
        UNION ALL SELECT CASE WHEN kr_counts_flows(d) THEN 'flow limit' ELSE 'limit' END, d FROM kr_open_doors() d;
    WITH RECURSIVE named AS (       -- the programs that something at a slot has
        (SELECT t.program FROM kr_task_stat t WHERE t.exec_status = 0 AND t.gate = 'slot' AND t.crashes < 2 ORDER BY t.program LIMIT 1)
        UNION ALL
        SELECT m.* FROM named n CROSS JOIN LATERAL (
            SELECT t.program FROM kr_task_stat t WHERE t.exec_status = 0 AND t.gate = 'slot' AND t.crashes < 2 AND t.program > n.program ORDER BY t.program LIMIT 1) m),
    head AS (
        SELECT h.* FROM named n CROSS JOIN LATERAL (
            SELECT t.task_flow_id, t.task_exec_seq, t.task_id, t.program, t.limits FROM kr_task_stat t
            WHERE t.exec_status = 0 AND t.gate = 'slot' AND t.crashes < 2 AND t.program = n.program ORDER BY t.run_order, t.rank, t.task_exec_seq, t.task_flow_id LIMIT 100) h
        WHERE EXISTS (SELECT FROM ms_pause) OR NOT EXISTS (SELECT FROM kr_worker w WHERE n.program = ANY (w.programs))
        UNION ALL
        (SELECT t.task_flow_id, t.task_exec_seq, t.task_id, t.program, t.limits FROM kr_task_stat t
         WHERE t.exec_status = 0 AND t.gate = 'slot' AND t.crashes >= 2 ORDER BY t.run_order, t.task_exec_seq, t.task_flow_id LIMIT 100))
    INSERT INTO kr_recount (kind, task_flow_id, task_exec_seq)
        SELECT 'task', h.task_flow_id, h.task_exec_seq FROM head h
            WHERE NOT EXISTS (SELECT FROM kr_worker w WHERE h.program = ANY (w.programs)) OR EXISTS (SELECT FROM kr_pauses(h.task_flow_id, h.task_id, h.program, h.limits))
        UNION ALL (SELECT 'task', t.task_flow_id, t.task_exec_seq FROM kr_task_stat t WHERE t.exec_status = 0 AND t.gate = 'limit' AND t.waits_for COLLATE "C" IS NULL LIMIT 100);
    work := EXISTS (SELECT FROM kr_recount)
        OR EXISTS (SELECT FROM kr_task_stat t WHERE t.exec_status = 0 AND t.gate IS NULL)
        OR EXISTS (SELECT FROM kr_task_stat t WHERE t.exec_status = 0 AND t.gate = 'time' AND t.run_after <= now_)
        OR EXISTS (SELECT FROM kr_turn k WHERE k.look_at <= now_)
        OR EXISTS (SELECT FROM ms_pause p WHERE p.until_ts <= now_)
        OR EXISTS (SELECT FROM kr_task_stat t WHERE t.exec_status = 0 AND t.gate = 'signal' AND t.waits_until <= now_)
        OR EXISTS (SELECT FROM unnest(mine) p (program) WHERE EXISTS (
            SELECT FROM kr_task_stat t WHERE t.exec_status = 0 AND t.gate = 'slot' AND t.crashes < 2 AND t.program = p.program AND t.task_id NOT IN (SELECT q.task_id FROM ms_pause q WHERE q.kind = 'workflow')
            AND t.task_flow_id NOT IN (SELECT q.task_id FROM ms_pause q WHERE q.kind IN ('workflow', 'flow')) AND (t.limits IS NULL OR NOT kr_fits(t.limits, held))))
        OR EXISTS (SELECT FROM kr_task_stat t WHERE t.exec_status = 0 AND t.gate = 'slot' AND t.crashes >= 2);
    seconds := (SELECT greatest(extract(epoch FROM n.at - now_), 0)::float8 FROM (SELECT least(
        (SELECT t.run_after FROM kr_task_stat t WHERE t.exec_status = 0 AND t.gate = 'time' AND isfinite(t.run_after) ORDER BY t.run_after LIMIT 1),
        (SELECT t.waits_until FROM kr_task_stat t WHERE t.exec_status = 0 AND t.gate = 'signal' AND t.waits_until IS NOT NULL ORDER BY t.waits_until LIMIT 1),
        (SELECT p.until_ts FROM ms_pause p WHERE isfinite(p.until_ts) ORDER BY p.until_ts LIMIT 1)) AS at) n WHERE n.at IS NOT NULL);
    scheduled := CASE WHEN EXISTS (SELECT FROM ms_schedule s WHERE s.next_ts IS NULL AND NOT s.paused AND s.error IS NULL) OR EXISTS (SELECT FROM kr_schedule_turn t WHERE t.task_flow_id IS NULL) THEN 0
        ELSE (SELECT greatest(extract(epoch FROM s.next_ts - now_), 0)::float8 FROM ms_schedule s
              WHERE NOT s.paused AND s.error IS NULL AND isfinite(s.next_ts) ORDER BY s.next_ts LIMIT 1) END;
    running := (SELECT count(*) FROM kr_task_stat t WHERE t.exec_status = 1 AND t.worker_id = worker);
END $$;
