-- The tables of the first release. The ancestor's two tables keep their columns, order, keys, defaults and checks, so that its
-- users' statements go on working; on a database of the ancestor they are taken over as they stand. Ours come after them.

CREATE TABLE IF NOT EXISTS ms_task_definition (
    task_id       varchar(256) NOT NULL,
    task_seq      numeric      NOT NULL,
    program       varchar(256) NOT NULL,
    task_priority numeric      DEFAULT 0 NOT NULL,
    param1_key    varchar(1024),
    param1_value  varchar(1024),
    param2_key    varchar(1024),
    param2_value  varchar(1024),
    param3_key    varchar(1024),
    param3_value  varchar(1024),
    param4_key    varchar(1024),
    param4_value  varchar(1024),
    param5_key    varchar(1024),
    param5_value  varchar(1024),
    CONSTRAINT ms_task_definition_pkey PRIMARY KEY (task_id, task_seq),
    CONSTRAINT ms_task_definition_task_priority_check CHECK (-20 <= task_priority AND task_priority < 20)
);

-- depends_on: task_seq of the parents; NULL is the step before it, {} is at once.
ALTER TABLE ms_task_definition
    ADD COLUMN name       varchar(256),
    ADD COLUMN depends_on numeric[],
    ADD COLUMN parameters jsonb,
    ADD COLUMN limits     text[],
    ADD CONSTRAINT parameters_are_an_object CHECK (jsonb_typeof(parameters) = 'object');

CREATE TABLE IF NOT EXISTS kr_task_stat (
    task_flow_id          varchar(256) NOT NULL,
    task_exec_seq         numeric      NOT NULL,
    depends_task_exec_seq numeric      NOT NULL,
    task_id               varchar(256) NOT NULL,
    task_seq              numeric      NOT NULL,
    exec_status           numeric      NOT NULL,
    task_priority         numeric      DEFAULT 0 NOT NULL,
    parameters            json         NOT NULL,
    registered_ts         timestamptz,
    started_ts            timestamptz,
    finished_ts           timestamptz,
    suspended_ts          timestamptz,
    CONSTRAINT kr_task_stat_pkey PRIMARY KEY (task_flow_id, task_exec_seq),
    CONSTRAINT kr_task_stat_task_priority_check CHECK (-20 <= task_priority AND task_priority < 20)
);

-- attempt counts starts and only grows; tries counts what a number of attempts limits; crashes counts lost workers.
-- gate: where a waiting task stands (dependencies, time, pause, program, limit, slot); NULL: nobody has looked yet.
-- waits_seq, waits_for: the one thing it waits for there, a parent or the name of a workflow, program or limit.
-- rank: minus the longest path from the roots. run_order: one point of priority is worth four hours of waiting.
ALTER TABLE kr_task_stat
    ADD COLUMN name       varchar(256),
    ADD COLUMN program    varchar(256),
    ADD COLUMN outcome    text,
    ADD COLUMN attempt    integer NOT NULL DEFAULT 0,
    ADD COLUMN result     jsonb,
    ADD COLUMN error      jsonb,
    ADD COLUMN run_after  timestamptz,
    ADD COLUMN limits     text[],
    ADD COLUMN tries      integer NOT NULL DEFAULT 0,
    ADD COLUMN crashes    integer NOT NULL DEFAULT 0,
    ADD COLUMN gate       text,
    ADD COLUMN waits_seq  numeric,
    ADD COLUMN waits_for  text,
    ADD COLUMN rank       integer NOT NULL DEFAULT 0,
    ADD COLUMN claim_id   uuid,
    ADD COLUMN worker_id  uuid,
    -- squawk-ignore adding-field-with-default
    ADD COLUMN run_order  double precision NOT NULL GENERATED ALWAYS AS
        (coalesce(date_part('epoch', registered_ts AT TIME ZONE 'UTC'), 0) + task_priority::double precision * 14400) STORED;

-- Rows are rewritten twice in their life and then stay: room for that on their page, and dead entries cleared early.
ALTER TABLE kr_task_stat SET (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000);

