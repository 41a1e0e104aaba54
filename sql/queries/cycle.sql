-- One turn of the engine: record what ended, release, look, admit, claim. See functions/kr_cycle.sql.
-- $1 worker   $2–$9 how attempts ended, as parallel arrays: flow, seq, claim, status, outcome, JSON, delay in seconds, unharmed
-- $10 free slots   $11 look at what others changed   $12 careful   $13–$16 the key of the last task claimed, NULL from the start
-- Answers rows of one shape, by kind: claimed, refused, not written, unstorable, sleep. input: see functions/kr_input.sql.
SELECT kind, flow, seq, workflow, name, program, parameters, attempt, claim, run_order, rank, seconds, input, tries
FROM kr_cycle($1::uuid, $2::text[], $3::numeric[], $4::uuid[], $5::numeric[], $6::text[], $7::text[], $8::double precision[], $9::boolean[],
    $10::integer, $11::boolean, $12::boolean, $13::double precision, $14::integer, $15::numeric, $16::text)
