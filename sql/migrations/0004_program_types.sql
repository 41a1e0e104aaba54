-- What workers know of their programs, so that a definition, a registration and a result that is handed in can be checked before anything runs.
-- accepts: {"name": JSON schema}; requires: those without a default; result: the JSON schema of what it returns.
ALTER TABLE kr_program
    ADD COLUMN accepts  jsonb,
    ADD COLUMN requires text[],
    ADD COLUMN result   jsonb,
    ADD COLUMN signature text;
-- signature, signatures: a hash of what a program takes, as its latest worker said, and as each worker said of its own, in the order of its
-- programs. While live workers differ nothing is refused by it.
ALTER TABLE kr_worker ADD COLUMN signatures text[];
