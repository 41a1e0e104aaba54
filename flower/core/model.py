"""The frozen values that modules hand each other. No dict and no database row crosses a module border.

Times are aware datetimes in UTC, from the database's clock. A `seq` is a Decimal: the ancestor's column is numeric, and a hand
may write 1.5.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, TypeAlias
from uuid import UUID

from flower.core.pauses import Pause
from flower.core.status import FAULTS, Gate, Status, Why

# Any value that json.loads can return. Any, because mypy's recursive aliases make every caller cast.
Json: TypeAlias = Any
# What becomes of a start while a flow with its unique key is in progress: nothing is started, or it waits for its turn.
UniquePolicy: TypeAlias = Literal["skip", "queue"]


@dataclass(frozen=True, slots=True)
class Claim:
    """A task that this worker holds: all that the runner needs to run it once.

    *parameters* is the row's JSON text, not yet decoded: a hand may have written anything there. *open* is a JSON array of the places in it
    that the worker must fill or judge (see `sql/functions/kr_input.sql`), None if there are none. *tries*: how many attempts this is the last of, by
    what `attempts` counts. *options* is the JSON text of what the step says of its attempts, None: nothing. *scheduled_for*: the time of a
    schedule that its flow is for.
    """

    flow_id: str
    seq: Decimal
    workflow: str
    name: str
    program: str
    parameters: str
    attempt: int
    claim_id: UUID
    open: str | None = None
    tries: int = 1
    options: str | None = None
    scheduled_for: datetime | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one attempt ended.

    *claim* fences the write: it lands only while the task is still held under its claim_id.
    *value* is JSON text: the result of a finished task, the error of any other.
    *status* WAIT means that the task goes back: after *after_seconds* (a retry), or, when *unharmed*, at once and without
    having used up an attempt. *is_written*: the task's own transaction has recorded it.
    """

    claim: Claim
    status: Status
    why: Why | None = None
    value: str | None = None
    after_seconds: float | None = None
    unharmed: bool = False
    is_written: bool = False


@dataclass(frozen=True, slots=True)
class Failure:
    """What went wrong in one attempt, as it stands in the column `error`.

    *traceback* has the last frame of user code first. *where* is that frame as `file:line in function`, if there is one.
    """

    type: str
    message: str
    program: str | None = None
    where: str | None = None
    traceback: str | None = None


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line that an attempt of a task said. *source*: structlog, logging, stdout, stderr. *id*: its place among all, empty until it is written."""

    flow_id: str
    seq: Decimal
    attempt: int
    at: datetime
    level: str
    source: str
    message: str
    id: str = ""


@dataclass(frozen=True, slots=True)
class Incident:
    """Failures that look alike: *tasks* of so many *flows*. *example*: the flow and the seq of one of them, whose *message* and *where* these are."""

    id: str
    program: str | None
    type: str | None
    message: str | None
    where: str | None
    flows: int
    tasks: int
    since: datetime | None
    latest: datetime | None
    example: tuple[str, Decimal]


@dataclass(frozen=True, slots=True)
class Deed:
    """What somebody did to a flow by a verb. *who*: as the caller says; *role*: the database's."""

    at: datetime
    verb: str
    seq: Decimal | None
    who: str | None
    role: str
    reason: str | None


