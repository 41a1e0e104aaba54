-- What is known of these programs ($1): what they take, and what they return, as their latest workers said.
SELECT p.program, p.takes, coalesce(p.requires, '{}') AS requires, p.accepts::text AS accepts, p.result::text AS result, p.options::text AS options, p.place
FROM kr_program p WHERE p.program = ANY ($1::text[])
