-- What workers know of their programs, so that a definition, a registration and a result that is handed in can be checked before anything runs.
-- accepts: {"name": {"schema": JSON schema}}; requires: those without a default; result: the JSON schema of what it returns.
ALTER TABLE kr_program
    ADD COLUMN accepts  jsonb,
    ADD COLUMN requires text[],
    ADD COLUMN result   jsonb;
