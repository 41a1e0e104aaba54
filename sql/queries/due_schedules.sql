-- Schedules that are to be looked at: those that nobody has worked out yet, and those whose time has come. $1 how many
-- version: the row's xmin, so that what has changed meanwhile is not fired (functions/kr_fire.sql). No lock: it would be held over a round trip.
-- now(): clock_timestamp() is volatile, and no index condition.
(SELECT s.name, s.cron, s.every, s.zone, s.catch_up, s.catch_up_most, s.since_ts, s.next_ts, s.last_ts, s.xmin::text AS version, now() AS now
 FROM ms_schedule s WHERE NOT s.paused AND s.error IS NULL AND s.next_ts IS NULL LIMIT $1::integer)
UNION ALL
(SELECT s.name, s.cron, s.every, s.zone, s.catch_up, s.catch_up_most, s.since_ts, s.next_ts, s.last_ts, s.xmin::text AS version, now() AS now
 FROM ms_schedule s WHERE NOT s.paused AND s.error IS NULL AND s.next_ts <= now() ORDER BY s.next_ts LIMIT $1::integer)
