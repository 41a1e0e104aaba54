-- Start flows of a list, all or none.
-- $1 workflows   $2 parameters (JSON objects)   $3 options (JSON objects), as parallel arrays   $4 the place of each in the list   $5 only check them
-- Answers one row per order, in their order. One that is refused refuses all: FL422, with all that is wrong with any of them.
SELECT r.flow_id, r.duplicate, r.skipped, r.is_past FROM kr_register_list($1::text[], $2::jsonb[], $3::jsonb[], $4::integer[], $5::boolean) r ORDER BY r.n
