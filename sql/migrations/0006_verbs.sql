-- Who did what to a flow by a verb (flower_cancel and its kin), and why. who: what the caller says of itself; role: the database's.
CREATE TABLE kr_audit (
    id            bigint GENERATED ALWAYS AS IDENTITY,
    at_ts         timestamptz  NOT NULL DEFAULT clock_timestamp(),
    verb          text         NOT NULL,
    task_flow_id  varchar(256) NOT NULL,
    task_exec_seq numeric,
    who           text,
    role          text         NOT NULL DEFAULT session_user,
    reason        text,
    what          jsonb,
    CONSTRAINT kr_audit_pkey PRIMARY KEY (id)
);
CREATE INDEX kr_audit_of_flow ON kr_audit (task_flow_id, id);

-- What a flow was started with, defaults included; NULL: nothing.
ALTER TABLE kr_flow_stat ADD COLUMN parameters jsonb;

-- A pause may name a flow instead of a workflow. The gate is asked with the flow, and made anew in this same transaction.
-- squawk-ignore ban-drop-function
DROP FUNCTION IF EXISTS kr_gate;
