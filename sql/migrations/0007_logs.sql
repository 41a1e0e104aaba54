-- What tasks say while they run, a row per line, written in batches by their worker. source: structlog, logging, stdout or stderr.
CREATE TABLE kr_task_log (
    id            bigint GENERATED ALWAYS AS IDENTITY,
    task_flow_id  varchar(256) NOT NULL,
    task_exec_seq numeric      NOT NULL,
    attempt       integer      NOT NULL,
    said_ts       timestamptz  NOT NULL,
    level         text         NOT NULL,
    source        text         NOT NULL,
    message       text         NOT NULL
);
CREATE INDEX kr_task_log_of_flow ON kr_task_log (task_flow_id, id);
CREATE INDEX kr_task_log_of_task ON kr_task_log (task_flow_id, task_exec_seq, id);
