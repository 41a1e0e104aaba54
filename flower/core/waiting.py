"""Says in a sentence why a task does not run. Pure: the facts come as a value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from difflib import get_close_matches

from flower.core.status import Gate, Status

# A task that was running when so many workers were lost runs alone of its kind on a worker.
SUSPECT_AFTER = 2


@dataclass(frozen=True, slots=True)
class Standing:
    """What the database knows of a task that does not run. The `parent_` fields are None if the parent's row is missing."""

    seq: Decimal
    name: str
    status: Decimal
    program: str | None
    gate: Gate | None
    waits_seq: Decimal | None
    waits_for: str | None
    run_after: datetime | None
    crashes: int
    priority: Decimal
    parent_name: str | None
    parent_status: str | None
    parent_outcome: str | None
    pause_reason: str | None
    limit_slots: int | None
    limit_holders: Sequence[str]
    program_known: bool


def reason(task: Standing, workers: int, slots: int, programs: Sequence[str]) -> str:
    """Return why *task* waits. *workers* are alive with *slots* in all, and have these *programs*."""
    if task.status != Status.WAIT:
        return f"its exec_status is {task.status}, which means nothing to Flower: it stands still until somebody writes 0, 3 or 9"
    if task.gate is Gate.DEPENDENCIES:
        return _dependency(task)
    if task.gate is Gate.TIME:
        return f"waits until {task.run_after.isoformat(timespec='seconds') if task.run_after else 'its time'}"
    if task.gate is Gate.PAUSE:
        return f"the workflow {task.waits_for!r} is paused" + (f": {task.pause_reason}" if task.pause_reason else "")
    if not workers:
        return "no worker is running: start one with `python -m flower serve`"
    if task.gate is Gate.PROGRAM or not task.program_known:
        near = get_close_matches(task.program or "", programs, n=2)
        return f"no running worker has the program {task.program!r}" + (f"; did you mean {' or '.join(near)}?" if near else "")
    if task.gate is Gate.LIMIT:
        return f"the limit {task.waits_for!r} ({task.limit_slots} at once) is full; inside: {', '.join(task.limit_holders) or 'nobody'}"
    if task.gate is Gate.SLOT and task.crashes >= SUSPECT_AFTER:
        return f"{task.crashes} workers were lost while they ran it, so it waits until a worker holds no other such task"
    if task.gate is Gate.SLOT:
        return f"waits for one of {slots} slots (priority {task.priority}; one point is worth four hours of waiting)"
    return "was written just now: a worker looks at it in a moment"


def _dependency(task: Standing) -> str:
    if task.parent_status is None:
        return f"waits for task {task.waits_seq}, which does not exist: insert it, or delete its edge in kr_task_edge"
    parent = f"task {task.waits_seq} ({task.parent_name})"
    if task.parent_status == Status.SUSPEND.word:
        return f"waits for {parent}, which is suspended" + (f" ({task.parent_outcome})" if task.parent_outcome else "")
    return f"waits for {parent}, which is in status {task.parent_status}"
