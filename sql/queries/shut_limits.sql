-- The names of limits and patterns that let nothing start. $1 how many
SELECT l.name FROM ms_limit l WHERE l.slots = 0 ORDER BY l.name LIMIT $1::integer
