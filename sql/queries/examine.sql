-- Say what doctor asks of a server, also of one that has no table of ours yet.
-- $1 schema
-- Returns one row: max_connections, used, read_only, may_create (tables in the schema, or the schema itself where it is missing), at (the clock).
SELECT current_setting('max_connections')::integer AS max_connections,
    (SELECT count(*) FROM pg_stat_activity a WHERE a.backend_type = 'client backend')::integer AS used,
    pg_is_in_recovery() OR current_setting('default_transaction_read_only')::boolean AS read_only,
    CASE WHEN to_regnamespace(quote_ident($1::text)) IS NULL THEN has_database_privilege(current_database(), 'CREATE')
         ELSE has_schema_privilege(to_regnamespace(quote_ident($1::text))::oid, 'CREATE') END AS may_create,
    clock_timestamp() AS at
