-- Limits that count flows and not tasks: so many of a workflow at once (workflow:NAME in ms_limit), and one at a time of a unique key.

-- Which flows are let in. Only the engine writes here, each name under a lock of its own (see functions/kr_admit_flows.sql).
CREATE TABLE kr_flow_inside (
    task_flow_id varchar(256) NOT NULL,
    name         text         NOT NULL,
    since_ts     timestamptz  NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT kr_flow_inside_pkey PRIMARY KEY (task_flow_id, name)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
CREATE INDEX kr_flow_inside_of_limit ON kr_flow_inside (name);

-- Whether there is any limit on flows is asked at each gate.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX ms_limit_of_workflows ON ms_limit (name) WHERE name LIKE 'workflow:%';
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX ms_limit_of_workflow_patterns ON ms_limit (name) WHERE name LIKE 'workflow:%*';

-- How many of its flows may be in progress at once, as the definition says; what holds is the row in ms_limit.
ALTER TABLE ms_workflow
    ADD COLUMN max_flows integer,
    -- squawk-ignore constraint-missing-not-valid
    ADD CONSTRAINT max_flows_is_not_negative CHECK (max_flows >= 0);
ALTER TABLE ms_workflow_revision ADD COLUMN max_flows integer;

ALTER TABLE kr_flow_stat
    ADD COLUMN unique_key text,
    -- squawk-ignore constraint-missing-not-valid
    ADD CONSTRAINT unique_key_is_short CHECK (octet_length(unique_key) BETWEEN 1 AND 512);
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX kr_flow_unique_key ON kr_flow_stat (task_id, unique_key, registered_ts) WHERE unique_key IS NOT NULL;

-- It answers two columns more, and is made anew in this same transaction.
-- squawk-ignore ban-drop-function
DROP FUNCTION IF EXISTS kr_register;