CREATE INDEX kr_task_claimable ON kr_task_stat (run_order, rank, task_exec_seq, task_flow_id) WHERE exec_status = 0 AND gate = 'slot' AND crashes < 2;
CREATE INDEX kr_task_by_program ON kr_task_stat (program, run_order, rank, task_exec_seq, task_flow_id) WHERE exec_status = 0 AND gate = 'slot' AND crashes < 2;
CREATE INDEX kr_task_suspects ON kr_task_stat (run_order, task_exec_seq, task_flow_id) WHERE exec_status = 0 AND gate = 'slot' AND crashes >= 2;
CREATE INDEX kr_task_held ON kr_task_stat (gate, waits_for, run_order, rank, task_exec_seq, task_flow_id) WHERE exec_status = 0 AND gate IN ('pause', 'program', 'limit');
CREATE INDEX kr_task_inside ON kr_task_stat (task_flow_id) WHERE limits IS NOT NULL AND (exec_status = 1 OR (exec_status = 0 AND gate = 'slot'));
CREATE INDEX kr_task_running ON kr_task_stat (worker_id) WHERE exec_status = 1;
CREATE INDEX kr_task_suspended ON kr_task_stat (task_flow_id) WHERE exec_status = 2;
CREATE INDEX kr_task_timers ON kr_task_stat (run_after) WHERE exec_status = 0 AND gate = 'time';
CREATE INDEX kr_task_unseen ON kr_task_stat (run_order, task_exec_seq, task_flow_id) WHERE exec_status = 0 AND gate IS NULL;

-- counts: the statuses of the parent that let the child go on. by_hand: written by a person, so the child is looked at again.
CREATE TABLE kr_task_edge (
    task_flow_id  varchar(256) NOT NULL,
    parent_seq    numeric      NOT NULL,
    task_exec_seq numeric      NOT NULL,
    counts        numeric[]    NOT NULL DEFAULT '{3,9}',
    by_hand       boolean      NOT NULL DEFAULT true,
    CONSTRAINT kr_task_edge_pkey PRIMARY KEY (task_flow_id, task_exec_seq, parent_seq)
);
-- To find the children of a task. Expressions, so that no other index fits that question and the primary key fits only the other one:
-- without statistics the planner took the one for the other, and 1 -> 1,000 -> 1 went from 0.1 s to 0.9 s.
CREATE INDEX kr_task_edge_children ON kr_task_edge ((task_flow_id || ''), (parent_seq + 0));
-- No statistics of them either: where one task has 50,000 children, the planner would expect as many of each, and read the whole table.
ALTER INDEX kr_task_edge_children ALTER COLUMN 1 SET STATISTICS 0;
ALTER INDEX kr_task_edge_children ALTER COLUMN 2 SET STATISTICS 0;

-- One row per flow: only what does not change while its tasks run.
CREATE TABLE kr_flow_stat (
    task_flow_id    varchar(256) NOT NULL,
    task_id         varchar(256) NOT NULL,
    task_priority   numeric      NOT NULL DEFAULT 0,
    registered_ts   timestamptz  NOT NULL DEFAULT clock_timestamp(),
    idempotency_key text,
    request         jsonb,
    CONSTRAINT kr_flow_stat_pkey PRIMARY KEY (task_flow_id),
    CONSTRAINT idempotency_key_is_short CHECK (octet_length(idempotency_key) <= 512)
);
CREATE INDEX kr_flow_newest ON kr_flow_stat (registered_ts, task_flow_id);
CREATE INDEX kr_flow_of_workflow ON kr_flow_stat (task_id, registered_ts, task_flow_id);
CREATE UNIQUE INDEX kr_flow_idempotency_key ON kr_flow_stat (task_id, idempotency_key) WHERE idempotency_key IS NOT NULL;

-- Earlier attempts of a task; the current one stands in kr_task_stat. exec_status and outcome: how it ended (0: it waits again).
CREATE TABLE kr_task_attempt (
    task_flow_id  varchar(256) NOT NULL,
    task_exec_seq numeric      NOT NULL,
    attempt       integer      NOT NULL,
    exec_status   numeric      NOT NULL,
    outcome       text,
    started_ts    timestamptz,
    ended_ts      timestamptz  NOT NULL DEFAULT clock_timestamp(),
    result        jsonb,
    error         jsonb,
    worker_id     uuid
);
CREATE INDEX kr_task_attempt_of_task ON kr_task_attempt (task_flow_id, task_exec_seq, attempt);

