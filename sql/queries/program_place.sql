-- Where the function of a program ($1) stands, as its latest worker said: file:line.
SELECT p.place FROM kr_program p WHERE p.program = $1::text
