-- Signals: what somebody sends to whichever step waits for it, by a name and a key.

-- door: name and key as one text, as kr_door makes it and kr_task_stat.waits_for has it. stage: new (nobody has looked yet); kept (nobody waited
-- when it came: the first step that comes takes it); open (it goes to all that waited at opened_ts, and some are left: locked, or of very
-- many); taken (and still here for its idempotency key).
CREATE TABLE kr_signal (
    id              bigint       GENERATED ALWAYS AS IDENTITY,
    name            text         NOT NULL,
    key             text         NOT NULL,
    door            text         NOT NULL GENERATED ALWAYS AS (name || E'\n' || key) STORED,
    payload         jsonb        NOT NULL,
    idempotency_key text,
    stage           text         NOT NULL DEFAULT 'new',
    sent_ts         timestamptz  NOT NULL DEFAULT clock_timestamp(),
    opened_ts       timestamptz,
    CONSTRAINT kr_signal_pkey PRIMARY KEY (id),
    CONSTRAINT stage_is_known CHECK (stage IN ('new', 'kept', 'open', 'taken')),
    CONSTRAINT name_is_short CHECK (length(name) BETWEEN 1 AND 256),
    CONSTRAINT key_is_short CHECK (octet_length(key) <= 512),
    CONSTRAINT idempotency_key_is_short CHECK (octet_length(idempotency_key) <= 512)
);
CREATE INDEX kr_signal_at_door ON kr_signal (door, id) WHERE stage <> 'taken';
CREATE INDEX kr_signal_oldest ON kr_signal (sent_ts);
CREATE UNIQUE INDEX kr_signal_idempotency_key ON kr_signal (door, idempotency_key) WHERE idempotency_key IS NOT NULL;

-- At the gate signal: since and until when it waits.
ALTER TABLE kr_task_stat
    ADD COLUMN waits_since timestamptz,
    ADD COLUMN waits_until timestamptz;
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX kr_task_at_door ON kr_task_stat (waits_for, waits_since, task_flow_id, task_exec_seq) WHERE exec_status = 0 AND gate = 'signal';
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX kr_task_signal_timers ON kr_task_stat (waits_until) WHERE exec_status = 0 AND gate = 'signal' AND waits_until IS NOT NULL;
-- Doors that rang are taken out by a question of their own.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX kr_recount_signals ON kr_recount (id) WHERE kind = 'signal';

-- The engine itself carries this program out: what it takes is known before any worker comes.
INSERT INTO kr_program (program, takes, requires, accepts, result)
    VALUES ('WaitForSignal', '{name,key,timeout,default}', '{name}',
        '{"name": {"type": "string"}, "timeout": {"anyOf": [{"type": "number"}, {"type": "null"}]}, "default": {},
          "key": {"anyOf": [{"type": "string"}, {"type": "number"}, {"type": "boolean"}, {"type": "null"}]}}', '{}')
    ON CONFLICT (program) DO UPDATE SET takes = excluded.takes, requires = excluded.requires, accepts = excluded.accepts, result = excluded.result;
