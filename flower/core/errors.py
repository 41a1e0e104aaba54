"""Every error that Flower raises on purpose.

FlowerError
├── UsageError             the request is at fault: HTTP 4xx, exit status 1
│   ├── UnknownWorkflow    404
│   ├── UnknownFlow        404
│   ├── UnknownTask        404
│   ├── UnknownLimit       404
│   ├── UnknownRevision    404
│   ├── UnknownIncident    404
│   ├── UnknownSchedule    404
│   ├── AmbiguousFlow      409
│   ├── AmbiguousIncident  409
│   ├── NotNow             409
│   ├── KeyReused          409
│   ├── NotJson            400, with line and column
│   ├── Invalid            422, with a path per field
│   │   └── OrdersRefused  with the index of each order
│   └── RequestRefused     any other 4xx of the HTTP interface
├── ConfigurationError     the surroundings are at fault, waiting does not help: exit status 78
│   ├── SchemaTooNew
│   ├── ModuleProblem
│   │   └── TraceError      the body of a workflow does what can only be done when a flow runs
│   └── PortInUse           in flower.cli.ports
├── DatabaseLost           the database cannot be reached just now: HTTP 503, tried again for ever
│   └── DatabaseFull       its disk is full
├── EngineCancelled        user code cancelled what is not its own: exit status 1
├── TaskError              one attempt of a task cannot go on: it stands in the task's error column
│   ├── InvalidParameters  its parameters do not fit its function
│   ├── SourceIgnored      a parameter has no value, because the task that it comes from was ignored
│   ├── ResultNotJson      its result cannot be stored
│   └── ProgramFailed      a built-in program could not do what it was asked
├── FlowFailed             a flow that Python code waits for has ended badly
└── OutOfPlace             something of the SDK was called where it means nothing
    ├── NotInTask
    └── NotInWorkflow

A class holds its data and writes its own message, with what to do about it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flower.core.model import Json, Task


def did_you_mean(near: Sequence[str]) -> str:
    """Return the end of a sentence about a name that is not there: the names that look like it, nothing where none does."""
    return f"; did you mean {' or '.join(near)}?" if near else ""


class FlowerError(Exception):
    """Anything that Flower raises on purpose."""


class UsageError(FlowerError):
    """The request cannot be carried out as it is."""

    status = 400


class ConfigurationError(FlowerError):
    """Flower cannot work in these surroundings, and waiting does not help."""

    exit_status = 78


class DatabaseLost(FlowerError):
    """The database cannot be reached just now, or did not say whether it did what it was asked."""


class DatabaseFull(DatabaseLost):
    """The disk of the database is full: it goes on once somebody has made room."""


class EngineCancelled(FlowerError):
    """Somebody cancelled the engine's own tasks: signals do not, so it was user code."""

    def __init__(self) -> None:
        super().__init__(
            "a task cancelled asyncio tasks that are not its own (asyncio.all_tasks() has the engine's, too); "
            "what ran starts again as soon as a worker is there"
        )


class UnknownWorkflow(UsageError):
    """No workflow is defined under this id. *near*: ids that look like it."""

    status = 404

    def __init__(self, workflow: str, near: Sequence[str] = ()) -> None:
        super().__init__(f"no tasks registered{did_you_mean(near)} (list the workflows: python -m flower workflows, or GET /api/workflows)")
        self.workflow, self.near = workflow, tuple(near)


class UnknownFlow(UsageError):
    """No flow has this id, or an id that begins like this."""

    status = 404

    def __init__(self, flow: str) -> None:
        super().__init__(f"no flow {flow!r} (list the flows: python -m flower flows, or GET /api/flows)")
        self.flow = flow


class UnknownTask(UsageError):
    """A flow has no task of this seq or name. *near*: names that look like it."""

    status = 404

    def __init__(self, flow: str, step: str, near: Sequence[str] = ()) -> None:
        super().__init__(f"flow {flow} has no task {step!r}{did_you_mean(near)} (give its seq or its name)")
        self.flow, self.step, self.near = flow, step, tuple(near)


class UnknownLimit(UsageError):
    """No limit has this name. *near*: names that look like it."""

    status = 404

    def __init__(self, name: str, near: Sequence[str] = ()) -> None:
        super().__init__(f"there is no limit {name!r}{did_you_mean(near)} (list them: python -m flower limits, or GET /api/limits)")
        self.name, self.near = name, tuple(near)


class UnknownRevision(UsageError):
    """A workflow has no such revision."""

    status = 404

    def __init__(self, workflow: str, revision: int) -> None:
        super().__init__(f"the workflow {workflow!r} has no revision {revision} (list them: GET /api/revisions/{{workflow}})")
        self.workflow, self.revision = workflow, revision


class UnknownIncident(UsageError):
    """No incident that is not over has this id."""

    status = 404

    def __init__(self, incident: str) -> None:
        super().__init__(f"there is no incident {incident!r}, or it is over (list them: python -m flower incidents, or GET /api/incidents)")
        self.incident = incident


class UnknownSchedule(UsageError):
    """No schedule has this name. *near*: names that look like it."""

    status = 404

    def __init__(self, schedule: str, near: Sequence[str] = ()) -> None:
        super().__init__(f"no schedule {schedule!r}{did_you_mean(near)} (list them: python -m flower schedule list, or GET /api/schedules)")
        self.schedule, self.near = schedule, tuple(near)


