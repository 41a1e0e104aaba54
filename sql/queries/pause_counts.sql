-- How many pauses there are of each kind.
SELECT p.kind, count(*) AS number FROM ms_pause p GROUP BY p.kind
