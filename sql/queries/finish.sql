-- Record that an attempt has finished, in the transaction of the task's own writes. $1 flow   $2 seq   $3 claim   $4 result (JSON text)
SELECT kr_finish($1::text, $2::numeric, $3::uuid, $4::text)
