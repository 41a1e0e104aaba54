"""Says in sentences what an operator should know now. Pure: the facts come from the store and from this process."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from flower.core.figures import Count, LiveWorker, Minute, Noticed, OpenCounts, OpenTransaction, Sizes
from flower.core.model import Readiness
from flower.core.schedule import Schedule

# Shorter ones are everyday; from here on dead rows gather that every claim has to pass.
LONG_SNAPSHOT_SECONDS = 60.0
# Twice as long as from beat to beat: a worker that is silent for longer has a reason.
LONG_SILENCE_SECONDS = 6.0


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing that an operator should know. *kind* is one word for programs, *message* a sentence that says what to do."""

    kind: str
    message: str


@dataclass(frozen=True, slots=True)
class Standing:
    """How it goes as a whole. *lag*: for how many seconds the first in line for a slot could have been running, None: nobody is in line."""

    ready: Readiness
    counts: OpenCounts
    lag: float | None
    minutes: Sequence[Minute]
    workers: Sequence[LiveWorker]
    notices: Sequence[Notice]
    sizes: Sizes


def notices(
    ready: Readiness,
    snapshot: OpenTransaction | None,
    workers: Sequence[LiveWorker],
    noticed: Sequence[Noticed],
    waiting: Count,
    stopped: Sequence[Schedule] = (),
    shut: Sequence[str] = (),
) -> tuple[Notice, ...]:
    """Return what is worth knowing, the gravest first; nothing if all is well. *waiting*: how many tasks do. *stopped*: schedules that stopped.

    *shut*: names of limits that have no slot.
    """
    return (*_notices(ready, snapshot, workers, noticed, waiting), *map(of_schedule, stopped), *map(_of_limit, shut))


def of_schedule(stopped: Schedule) -> Notice:
    """Return that a schedule has stopped itself, and what to do about it."""
    return Notice(
        "schedule", f"the schedule {stopped.name} has stopped itself: {stopped.error} (python -m flower schedule unpause lets it try again)"
    )


def _of_limit(name: str) -> Notice:
    return Notice("limit", f"{name} has 0 slots, so nothing that names it may start (python -m flower limit {shlex.quote(name)} 4 gives it some)")


def of_snapshot(snapshot: OpenTransaction | None) -> str | None:
    """Return what *snapshot* does, and what to do about it; None if it is young, or there is none."""
    if snapshot is None or snapshot.seconds <= LONG_SNAPSHOT_SECONDS:
        return None
    whose = f"{snapshot.application or 'a session without application_name'} (pid {snapshot.pid}, role {snapshot.role}, {snapshot.state})"
    return (
        f"{whose} has had a transaction open for {snapshot.seconds:.0f} s: until it ends no dead row can be removed, and everything becomes slower; "
        f"end it, or SELECT pg_terminate_backend({snapshot.pid})"
    )


def _notices(
    ready: Readiness, snapshot: OpenTransaction | None, workers: Sequence[LiveWorker], noticed: Sequence[Noticed], waiting: Count
) -> Iterator[Notice]:
    yield from _of_process(ready)
    if not workers and waiting.value:
        yield Notice("workers", "tasks wait, and no worker is alive: python -m flower serve")
    for worker in workers:
        who = f"the worker {worker.worker_id} (process {worker.pid} on {worker.host})"
        if worker.silent_seconds > LONG_SILENCE_SECONDS:
            yield Notice(
                "silent", f"{who} has been silent for {worker.silent_seconds:.0f} s: if it does not speak soon, its tasks start again elsewhere"
            )
        if worker.leaked:
            yield Notice("leaked", f"on {who} {worker.leaked} attempts go on though they were told to stop: restart it")
    if ready.listener != "ok":
        yield Notice(
            "listener", f"notifications do not reach this process ({ready.listener}): it looks every few seconds instead, and tasks start later"
        )
    for task in noticed:
        yield Notice("task", f"{task.flow_id}/{task.seq} ({task.name}) {_of_task(task)}")
    if (message := of_snapshot(snapshot)) is not None:
        yield Notice("snapshot", message)


def _of_process(ready: Readiness) -> Iterator[Notice]:
    for kind in ("database", "schema", "dispatcher"):
        if (state := getattr(ready, kind)) != "ok":
            yield Notice(kind, state)
    if ready.database == ready.schema == "ok" and ready.pauses != "none":
        yield Notice("pauses", f"{ready.pauses}; what and why: python -m flower pauses")


def _of_task(task: Noticed) -> str:
    # A hand may have written anything there.
    notice = task.notice if isinstance(task.notice, dict) else {}
    return f"runs, and its worker says: {notice.get('message', task.notice)}" + (f" ({notice['where']})" if notice.get("where") else "")
