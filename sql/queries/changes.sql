-- What is asked while somebody watches: which transactions are visible by now, and which of those only kept a worker alive.
SELECT pg_current_snapshot()::text AS snapshot, ARRAY(SELECT w.xmin::text::bigint FROM kr_worker w) AS beats
