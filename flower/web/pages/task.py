"""One task as it stands beside the picture of its flow: what went wrong first, then all that is known of it, and what a person may do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from flower.core.model import Json, LogLine, Task
from flower.core.picture import Attempt
from flower.core.quantities import between
from flower.core.status import FAULTS, Status, status_word
from flower.core.steps import which_attempt
from flower.database.store import Store
from flower.web.drawing.marks import Mark
from flower.web.drawing.marks import mark as marked
from flower.web.drawing.table import progress
from flower.web.words import fit_to_show

_LAST_LINES = 200
_ATTEMPTS = 20
_ERROR_PARTS: Final = ("type", "message", "where", "traceback", "program")
_VERBS: Final = {"rerun": "Rerun from here", "retry": "Retry", "ignore": "Skip", "complete": "Hand in the result"}


@dataclass(frozen=True, slots=True)
class Error:
    """What stands in an error column, in parts. *rest*: whatever else, or all of it where a hand wrote something of its own."""

    type: str
    message: str
    where: str
    traceback: str
    rest: Json


@dataclass(frozen=True, slots=True)
class Earlier:
    """An attempt of before."""

    attempt: Attempt
    mark: Mark
    took: str
    error: Error | None


@dataclass(frozen=True, slots=True)
class Shown:
    """One task as it is shown beside the picture of its flow. *lines*: the last that it said; *is_cut*: there were more.

    *progress*: how much is done, of how much, None for what it does not say. *verbs*: their names, and the words on their buttons.
    """

    task: Task
    mark: Mark
    attempt: str
    took: str
    error: Error | None
    progress: tuple[float | None, float | None]
    why: Sequence[str]
    lines: Sequence[LogLine]
    is_cut: bool
    earlier: Sequence[Earlier]
    verbs: Sequence[tuple[str, str]]
    times: Sequence[tuple[str, datetime]]

    @property
    def is_running(self) -> bool:
        """Whether it runs at this moment."""
        return self.task.status == Status.RUNNING

    @property
    def is_finished(self) -> bool:
        """Whether it has a result, be it null."""
        return self.task.status == Status.FINISH

    @property
    def is_fault(self) -> bool:
        """Whether it went wrong."""
        return self.task.is_fault


async def shown_task(store: Store, flow_id: str, step: str) -> Shown:
    """Return the task that *step* means, its seq or its name, with what is known of it. Raises UnknownTask."""
    task = await store.tasks.find(flow_id, step, parents=0)
    lines = await store.logs.last(flow_id, task.seq, limit=_LAST_LINES + 1)
    is_open = task.status not in {Status.RUNNING, Status.FINISH, Status.IGNORE}
    reasons = await store.flows.why(flow_id, task.seq) if is_open and task.status != Status.SUSPEND else ()
    return Shown(
        task=task,
        mark=marked(status_word(task.status), task.outcome),
        attempt=which_attempt(task),
        took=between(task.started_at, task.finished_at or task.suspended_at),
        error=error_of(task.error),
        progress=progress(task.progress) if task.status == Status.RUNNING else (None, None),
        why=[reason for waiting in reasons for reason in waiting.reasons],
        lines=lines[-_LAST_LINES:],
        is_cut=len(lines) > _LAST_LINES,
        earlier=[_earlier(attempt) for attempt in await store.tasks.attempts(flow_id, task.seq, _ATTEMPTS, results=False)],
        verbs=_verbs(task),
        times=[(word, moment) for word, moment in _times(task) if moment is not None],
    )


def error_of(value: Json) -> Error | None:
    """Return what stands in an error column, its secrets masked."""
    shown = fit_to_show(value)
    if shown is None:
        return None
    if not isinstance(shown, dict):
        return Error("Error", "", "", "", shown)
    known = {name: "" if shown.get(name) is None else str(shown[name]) for name in _ERROR_PARTS}
    rest = {name: item for name, item in shown.items() if name not in _ERROR_PARTS}
    return Error(known["type"] or "Error", known["message"], known["where"], known["traceback"], rest or None)


def _earlier(attempt: Attempt) -> Earlier:
    # One after which the task was tried again went back to `wait`, as a failure.
    status = Status.SUSPEND.word if attempt.outcome in FAULTS else attempt.status
    return Earlier(attempt, marked(status, attempt.outcome), between(attempt.started_at, attempt.ended_at), error_of(attempt.error))


def _times(task: Task) -> Sequence[tuple[str, datetime | None]]:
    return (
        ("registered", task.registered_at),
        ("not before", task.run_after),
        ("started", task.started_at),
        ("finished", task.finished_at),
        ("suspended", task.suspended_at),
    )


def _verbs(task: Task) -> Sequence[tuple[str, str]]:
    """Return what a person may do to *task*, what is most likely wanted first."""
    is_open, waits_for_a_person = task.status not in {Status.FINISH, Status.IGNORE}, task.status == Status.SUSPEND and not task.is_fault
    may = {
        "rerun": task.attempt > 0 or not is_open,
        "retry": task.status == Status.SUSPEND or (task.status == Status.WAIT and task.run_after is not None),
        "ignore": is_open,
        "complete": is_open,
    }
    order = ("complete", "retry", "rerun", "ignore") if waits_for_a_person else ("rerun", "retry", "ignore", "complete")
    return [(verb, _VERBS[verb]) for verb in order if may[verb]]
