-- What a worker saw of the latest attempt that is not its end, such as a blocked event loop. An error says how it ended, and goes with
-- the status; this stays until the next attempt begins.
ALTER TABLE kr_task_stat ADD COLUMN notice jsonb;
