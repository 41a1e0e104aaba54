-- Write a workflow as a whole. $1 the definition (JSON)   $2 hash of its code, or NULL   $3 where it comes from   $4 whatever is there
-- Answers written, current, superseded or edited: see functions/kr_define.sql.
SELECT kr_define($1::jsonb, $2::text, $3::text, $4::boolean)
