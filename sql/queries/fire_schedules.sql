-- Make flows of schedules whose time has come, and say when they come next: see functions/kr_fire.sql.
-- $1 names   $2 versions   $3 next times   $4 errors   $5 the latest times that are passed over   $6 why   $7, $8 names and times that make a flow
SELECT event, schedule, nominal, flow_id, message FROM kr_fire($1::text[], $2::text[], $3::timestamptz[], $4::text[], $5::timestamptz[], $6::text[], $7::text[], $8::timestamptz[])
