-- The incidents that there are, the latest first: suspended tasks whose failures look alike.
SELECT * FROM flower_incidents ORDER BY latest DESC, id
