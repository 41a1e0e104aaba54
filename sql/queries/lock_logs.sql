-- Let one write its lines at a time: their ids then come in the order of the commits, and who reads on from an id misses nothing.
SELECT pg_advisory_xact_lock(hashtextextended('kr_task_log', 0))
