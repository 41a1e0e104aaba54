-- The incidents that there are, the latest first: suspended tasks whose failures look alike. $1 how many, NULL for all
SELECT * FROM flower_incidents ORDER BY latest DESC, id LIMIT $1::integer