-- What the engine must look at again: a task (kind task, or edge where its parents changed), or the door of a gate.
-- No unique key on the content: ON CONFLICT would wait for a user's open transaction.
CREATE TABLE kr_recount (
    id            bigint GENERATED ALWAYS AS IDENTITY,
    kind          text NOT NULL,
    task_flow_id  varchar(256),
    task_exec_seq numeric,
    name          text,
    CONSTRAINT kr_recount_pkey PRIMARY KEY (id)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

-- One row per process start. absent_since: since when no session of it is seen, though it missed its beat.
CREATE TABLE kr_worker (
    worker_id    uuid        NOT NULL,
    host         text        NOT NULL,
    pid          integer     NOT NULL,
    version      text        NOT NULL,
    slots        integer     NOT NULL,
    programs     text[]      NOT NULL,
    direct       boolean     NOT NULL DEFAULT false,
    started_ts   timestamptz NOT NULL DEFAULT clock_timestamp(),
    beat_ts      timestamptz NOT NULL DEFAULT clock_timestamp(),
    lease_until  timestamptz NOT NULL,
    absent_since timestamptz,
    CONSTRAINT kr_worker_pkey PRIMARY KEY (worker_id)
) WITH (fillfactor = 50);

-- What workers said of their programs. takes: the names of its parameters, NULL if it takes any.
CREATE TABLE kr_program (
    program varchar(256) NOT NULL,
    takes   text[],
    CONSTRAINT kr_program_pkey PRIMARY KEY (program)
);

-- Who waits for the end of a flow: the engine rings flower_end for those.
CREATE TABLE kr_waiter (
    task_flow_id varchar(256) NOT NULL,
    waiter_id    uuid         NOT NULL,
    since        timestamptz  NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT kr_waiter_pkey PRIMARY KEY (task_flow_id, waiter_id)
);

-- How many tasks that name a limit may run at once. Zero is allowed: nothing may start until someone raises it.
CREATE TABLE ms_limit (
    name  text    NOT NULL,
    slots integer NOT NULL,
    CONSTRAINT ms_limit_pkey PRIMARY KEY (name),
    CONSTRAINT slots_not_negative CHECK (slots >= 0)
);

-- Workflows of which nothing new may start.
CREATE TABLE ms_pause (
    task_id   varchar(256) NOT NULL,
    reason    text,
    paused_ts timestamptz  NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT ms_pause_pkey PRIMARY KEY (task_id)
);

-- A database of the ancestor: its rows get what ours have from the start.
INSERT INTO kr_task_edge (task_flow_id, parent_seq, task_exec_seq, by_hand)
    SELECT task_flow_id, depends_task_exec_seq, task_exec_seq, false FROM kr_task_stat WHERE depends_task_exec_seq >= 0;
INSERT INTO kr_flow_stat (task_flow_id, task_id, task_priority, registered_ts)
    SELECT DISTINCT ON (task_flow_id) task_flow_id, task_id, task_priority, coalesce(registered_ts, clock_timestamp())
    FROM kr_task_stat ORDER BY task_flow_id, task_exec_seq;
UPDATE kr_task_stat t SET program = d.program, name = d.program FROM ms_task_definition d WHERE d.task_id = t.task_id AND d.task_seq = t.task_seq;

INSERT INTO ms_task_definition (task_id, task_seq, program, param1_key, param1_value, param2_key, param2_value)
    SELECT * FROM (VALUES
        ('example', 1, 'EchoRandomTimeSleep', NULL, NULL, NULL, NULL),
        ('example', 2, 'EchoParamTimeSleep', 'SLEEP_TIME_SECOND', '3', NULL, NULL),
        ('example', 3, 'HTTPPostRequest', 'URL', 'https://postman-echo.com/post', 'BODY', '{"id": "test"}'),
        ('hello', 1, 'Hello', 'name', 'world', NULL, NULL)) v (task_id)
    WHERE NOT EXISTS (SELECT FROM ms_task_definition d WHERE d.task_id = v.task_id);
