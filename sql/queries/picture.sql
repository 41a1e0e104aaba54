-- The tasks of a flow as a picture of at most some 150 nodes: see functions/kr_picture.sql. $1 flow   $2 seq of the task that it is about, NULL for the one that needs a look
SELECT * FROM kr_picture($1::text, $2::numeric)
