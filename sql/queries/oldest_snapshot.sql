-- The oldest transaction in this database that keeps the server from removing dead rows: for how long it is open, and whose it is. Of sessions that this
-- role may not look into nothing is known. No row: there is none.
SELECT extract(epoch FROM clock_timestamp() - a.xact_start)::float8 AS seconds, a.application_name AS application, a.pid, a.state, a.usename::text AS role
FROM pg_stat_activity a
WHERE a.datname = current_database() AND a.backend_type = 'client backend' AND a.pid <> pg_backend_pid() AND a.xact_start IS NOT NULL
    AND (a.backend_xmin IS NOT NULL OR a.backend_xid IS NOT NULL)
ORDER BY a.xact_start LIMIT 1
