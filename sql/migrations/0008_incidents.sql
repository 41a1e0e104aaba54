-- Failures that look alike are one incident: program, type of the exception, last frame of user code, and message without numbers and ids.
ALTER TABLE kr_task_stat ADD COLUMN fingerprint text;
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX kr_task_of_incident ON kr_task_stat (fingerprint, task_flow_id, suspended_ts) WHERE exec_status = 2 AND fingerprint IS NOT NULL;

-- What is told to whoever wants to hear of failures: an incident that came, and that it is over. told: which of the two was delivered.
CREATE TABLE kr_incident (
    fingerprint text        NOT NULL,
    opened_ts   timestamptz NOT NULL DEFAULT clock_timestamp(),
    closed_ts   timestamptz,
    told        text,
    tries       integer     NOT NULL DEFAULT 0,
    next_try_ts timestamptz NOT NULL DEFAULT clock_timestamp(),
    what        jsonb       NOT NULL,
    CONSTRAINT kr_incident_pkey PRIMARY KEY (fingerprint)
);

-- When the flow as a whole must be over; what is unfinished then is cancelled.
ALTER TABLE kr_flow_stat ADD COLUMN deadline_ts timestamptz;
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX kr_flow_deadlines ON kr_flow_stat (deadline_ts) WHERE deadline_ts IS NOT NULL;
ALTER TABLE ms_workflow ADD COLUMN timeout double precision;
