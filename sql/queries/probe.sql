-- Is there anything to do, and is the bell heard? $1 worker   $2 nonce. See functions/kr_probe.sql.
SELECT work, seconds, running, scheduled FROM kr_probe($1::uuid, $2::text)
