-- How often a task is tried and how long it may take. What the function says (kr_program.options) counts unless the step says something else:
-- attempts; backoff (seconds, or {"first", "factor", "longest", "jitter"}); retry_on, give_up_on (names of exceptions); timeout (seconds of one
-- attempt); on_lost (retry, suspend: what happens if its worker is lost). The table is small: its constraints are looked at in a moment.
ALTER TABLE ms_task_definition
    ADD COLUMN attempts   integer,
    ADD COLUMN backoff    jsonb,
    ADD COLUMN retry_on   text[],
    ADD COLUMN give_up_on text[],
    ADD COLUMN timeout    double precision,
    ADD COLUMN on_lost    text,
    -- squawk-ignore constraint-missing-not-valid
    ADD CONSTRAINT attempts_are_positive CHECK (attempts >= 1),
    -- squawk-ignore constraint-missing-not-valid
    ADD CONSTRAINT backoff_is_seconds_or_an_object CHECK (jsonb_typeof(backoff) IN ('number', 'object')),
    -- squawk-ignore constraint-missing-not-valid
    ADD CONSTRAINT timeout_is_positive CHECK (timeout > 0 AND timeout < 'Infinity'),
    -- squawk-ignore constraint-missing-not-valid
    ADD CONSTRAINT on_lost_is_retry_or_suspend CHECK (on_lost IN ('retry', 'suspend'));

-- options: what the step says of the above, {"attempts": …, "backoff": …, "retryOn": …, "giveUpOn": …, "timeout": …, "onLost": …}; NULL: nothing.
ALTER TABLE kr_step ADD COLUMN options jsonb;
ALTER TABLE kr_task_stat ADD COLUMN options jsonb;
-- In the same shape, what the function says.
ALTER TABLE kr_program ADD COLUMN options jsonb;
-- How many attempts went on though they were told to stop.
ALTER TABLE kr_worker ADD COLUMN leaked integer NOT NULL DEFAULT 0;

-- They take or answer something more, and are made anew in this same transaction.
-- squawk-ignore ban-drop-function
DROP FUNCTION IF EXISTS kr_cycle, kr_claim, kr_start, kr_start_each, kr_revise, kr_known_names, kr_misfit;
