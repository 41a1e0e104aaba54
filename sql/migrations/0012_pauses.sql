-- Pauses are few, and deeds not many: none of these changes takes long.
-- squawk-ignore-file adding-field-with-default, ban-drop-constraint, constraint-missing-not-valid, adding-serial-primary-key-field
-- squawk-ignore-file require-concurrent-index-creation, ban-drop-not-null

-- A pause may hold a program, a limit or everything, and end by itself; it says who made it. A row with only a name goes on to hold the workflow, or
-- the flow, that is called so.
-- door: the name for which tasks wait at the gate pause until this one ends. Two that would share it are one.
ALTER TABLE ms_pause
    ADD COLUMN kind     text NOT NULL DEFAULT 'workflow',
    ADD COLUMN until_ts timestamptz,
    ADD COLUMN who      text,
    ADD COLUMN door     text NOT NULL GENERATED ALWAYS AS (CASE WHEN kind IN ('workflow', 'flow') THEN task_id ELSE kind || ':' || task_id END) STORED;
ALTER TABLE ms_pause
    ALTER COLUMN who SET DEFAULT session_user,
    DROP CONSTRAINT ms_pause_pkey,
    ADD CONSTRAINT ms_pause_pkey PRIMARY KEY (door),
    ADD CONSTRAINT kind_is_known CHECK (kind IN ('workflow', 'flow', 'program', 'limit', 'all')),
    ADD CONSTRAINT everything_is_called_star CHECK (kind <> 'all' OR task_id = '*');
CREATE INDEX ms_pause_of_limits ON ms_pause (task_id) WHERE kind = 'limit';
CREATE INDEX ms_pause_ends ON ms_pause (until_ts) WHERE until_ts IS NOT NULL;
UPDATE ms_pause p SET kind = 'flow' WHERE EXISTS (SELECT FROM kr_flow_stat f WHERE f.task_flow_id = p.task_id)
    AND NOT EXISTS (SELECT FROM ms_task_definition d WHERE d.task_id = p.task_id);

-- Whoever pauses or unpauses does nothing to one flow.
ALTER TABLE kr_audit ALTER COLUMN task_flow_id DROP NOT NULL;