class AmbiguousIncident(UsageError):
    """Several incidents begin like this. *found*: some of them."""

    status = 409

    def __init__(self, incident: str, found: Sequence[str]) -> None:
        super().__init__(f"{incident!r} is the beginning of several incidents: {', '.join(found)}; give more of the id")
        self.incident, self.found = incident, tuple(found)


class AmbiguousFlow(UsageError):
    """Several flows begin like this. *found*: some of them."""

    status = 409

    def __init__(self, flow: str, found: Sequence[str]) -> None:
        super().__init__(f"{flow!r} is the beginning of several flows: {', '.join(found)}; give more of the id")
        self.flow, self.found = flow, tuple(found)


class NotNow(UsageError):
    """A verb does not fit the state that a flow or a task is in, or somebody else writes to it. Nothing has changed."""

    status = 409


class KeyReused(UsageError):
    """An idempotency key came again with another body."""

    status = 409

    def __init__(self, key: str, other: str = "other parameters or options") -> None:
        super().__init__(f"the idempotency key {key!r} was used before with {other}; use a new key for a new order")
        self.key = key


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing that is wrong in a request. *path* is like `parameters.url` or `items[3].priority`."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


class Invalid(UsageError):
    """The request has the right form and the wrong content. *errors*: what is wrong, field by field."""

    status = 422

    def __init__(self, errors: Sequence[FieldError]) -> None:
        super().__init__("; ".join(map(str, errors)))
        self.errors = tuple(errors)


class OrdersRefused(Invalid):
    """Of a list of *count* orders some are refused, so none was taken. The paths of *errors* begin with the place in the list, `[3]`."""

    def __init__(self, errors: Sequence[FieldError], count: int) -> None:
        super().__init__(errors)
        places = {error.path.partition("]")[0] for error in errors}
        first = next(iter(errors))
        self.args = (f"nothing was started: {len(places)} of {count} orders are refused, the first for {first}",)


class NotJson(UsageError):
    """A text should be JSON and is not. *position* counts characters from 0."""

    status = 400

    def __init__(self, reason: str, text: str, position: int) -> None:
        line, column = text.count("\n", 0, position) + 1, position - text.rfind("\n", 0, position)
        super().__init__(f"this is not JSON: {reason} (line {line}, column {column})")
        self.position = position


class RequestRefused(UsageError):
    """The HTTP request is refused for its form, before its content is looked at. *headers*: for the answer."""

    def __init__(self, status: int, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.headers = status, headers or {}


class SchemaTooNew(ConfigurationError):
    """The database was migrated by a newer Flower."""

    def __init__(self, found: str, known: str) -> None:
        advice = "upgrade it (pip install --upgrade flower-workflow)"
        super().__init__(f"this database has schema {found}, written by a newer Flower; this one knows up to {known}: {advice}")
        self.found, self.known = found, known


class ModuleProblem(ConfigurationError):
    """A module with tasks cannot be used: it does not import, or two tasks have one name."""


class TraceError(ModuleProblem):
    """The body of a workflow does what cannot become steps. *place*: `file:line`. *reason*: what, and what to write instead."""

    def __init__(self, place: str, reason: str) -> None:
        super().__init__(f"{place}: {reason}")
        self.place, self.reason = place, reason


class TaskError(FlowerError):
    """One attempt of a task cannot go on."""


class InvalidParameters(TaskError):
    """The parameters of a task do not fit its function; it was not called. *errors*: what is wrong, parameter by parameter."""

    def __init__(self, task: str, errors: Sequence[FieldError]) -> None:
        super().__init__(f"the parameters do not fit {task}: {'; '.join(map(str, errors))}")
        self.task, self.errors = task, tuple(errors)


class SourceIgnored(TaskError):
    """The task from which a parameter comes was ignored, and the function cannot do without: this one is ignored, too."""

    def __init__(self, parameter: str, source: str) -> None:
        super().__init__(f"{parameter} comes from {source}, which was ignored, and has neither a default nor a type that allows None")
        self.parameter, self.source = parameter, source


class ResultNotJson(TaskError):
    """The function of a task returned what cannot be stored as JSON."""

    def __init__(self, task: str, reason: str) -> None:
        super().__init__(f"the result of {task} cannot be stored: {reason}")
        self.task, self.reason = task, reason


class ProgramFailed(TaskError):
    """A built-in program could not do what it was asked."""


class FlowFailed(FlowerError):
    """A flow did not come to its result. *task*: the failing one, None if it was cancelled."""

    def __init__(self, flow_id: str, workflow: str, task: Task | None) -> None:
        what = "it was cancelled" if task is None else f"{task.name} is {task.outcome}: {_told(task.error)}"
        super().__init__(f"flow {flow_id} of {workflow} has no result: {what} (python -m flower show {flow_id})")
        self.flow_id, self.workflow, self.task = flow_id, workflow, task


def _told(error: Json) -> str:
    return f"{error.get('type')}: {error.get('message')}" if isinstance(error, dict) else "no error was kept"


class OutOfPlace(FlowerError):
    """Something of the SDK was called where it means nothing."""


class NotInTask(OutOfPlace):
    """There is no task around this call."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what} works only inside a task that Flower runs, and in what that task itself calls (not in a thread that it started by hand)"
        )


class NotInWorkflow(OutOfPlace):
    """A task was called like a function, outside of the body of a workflow. *instead*: what to write."""

    def __init__(self, task: str, instead: str) -> None:
        super().__init__(f"{task}(…) means a step, and only in the body of a workflow; to call the function itself write {instead}")
        self.task = task
