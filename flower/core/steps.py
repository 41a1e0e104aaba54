"""Finds the task of a flow that a person means by STEP (its seq, or its name), and the one that stopped it; says how a person goes on from there."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches

from flower.core.errors import UnknownTask
from flower.core.model import Json, Task
from flower.core.quantities import duration
from flower.core.status import Status

_MOST_DIGITS = 1000


def find_task(flow_id: str, tasks: Sequence[Task], step: str) -> Task:
    """Return the task of *tasks* whose seq is *step*, else the first whose name it is. Raises UnknownTask with near names."""
    seq = _number(step)
    by_seq = (task for task in tasks if str(task.seq) == step or (seq is not None and task.seq == seq))
    by_name = (task for task in tasks if task.name == step)
    found = next(by_seq, None) or next(by_name, None)
    if found is None:
        raise UnknownTask(flow_id, step, get_close_matches(step, [task.name for task in tasks]))
    return found


def failing_of(tasks: Sequence[Task]) -> Task | None:
    """Return the first of *tasks* that went wrong."""
    return next((task for task in tasks if task.is_fault), None)


def stopped(tasks: Sequence[Task]) -> Task | None:
    """Return the task of *tasks* that keeps their flow from its end: the first that went wrong, else the first that waits for a person."""
    return failing_of(tasks) or next((task for task in tasks if task.status == Status.SUSPEND), None)


def reused(task: Json) -> str:
    """Return a task that a plan keeps, as `load (2 min old)`. A row that a hand wrote may not say when it finished."""
    return str(task["name"]) if task["ageSeconds"] is None else f"{task['name']} ({duration(task['ageSeconds'])} old)"


def which_attempt(task: Task) -> str:
    """Return which attempt *task* is at, of how many, as `1 of 3, in all 4` where some count no more."""
    again = f", in all {task.attempt}" if task.attempt != task.tries else ""
    return f"{task.tries} of {task.attempts}{again}"


def commands(task: Task) -> dict[str, str]:
    """Return what a person may type for *task*, which is suspended, by the name of the verb."""
    flow, seq = shlex.quote(task.flow_id), number(task.seq)
    if sending := _sending(task):
        return {
            "signal": sending,
            "retry": f"python -m flower retry {flow} {seq}",
            "complete": f"python -m flower complete {flow} {seq} --result '…' --reason …",
        }
    if task.is_fault:
        return {"rerun": f"python -m flower rerun {flow} --from {seq}", "ignore": f"python -m flower ignore {flow} {seq} --reason …"}
    return {
        "complete": f"python -m flower complete {flow} {seq} --result '…' --reason …",
        "ignore": f"python -m flower ignore {flow} {seq} --reason …",
        "retry": f"python -m flower retry {flow} {seq}",
    }


def _sending(task: Task) -> str | None:
    """Return what sends the signal that did not come in time; None for what has not failed by that."""
    error = task.error
    if not (task.is_fault and isinstance(error, dict) and error.get("type") == "SignalTimeout" and isinstance(error.get("signal"), str)):
        return None
    name, key = shlex.quote(error["signal"]), f"--key {shlex.quote(str(error['key']))} " if error.get("key") else ""
    what = f"{key}--payload '…'"
    return f"python -m flower signal {what} -- {name}" if name.startswith("-") else f"python -m flower signal {name} {what}"


def number(seq: Decimal) -> str:
    """Return *seq* as people write it: `3`, `1.5`."""
    # Not normalize: that would round one of more than 28 digits.
    text = f"{seq:f}" if seq.is_finite() else str(seq)
    return text.rstrip("0").rstrip(".") if "." in text else text


def seq_of(step: str) -> Decimal | None:
    """Return the seq that *step* is, also one that a hand alone could write (NaN); None if it can only be a name."""
    try:
        seq = Decimal(step)
    except InvalidOperation:
        return None
    # A signalling NaN has no place in a numeric column, and of a billion digits there is no row.
    return None if seq.is_snan() or (seq.is_finite() and abs(seq.adjusted()) > _MOST_DIGITS) else seq


def seq_or_name(step: str) -> int | float | str:
    """Return *step* as a number if it is a seq: in JSON a seq is told from a name by its type."""
    seq = _number(step)
    return step if seq is None else int(seq) if seq == int(seq) else float(seq)


def _number(step: str) -> Decimal | None:
    try:
        seq = Decimal(step)
    except InvalidOperation:
        return None
    # A signalling NaN would raise at the first comparison.
    return seq if seq.is_finite() else None
