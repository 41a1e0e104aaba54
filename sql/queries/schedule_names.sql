-- The names of schedules. $1 how many
SELECT s.name FROM ms_schedule s LIMIT $1::integer
