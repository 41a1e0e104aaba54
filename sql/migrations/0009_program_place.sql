-- Where the function stands, file:line, as its latest worker said.
ALTER TABLE kr_program ADD COLUMN place text;
