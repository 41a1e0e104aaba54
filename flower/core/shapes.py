"""How flows, tasks and workflows look in JSON: camelCase, UTC, secrets masked. One function per noun."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from flower.core.limits import Limit
from flower.core.masks import mask
from flower.core.model import Deed, Flow, Given, Incident, Json, LogLine, Order, Page, Registered, Step, Task, Waiting, Workflow
from flower.core.pauses import Pause, Paused, Unpaused
from flower.core.picture import Attempt
from flower.core.revisions import shown_takes
from flower.core.schedule import Backfilled, Schedule
from flower.core.signals import Sent
from flower.core.status import status_word
from flower.core.steps import commands, failing_of

_LARGEST_EXPONENT = 308
_NOTHING = Given(None, None)


def registered(workflow: str, value: Registered) -> Json:
    """Return the answer to an order, in the ancestor's words."""
    return {"status": "succeeded", **_registered(workflow, value)}


def registered_list(orders: Sequence[Order], values: Sequence[Registered]) -> Json:
    """Return the answer to a list of orders, in their order."""
    return {"status": "succeeded", "flows": [_registered(order.workflow, value) for order, value in zip(orders, values, strict=True)]}


def _registered(workflow: str, value: Registered) -> dict[str, Json]:
    said = {"duplicate": value.duplicate or None, "skipped": value.skipped or None, "note": value.note}
    return {"taskId": workflow, "taskFlowId": value.flow_id} | {name: word for name, word in said.items() if word is not None}


def sent(value: Sent) -> Json:
    """Return the answer to a signal."""
    more = {"duplicate": True} if value.duplicate else {"waiting": value.waiting}
    return {"signalId": value.signal_id, "name": value.name, "key": value.key, **more}


def page(found: Page) -> Json:
    """Return a part of the list of flows, and how far back it has looked if it stopped early."""
    searched = {} if found.searched_to is None else {"searchedTo": moment(found.searched_to)}
    return {"items": [flow(item) for item in found.items], "next": found.next, **searched}


def whole(items: Sequence[Json]) -> Json:
    """Return a list that comes in one part, in the form of those that do not."""
    return {"items": list(items), "next": None}


def limit(value: Limit) -> Json:
    """Return a limit and how it stands with it."""
    return {
        "name": value.name,
        "counts": "flows" if value.of_flows else "tasks",
        "slots": value.slots,
        "rate": value.rate,
        "running": value.running,
        "ready": value.ready,
        "waiting": value.waiting,
        "andMore": value.and_more,
        "holders": list(value.holders),
        "nextAt": moment(value.next_at),
    }


def removed_limit(name: str) -> Json:
    """Return that the limit called *name* is removed."""
    return {"name": name, "removed": True}


def flow(value: Flow) -> Json:
    """Return *value* as it stands in lists: of the task that failed only the name."""
    return {
        "flowId": value.flow_id,
        "workflow": value.workflow,
        "status": value.status.word,
        "outcome": value.outcome,
        "stalled": value.stalled,
        "priority": number(value.priority),
        "registeredAt": moment(value.registered_at),
        "finishedAt": moment(value.finished_at),
        "stoppedAt": moment(value.stopped_at),
        "counts": dict(value.counts),
        "failing": None if value.failing is None else {"name": value.failing},
        "revision": value.revision,
        "suspended": value.suspended and {"at": moment(value.suspended.at), "reason": value.suspended.reason},
        "schedule": value.schedule,
        "scheduledFor": moment(value.scheduled_for),
    }


def flow_with_tasks(value: Flow, tasks: Sequence[Task], said: Sequence[LogLine] = (), given: Given = _NOTHING) -> Json:
    """Return *value* with all of it, and what was *given* to it and came of it.

    The task that failed comes first, whole, with the last lines that it *said* and what a person may do.
    """
    failing = failing_of(tasks)
    shown = failing and {**task(failing), "said": [log_line(line) for line in said], "commands": commands(failing)}
    whole = {"parameters": mask(given.parameters), "result": mask(given.result)}
    return {**flow(value), **whole, "failing": shown, "tasks": [task(item) for item in tasks]}


def task(value: Task) -> Json:
    """Return *value* with its parameters, result, error and notice, their secrets masked."""
    return {
        "flowId": value.flow_id,
        "seq": number(value.seq),
        "stepSeq": number(value.step_seq),
        "workflow": value.workflow,
        "name": value.name,
        "program": value.program,
        "status": status_word(value.status),
        "outcome": value.outcome,
        "attempt": value.attempt,
        "tries": value.tries,
        "attempts": value.attempts,
        "crashes": value.crashes,
        "priority": number(value.priority),
        "dependsOn": [number(item) for item in value.depends_on],
        "worker": None if value.worker is None else str(value.worker),
        "parameters": mask(value.parameters),
        "result": mask(value.result),
        "error": mask(value.error),
        "notice": mask(value.notice),
        "progress": mask(value.progress),
        "registeredAt": moment(value.registered_at),
        "startedAt": moment(value.started_at),
        "finishedAt": moment(value.finished_at),
        "suspendedAt": moment(value.suspended_at),
        "runAfter": moment(value.run_after),
        "place": value.place,
    }


def attempt(value: Attempt) -> Json:
    """Return an earlier attempt of a task, its secrets masked."""
    return {
        "attempt": value.number,
        "status": value.status,
        "outcome": value.outcome,
        "startedAt": moment(value.started_at),
        "endedAt": moment(value.ended_at),
        "worker": None if value.worker is None else str(value.worker),
        "result": mask(value.result),
        "error": mask(value.error),
    }


