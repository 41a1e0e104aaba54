-- How many bytes the database takes, and of them each table of Flower with its indexes, the largest first. $1 schema
SELECT pg_database_size(current_database()) AS database, c.relname::text AS name, pg_total_relation_size(c.oid) AS bytes FROM pg_class c
WHERE c.relnamespace = to_regnamespace(quote_ident($1::text)) AND c.relkind = 'r' AND c.relname ~ '^(kr|ms)_' ORDER BY 3 DESC, 2
