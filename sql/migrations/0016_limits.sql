-- Limits by pattern and by key, rates, and turns among the keys of a pattern.

-- A name that ends in * is a pattern: each name that begins so has that many slots of its own, unless it has a row itself or a longer pattern fits.
-- slots: NULL is any number. rate: how many may start in what time, as in 10/min; every_seconds: the time from one start to the next.
-- squawk-ignore ban-drop-not-null
ALTER TABLE ms_limit ALTER COLUMN slots DROP NOT NULL;
ALTER TABLE ms_limit
    ADD COLUMN rate text,
    -- squawk-ignore adding-field-with-default
    ADD COLUMN every_seconds double precision GENERATED ALWAYS AS (
        CASE substring(rate FROM '/(\w+)$') WHEN 's' THEN 1 WHEN 'min' THEN 60 WHEN 'h' THEN 3600 WHEN 'day' THEN 86400 END
        / nullif(substring(rate FROM '^[0-9.]+')::double precision, 0)) STORED,
    -- squawk-ignore adding-field-with-default
    ADD COLUMN prefix text GENERATED ALWAYS AS (CASE WHEN name LIKE '%*' THEN left(name, -1) END) STORED,
    -- squawk-ignore constraint-missing-not-valid
    ADD CONSTRAINT rate_is_a_number_per_time CHECK (rate ~ '^[0-9]{1,9}(\.[0-9]{1,9})?/(s|min|h|day)$'),
    -- squawk-ignore constraint-missing-not-valid
    ADD CONSTRAINT rate_is_not_zero CHECK (rate !~ '^[0.]+/'),
    -- squawk-ignore constraint-missing-not-valid
    ADD CONSTRAINT rate_is_at_least_one_a_century CHECK (every_seconds <= 3.2e9),
    -- squawk-ignore constraint-missing-not-valid
    ADD CONSTRAINT a_limit_limits_something CHECK (slots IS NOT NULL OR rate IS NOT NULL),
    -- squawk-ignore constraint-missing-not-valid
    ADD CONSTRAINT limits_have_short_names CHECK (octet_length(name) BETWEEN 1 AND 512),
    -- squawk-ignore constraint-missing-not-valid
    ADD CONSTRAINT a_star_stands_at_the_end CHECK (position('*' IN name) IN (0, length(name)));
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX ms_limit_patterns ON ms_limit (length(prefix) DESC) WHERE prefix IS NOT NULL;

-- How it stands with some limits, as parallel arrays. patterns: among whose keys slots go round; free: how many more may come in now; locked: nobody else
-- lets somebody in meanwhile. And how many tasks stand inside each limit: all of them, and those that still wait for a slot.
CREATE TYPE kr_rooms AS (names text[], patterns text[], inside integer[], free integer[], every_seconds double precision[], locked boolean[]);
CREATE TYPE kr_inside AS (names text[], counts integer[], waiting integer[]);
-- Tasks that their limits let through, locked and not written yet: orders: where they stand from now on. looked: the limits at whose queues we looked; groups:
-- the patterns among them, and frees: how many each might let in; firsts: the first order of those
-- at whom we looked there, and rounds: whether a round is over; heads: where the tasks had waited; entered: all their limits, as often as they enter them; blocked:
-- where some keep their turn that need another limit, which is full: blockers.
CREATE TYPE kr_admission AS (rows_ tid[], orders double precision[], looked text[], rooms kr_rooms, groups text[], frees integer[], firsts double precision[],
    rounds boolean[], heads text[], entered text[],
    blocked text[], blockers text[]);

-- What the engine notes of a limit, of a key, or of a pattern. free_at: when it may let somebody start again by its rate; look_at: when somebody waits
-- for that. Of a pattern: last_key had the last turn; in the round before that one, and in this one so far, round_order and so_far were the first of those who
-- waited; whoever has a turn stands there, behind the *turns* that stood at turn_order before.
-- also: patterns among whose keys some wait for their turn and need this limit, too, which was full.
CREATE TABLE kr_turn (
    name        text NOT NULL,
    free_at     timestamptz,
    look_at     timestamptz,
    last_key    text COLLATE "C",
    round_order double precision,
    so_far      double precision,
    turn_order  double precision,
    turns       bigint NOT NULL DEFAULT 0,
    also        text[],
    CONSTRAINT kr_turn_pkey PRIMARY KEY (name)
) WITH (fillfactor = 50);
CREATE INDEX kr_turn_looks ON kr_turn (look_at) WHERE look_at IS NOT NULL;

-- The limits of a function, for steps that name none.
ALTER TABLE kr_program ADD COLUMN limits text[];

-- keyed: the limits as they are written, where a parameter stands in one, as in tenant:{customer}; limits has them with what the task is called with.
ALTER TABLE kr_task_stat ADD COLUMN keyed text[];
-- Until now run_order came from the two columns alone. A task that its pattern let through in turn stands where the first of its siblings would.
-- Nothing is written anew: whoever makes or changes a row works it out (functions/kr_run_order.sql).
-- squawk-ignore ban-drop-generated-expression
ALTER TABLE kr_task_stat ALTER COLUMN run_order DROP EXPRESSION;
ALTER TABLE kr_task_stat ALTER COLUMN run_order SET DEFAULT 0;
-- Who waits at a limit. The names in the order of their bytes: those that begin alike stand together. The other index has the rest.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX kr_task_queue ON kr_task_stat (waits_for COLLATE "C", run_order, rank, task_exec_seq, task_flow_id) WHERE exec_status = 0 AND gate = 'limit';
-- squawk-ignore require-concurrent-index-deletion
DROP INDEX kr_task_held;
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX kr_task_held ON kr_task_stat (gate, waits_for, run_order, rank, task_exec_seq, task_flow_id) WHERE exec_status = 0 AND gate IN ('pause', 'program');

-- They take or answer something else, and are made anew in this same transaction.
-- squawk-ignore ban-drop-function
DROP FUNCTION IF EXISTS kr_admit, kr_admit_each, kr_claim, kr_start, kr_start_each;
