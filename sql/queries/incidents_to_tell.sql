-- Up to $1 incidents that came, or are over, and of which that is not told yet. See functions/kr_incidents.sql.
SELECT id, event, what::text AS what FROM kr_incidents_to_tell($1::integer)