def waiting(value: Waiting) -> Json:
    """Return why one task does not run."""
    return {
        "seq": number(value.seq),
        "name": value.name,
        "gate": None if value.gate is None else value.gate.value,
        "reason": value.reason,
        "reasons": list(value.reasons),
    }


def workflow(value: Workflow) -> Json:
    """Return *value* with its steps, as `PUT /api/workflows/{workflow}` takes it."""
    whole = {
        "workflow": value.workflow,
        "revision": value.revision,
        "parameters": shown_takes(value.takes),
        "result": value.result,
        "timeout": value.timeout,
        "maxFlows": value.max_flows,
        "paused": value.paused and pause(value.paused),
    }
    return {**whole, "steps": [step(item) for item in value.steps]}


def pause(value: Pause) -> Json:
    """Return of what nothing new starts."""
    whole = {"kind": value.kind, "name": value.name, "reason": value.reason}
    return {**whole, "since": moment(value.since), "until": moment(value.until), "by": value.by}


def paused(value: Paused) -> Json:
    """Return what was paused."""
    return pause(value.pause) | ({"hint": value.hint} if value.hint else {})


def unpaused(value: Unpaused) -> Json:
    """Return what goes on."""
    return {"kind": value.kind, "name": value.name, "everythingPaused": value.everything_paused}


def step(value: Step) -> Json:
    """Return one row of a definition. *known*: a live worker has its program."""
    return {
        "seq": number(value.seq),
        "name": value.name,
        "program": value.program,
        "priority": number(value.priority),
        "dependsOn": None if value.depends_on is None else [number(item) for item in value.depends_on],
        "parameters": mask(value.parameters),
        "limits": None if value.limits is None else list(value.limits),
        **(value.options or {}),
        "known": value.known,
        "place": value.place,
    }


def schedule(value: Schedule) -> Json:
    """Return *value*, as `PUT /api/schedules/{name}` takes it, with its next times."""
    zone = value.zone if value.cron is not None else None
    upcoming = value.upcoming()
    is_stopped = value.paused or value.error is not None
    return {
        "schedule": value.name,
        "workflow": value.workflow,
        "cron": value.cron,
        "zone": zone,
        "every": None if value.every is None else value.every.total_seconds(),
        "parameters": mask(value.parameters),
        "priority": value.priority,
        "catchUp": value.catch_up,
        "catchUpMost": value.catch_up_most,
        "overlap": value.overlap,
        "onFailure": value.on_failure,
        "paused": value.paused,
        "reason": value.reason,
        "error": value.error,
        "since": moment(value.since_at),
        "nextAt": None if is_stopped else moment(value.next_at or next(iter(upcoming), None)),
        "lastAt": moment(value.last_at),
        "passedOver": value.passed_at and {"at": moment(value.passed_at), "why": value.passed_why},
        "waiting": value.waiting,
        "inProgress": list(value.in_progress),
        "byCode": value.by_code,
        "upcoming": [upcoming_time(at, value.zone) for at in upcoming],
    }


def backfilled(value: Backfilled) -> Json:
    """Return what became of a range of a schedule's times."""
    said = {"schedule": value.schedule, "times": [moment(at) for at in value.times], "made": value.made, "there": value.there}
    return {**said, "dryRun": True} if value.is_planned else said


def upcoming_time(at: datetime, zone: str) -> Json:
    """Return a time of a schedule, in UTC and on its own clock."""
    return {"at": moment(at), "local": at.astimezone(ZoneInfo(zone)).isoformat()}


def number(value: Decimal) -> int | float | str:
    """Return *value* as JSON has it: whole numbers as such, NaN and what is beyond a double as text."""
    if not value.is_finite() or value.adjusted() > _LARGEST_EXPONENT:
        return str(value)
    return int(value) if value == value.to_integral_value() else float(value)


def moment(value: datetime | None) -> str | None:
    """Return *value* in ISO 8601, UTC, with a Z."""
    return None if value is None else value.astimezone(UTC).isoformat().replace("+00:00", "Z")


def log_lines(lines: Sequence[LogLine], limit: int) -> Json:
    """Return *lines*, of which *limit* were asked for; `next` is what to send as `after` where there may be more."""
    items = [log_line(line) for line in lines]
    return {"items": items, "next": items[-1]["id"] if len(items) == limit else None}


def log_line(line: LogLine) -> Json:
    """Return one line that a task said."""
    return {
        "id": line.id,
        "seq": number(line.seq),
        "attempt": line.attempt,
        "at": moment(line.at),
        "level": line.level,
        "source": line.source,
        "message": line.message,
    }


def incident(value: Incident) -> Json:
    """Return failures that look alike, and one of them."""
    flow_id, seq = value.example
    return {
        "id": value.id,
        "program": value.program,
        "type": value.type,
        "message": mask(value.message),
        "where": value.where,
        "flows": value.flows,
        "tasks": value.tasks,
        "since": moment(value.since),
        "latest": moment(value.latest),
        "flowId": flow_id,
        "seq": number(seq),
    }


def deed(value: Deed) -> Json:
    """Return what somebody did to a flow."""
    return {
        "at": moment(value.at),
        "verb": value.verb,
        "seq": None if value.seq is None else number(value.seq),
        "who": value.who,
        "role": value.role,
        "reason": value.reason,
    }
