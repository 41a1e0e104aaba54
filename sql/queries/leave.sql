-- Go home: the worker's row goes. What it still held would be taken back by the next sweep.
DELETE FROM kr_worker WHERE worker_id = $1::uuid
