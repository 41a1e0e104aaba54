"""Puts into words why a task does not run. Pure: the facts come from the view flower_why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from difflib import get_close_matches

from flower.core.errors import did_you_mean
from flower.core.model import Json
from flower.core.pauses import sentence
from flower.core.status import Gate, Status

# A task that was running when so many workers were lost runs alone of its kind on a worker.
SUSPECT_AFTER = 2


@dataclass(frozen=True, slots=True)
class Standing:
    """What the database knows of a task that does not run. *reasons*: facts, in the order of the gates, as the view flower_why has them."""

    seq: Decimal
    name: str
    status: Decimal
    outcome: str | None
    program: str | None
    gate: Gate | None
    crashes: int
    priority: Decimal
    tries: int
    reasons: Sequence[Json]


def sentences(task: Standing, workers: int, programs: Sequence[str]) -> tuple[str, ...]:
    """Return every reason why *task* does not run, that of the gate where it stands first. *workers* are alive, and have these *programs*."""
    if task.status == Status.SUSPEND:
        return (f"is suspended{f' ({task.outcome})' if task.outcome else ''}: retry, ignore or complete it",)
    if task.status != Status.WAIT:
        return (f"its exec_status is {task.status}, which means nothing to Flower: it stands still until somebody writes 0, 3 or 9",)
    told = [_sentence(fact, task, workers, programs) for fact in task.reasons]
    if told:
        return tuple(told)
    if task.gate is None:
        return ("was written just now: a worker looks at it in a moment",)
    if task.crashes >= SUSPECT_AFTER:
        return (f"{task.crashes} workers were lost while they ran it, so it waits until a worker holds no other such task",)
    return ("nothing: it starts as soon as a worker looks",)


def _sentence(fact: Json, task: Standing, workers: int, programs: Sequence[str]) -> str:
    match fact["gate"]:
        case Gate.DEPENDENCIES:
            return _dependency(fact)
        case Gate.TIME:
            again = f" for its next attempt, after {task.tries} that failed ({fact['error']})" if fact["error"] else ""
            return f"waits until {fact['until']}{again}"
        case Gate.PAUSE:
            return sentence(fact["of"], fact["name"], fact["reason"], fact["by"], fact["since"], fact["until"])
        case Gate.SIGNAL:
            return _signal(fact)
        case Gate.PROGRAM:
            return _program(task.program, workers, programs)
        case Gate.LIMIT:
            return _flow_limit(fact) if "flows" in fact else _limit(fact)
    return _slot(fact, task)


def _dependency(fact: Json) -> str:
    if fact["status"] is None:
        return f"waits for task {fact['seq']}, which does not exist: insert it, or delete its edge in kr_task_edge"
    parent = f"task {fact['seq']} ({fact['name']})"
    if fact["status"] == Status.SUSPEND.word:
        return f"waits for {parent}, which is suspended" + (f" ({fact['outcome']})" if fact["outcome"] else "")
    if fact["status"] == Status.RUNNING.word:
        return f"waits for {parent}, which is running since {fact['since']}"
    return f"waits for {parent}, which is in status {fact['status']}"


def _signal(fact: Json) -> str:
    key = f" with key {fact['key']!r}" if fact["key"] else ""
    until = f", until {fact['until']}" if fact["until"] else ""
    return f"waits for the signal {fact['signal']!r}{key} since {fact['since']}{until}"


def _program(program: str | None, workers: int, programs: Sequence[str]) -> str:
    if not workers:
        return "no worker is running: start one with `python -m flower serve`"
    near = get_close_matches(program or "", programs, n=2)
    return f"no running worker has the program {program!r}" + did_you_mean(near)


def _limit(fact: Json) -> str:
    if "until" in fact:
        return f"the limit {fact['limit']!r} lets the next one start at {fact['until']}, by its rate"
    if fact["slots"] == 0:
        return f"the limit {fact['limit']!r} is set to 0: nothing that names it starts"
    return f"the limit {fact['limit']!r} ({fact['slots']} at once) is full; inside: {', '.join(fact['holders']) or 'nobody'}"


def _flow_limit(fact: Json) -> str:
    inside = ", ".join(fact["flows"])
    if fact["unique"] is not None:
        return f"the unique key {fact['unique']!r} lets one flow at a time: " + (f"waits for {inside}" if inside else "it is let in in a moment")
    slots = "1 flow" if fact["slots"] == 1 else f"{fact['slots']} flows"
    return f"the limit {fact['limit']!r} ({slots} at once) is full; inside: {inside or 'nobody'}"


def _slot(fact: Json, task: Standing) -> str:
    place = f"place in line {fact['before'] + 1}" if fact["before"] < 1000 else "place in line beyond 1,000"  # noqa: PLR2004 - as far as it was counted
    passed = f", passed by {fact['urgent']} of higher priority" if fact["urgent"] else ""
    many = "worker" if fact["workers"] == 1 else "workers"
    full = f"no slot is free ({fact['running']} of {fact['slots']} on {fact['workers']} {many})"
    return f"{full}; {place}{passed} (priority {task.priority}; one point is worth four hours of waiting)"
