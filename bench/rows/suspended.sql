-- $1 suspended tasks that failed for fifty reasons, a flow each.
INSERT INTO kr_task_stat (task_flow_id, task_exec_seq, depends_task_exec_seq, task_id, task_seq, exec_status, parameters, name, program, outcome, error, suspended_ts, attempt, fingerprint, gate, claim_id)
    SELECT 'failed-' || n, 1, -1, 'w', 1, 2, '{}', 'noop', 'noop', 'failed', jsonb_build_object('type', 'Busy', 'message', 'shop ' || n || ' is closed', 'where', 'app.py:1 in shop_' || n % 50), now(), 1,
        kr_fingerprint('noop', jsonb_build_object('type', 'Busy', 'message', 'shop ' || n || ' is closed', 'where', 'app.py:1 in shop_' || n % 50)), 'slot', gen_random_uuid()
    FROM generate_series(1, $1::integer) n
