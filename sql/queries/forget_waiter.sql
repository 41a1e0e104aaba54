-- Nobody waits any more. $1 waiter
DELETE FROM kr_waiter WHERE waiter_id = $1::uuid
