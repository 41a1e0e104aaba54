-- Schedules: workflows that start by the clock. A row here is all there is to it; whoever may write rows may write schedules.

-- cron, in a zone of the IANA database; or every so long, counted from 1970 in UTC. since_ts: its times count from here on; next_ts: the first that was not
-- handled, NULL: nobody has worked it out yet; last_ts: the latest that was. passed_ts, passed_why: the latest that made no flow. error: why it has stopped
-- itself. looked_ts changes with every write of the engine's, and never by a hand. code_hash: of what the code says, if code wrote it.
CREATE TABLE ms_schedule (
    name          text         NOT NULL,
    task_id       varchar(256) NOT NULL,
    cron          text,
    every         interval,
    zone          text         NOT NULL DEFAULT 'UTC',
    parameters    jsonb        NOT NULL DEFAULT '{}',
    priority      numeric,
    catch_up      text         NOT NULL DEFAULT 'last',
    catch_up_most integer      NOT NULL DEFAULT 100,
    overlap       text         NOT NULL DEFAULT 'queue',
    on_failure    text         NOT NULL DEFAULT 'go-on',
    paused        boolean      NOT NULL DEFAULT false,
    reason        text,
    since_ts      timestamptz  NOT NULL DEFAULT clock_timestamp(),
    next_ts       timestamptz,
    last_ts       timestamptz,
    passed_ts     timestamptz,
    passed_why    text,
    error         text,
    looked_ts     timestamptz,
    code_hash     text,
    CONSTRAINT ms_schedule_pkey PRIMARY KEY (name),
    CONSTRAINT name_is_short CHECK (length(name) BETWEEN 1 AND 256),
    CONSTRAINT either_cron_or_every CHECK (num_nonnulls(cron, every) = 1),
    CONSTRAINT cron_is_short CHECK (length(cron) <= 256),
    CONSTRAINT every_is_at_least_a_second CHECK (every >= interval '1 second' AND every <= interval '3650 days'),
    CONSTRAINT every_has_no_months CHECK (extract(year FROM every) = 0 AND extract(month FROM every) = 0),
    CONSTRAINT parameters_are_an_object CHECK (jsonb_typeof(parameters) = 'object'),
    CONSTRAINT priority_is_between_minus_20_and_19 CHECK (priority BETWEEN -20 AND 19 AND priority % 1 = 0),
    CONSTRAINT catch_up_is_none_last_or_all CHECK (catch_up IN ('none', 'last', 'all')),
    CONSTRAINT catch_up_most_is_1_to_1000 CHECK (catch_up_most BETWEEN 1 AND 1000),
    CONSTRAINT overlap_is_skip_queue_or_cancel CHECK (overlap IN ('skip', 'queue', 'cancel')),
    CONSTRAINT on_failure_is_go_on_or_hold CHECK (on_failure IN ('go-on', 'hold'))
) WITH (fillfactor = 70);
CREATE INDEX ms_schedule_due ON ms_schedule (next_ts) WHERE NOT paused AND error IS NULL;
CREATE INDEX ms_schedule_stopped ON ms_schedule (name) WHERE error IS NOT NULL;

-- Which flow a schedule made for which of its times; scheduled_ts is NULL where somebody started it by hand.
ALTER TABLE kr_flow_stat ADD COLUMN schedule text, ADD COLUMN scheduled_ts timestamptz;
-- squawk-ignore require-concurrent-index-creation
CREATE UNIQUE INDEX kr_flow_of_schedule_time ON kr_flow_stat (schedule, scheduled_ts) WHERE scheduled_ts IS NOT NULL;
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX kr_flow_of_schedule ON kr_flow_stat (schedule, registered_ts) WHERE schedule IS NOT NULL;
ALTER TABLE kr_task_stat ADD COLUMN scheduled_ts timestamptz;

-- What counts for a schedule's overlap: its flows that were not over when last looked at, and (without a flow) its times that wait for their turn.
CREATE TABLE kr_schedule_turn (
    id           bigint GENERATED ALWAYS AS IDENTITY,
    schedule     text   NOT NULL,
    scheduled_ts timestamptz,
    task_flow_id varchar(256),
    CONSTRAINT kr_schedule_turn_pkey PRIMARY KEY (id)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
CREATE INDEX kr_schedule_turn_of_schedule ON kr_schedule_turn (schedule, scheduled_ts);
CREATE INDEX kr_schedule_turn_waiting ON kr_schedule_turn (schedule) WHERE task_flow_id IS NULL;

-- They take or answer one thing more, and are made anew in this same transaction.
-- squawk-ignore ban-drop-function
DROP FUNCTION IF EXISTS kr_register, kr_probe;
