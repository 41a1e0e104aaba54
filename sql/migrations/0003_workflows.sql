-- Workflows beyond their steps: what a flow takes, what it results in, and every revision that there was. Beside them the steps as
-- registration needs them, worked out once per revision.

-- place: file:line of the call that made the step, if Python wrote it.
ALTER TABLE ms_task_definition ADD COLUMN place text;

-- takes: the parameters of a flow, {"name": {"schema": …, "default": …}}; NULL: what its steps take. result: JSON with references to steps.
-- revision: the one that new flows get; 0: none is worked out yet.
CREATE TABLE ms_workflow (
    task_id  varchar(256) NOT NULL,
    takes    jsonb,
    result   jsonb,
    revision integer      NOT NULL DEFAULT 0,
    CONSTRAINT ms_workflow_pkey PRIMARY KEY (task_id),
    CONSTRAINT takes_is_an_object CHECK (jsonb_typeof(takes) = 'object')
);

-- code_hash: of the definition, if Python wrote it. changed_by: the role; source: a module, http, or the application of a session.
CREATE TABLE ms_workflow_revision (
    task_id    varchar(256) NOT NULL,
    revision   integer      NOT NULL,
    steps      jsonb        NOT NULL,
    takes      jsonb,
    result     jsonb,
    result_inputs jsonb,
    code_hash  text,
    changed_by text         NOT NULL DEFAULT session_user,
    source     text,
    changed_ts timestamptz  NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT ms_workflow_revision_pkey PRIMARY KEY (task_id, revision)
);

-- own: its parameters without references; inputs: what takes their place, [{"at": […], "seq" or "env": …, "path": […]}]; given: which of
-- them parameters of the flow take, [{"at": […], "param": …, "path": […]}]. depth: the longest path from a root.
CREATE TABLE kr_step (
    task_id       varchar(256) NOT NULL,
    revision      integer      NOT NULL,
    task_exec_seq integer      NOT NULL,
    task_seq      numeric      NOT NULL,
    name          varchar(256) NOT NULL,
    program       varchar(256) NOT NULL,
    task_priority numeric      NOT NULL,
    limits        text[],
    parents       integer[]    NOT NULL,
    depth         integer      NOT NULL,
    own           jsonb        NOT NULL,
    inputs        jsonb,
    given         jsonb,
    place         text,
    CONSTRAINT kr_step_pkey PRIMARY KEY (task_id, revision, task_exec_seq)
);

-- Workflows that a transaction has changed and not yet worked out: looked at when it commits.
CREATE TABLE kr_changed_workflow (
    task_id     varchar(256) NOT NULL,
    transaction xid8         NOT NULL DEFAULT pg_current_xact_id(),
    CONSTRAINT kr_changed_workflow_pkey PRIMARY KEY (task_id, transaction)
);

ALTER TABLE kr_flow_stat ADD COLUMN revision integer;
ALTER TABLE kr_task_stat ADD COLUMN inputs jsonb;
-- What the latest attempt said of how far it is: {"done": …, "total": …}.
ALTER TABLE kr_task_stat ADD COLUMN progress jsonb;

-- They answer one column more, and are made anew in this same transaction.
-- squawk-ignore ban-drop-function
DROP FUNCTION IF EXISTS kr_cycle, kr_claim, kr_start, kr_start_each;