@dataclass(frozen=True, slots=True)
class Order:
    """A request to start a workflow.

    *options* may have `priority`, `runAt` (ISO 8601 with zone), `idempotencyKey` and `unique` (`{"key": …, "policy": "skip" or "queue"}`).
    """

    workflow: str
    parameters: dict[str, Json] = field(default_factory=dict)
    options: dict[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Registered:
    """The flow that an order started.

    *duplicate*: the same idempotency key had started it before. *skipped*: nothing was started, as this one has the same unique key and is in
    progress. *note*: what whoever ordered it may not have meant, in a sentence.
    """

    flow_id: str
    duplicate: bool = False
    skipped: bool = False
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Task:
    """One step of one flow, as people see it.

    *place*: `file:line` where its workflow calls it, if Python wrote that. *tries*: how many of its *attempts* are used up; *attempt* counts all.
    """

    flow_id: str
    seq: Decimal
    step_seq: Decimal
    workflow: str
    name: str
    program: str | None
    status: Decimal
    outcome: str | None
    attempt: int
    crashes: int
    priority: Decimal
    parameters: Json
    result: Json
    error: Json
    notice: Json
    depends_on: tuple[Decimal, ...]
    worker: UUID | None
    registered_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    suspended_at: datetime | None
    run_after: datetime | None
    place: str | None = None
    progress: Json = None
    tries: int = 0
    attempts: int = 1

    @property
    def is_fault(self) -> bool:
        """Whether it is suspended because it went wrong, and not because a person was asked to look."""
        return self.status == Status.SUSPEND and self.outcome in FAULTS


@dataclass(frozen=True, slots=True)
class Suspension:
    """That nothing new of a flow starts, since when, and why, if somebody said so."""

    at: datetime
    reason: str | None


@dataclass(frozen=True, slots=True)
class Flow:
    """One execution of a workflow, without its tasks. *suspended*: by a person, as a whole.

    *revision* of its workflow, None if a hand wrote its rows. *outcome*: of its tasks that are suspended, the word of one.
    *status* is derived: suspend if a task is suspended, else running, else wait, else finish; ignore if it was cancelled.
    *stalled*: all that is left waits on a suspended task; *stopped_at*: since when. *schedule*: what made it, and *scheduled_for* which
    of its times; None where somebody had the schedule fire by hand.
    """

    flow_id: str
    workflow: str
    status: Status
    stalled: bool
    priority: Decimal
    registered_at: datetime | None
    finished_at: datetime | None
    counts: dict[str, int]
    failing: str | None
    revision: int | None = None
    suspended: Suspension | None = None
    outcome: str | None = None
    stopped_at: datetime | None = None
    schedule: str | None = None
    scheduled_for: datetime | None = None

    @property
    def is_over(self) -> bool:
        """Whether nothing in it goes on by itself."""
        return self.stalled or self.status in {Status.FINISH, Status.IGNORE}


@dataclass(frozen=True, slots=True)
class Given:
    """What a flow was started with, and what it has resulted in so far; None: nothing."""

    parameters: Json
    result: Json


@dataclass(frozen=True, slots=True)
class NotBegun:
    """A task that has not begun, and what it is to be called with.

    *parameters* is JSON text; *filled* has the names of those that results will fill, or fill a part of.
    """

    workflow: str
    program: str
    parameters: str
    filled: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a list of flows. *next* is what to hand in as `after` for the next part, None at the end.

    *searched_to*: how far back it has looked, where it stopped before it was full, as a part looks at so many flows and no more. It may
    then be empty and still have a *next*.
    """

    items: tuple[Flow, ...]
    next: str | None
    searched_to: datetime | None = None


@dataclass(frozen=True, slots=True)
class Waiting:
    """Why one task does not run at this moment. *reasons* are sentences for people, that of the gate where it stands first."""

    seq: Decimal
    name: str
    gate: Gate | None
    reasons: tuple[str, ...]

    @property
    def reason(self) -> str:
        """The first of them."""
        return self.reasons[0]


@dataclass(frozen=True, slots=True)
class Step:
    """One row of a workflow's definition. *options*: what it says of its attempts, see `flower.core.definition`."""

    seq: Decimal
    name: str
    program: str
    priority: Decimal
    parameters: Json
    depends_on: tuple[Decimal, ...] | None
    known: bool
    place: str | None = None
    limits: tuple[str, ...] | None = None
    options: Json = None


@dataclass(frozen=True, slots=True)
class Workflow:
    """A named graph of steps. *takes* and *result*: see `flower.core.definition`. *revision*: 0 until it is worked out.

    *max_flows*: how many of its flows may be in progress at once, as its limit says now; None: any number.
    *paused*: by itself, or with everything.
    """

    workflow: str
    steps: tuple[Step, ...]
    revision: int = 0
    takes: Json = None
    result: Json = None
    timeout: float | None = None
    max_flows: int | None = None
    paused: Pause | None = None


@dataclass(frozen=True, slots=True)
class Program:
    """A registered function, as a worker announces it.

    *takes*: the parameters it has, None if it takes any name (`**kwargs`). *requires*: those of them without a default.
    *accepts*: their JSON schemas by name. *result*: the JSON schema of what it returns, `{}` for anything. *options*: what it says of its
    attempts (see `flower.sdk.retry`), None if that is as usual. *place*: `file:line`. *limits*: those that its tasks count for.
    """

    name: str
    takes: tuple[str, ...] | None
    requires: tuple[str, ...] = ()
    accepts: Json = None
    result: Json = None
    options: Json = None
    place: str | None = None
    limits: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether this process can do its work. Each field is `ok` or a sentence that says what is wrong.

    *listener*: without notifications it works all the same, some seconds later. *pauses*: `none`, or how much is paused, which somebody wants.
    """

    database: str
    schema: str
    dispatcher: str
    listener: str = "ok"
    pauses: str = "none"

    @property
    def ok(self) -> bool:
        """Whether flows that are started now will run."""
        return self.database == self.schema == self.dispatcher == "ok"
