-- How many tasks and flows are not over: of tasks up to $1 at each place, of flows up to $2 in each status. See functions/kr_open_counts.sql.
SELECT what, word, number, more FROM kr_open_counts($1::integer, $2::integer)
