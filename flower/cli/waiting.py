"""Waits for the end of a flow and shows how it goes: a live line on a terminal, a line per event elsewhere. Changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from time import monotonic
from typing import TYPE_CHECKING, Self

from flower.cli.output import console, say
from flower.cli.show import how_far, print_flow
from flower.cli.times import in_local_time
from flower.core.errors import DatabaseLost
from flower.core.escape import escape
from flower.core.model import Flow, LogLine, Task
from flower.core.quantities import between
from flower.core.status import Gate, Status, status_word
from flower.core.steps import number

if TYPE_CHECKING:
    from flower.cli.surroundings import Place
    from flower.database.store import Store

_LOOK_SECONDS = 0.25
# A flow of many thousand tasks takes long to read: most of the time must be left to those who run it.
_REST_PER_LOOK = 4
_MOST_NAMES = 4
_CHANNEL = "flower_end"
_MARKS = {Status.FINISH: "✓", Status.SUSPEND: "✗", Status.IGNORE: "-"}
_NO_WORKER = "no worker is alive: nothing runs the tasks until one is started, elsewhere, with: python -m flower serve (we wait)"

DONE, FAULT, PERSON = 0, 1, 3


async def wait_for_end(found: Place, store: Store, flow_id: str, *, as_json: bool) -> int:
    """Return the exit status for the flow once nothing in it goes on by itself, having shown its progress on stderr and its end on stdout."""
    try:
        flow, tasks, said = await follow(found, store, flow_id)
    except asyncio.CancelledError:
        say(f"\nWe wait no longer; the flow goes on: python -m flower show {flow_id}")
        raise
    print_flow(flow, tasks, said, given=await store.flows.given(flow_id), as_json=as_json)
    return exit_status(flow, tasks)


def exit_status(flow: Flow, tasks: Sequence[Task]) -> int:
    """Return 0 if *flow* finished, 1 if a task went wrong or the flow was cancelled, 3 if all that is left waits for a person."""
    if any(task.is_fault for task in tasks) or flow.status is Status.IGNORE:
        return FAULT
    return DONE if flow.status is Status.FINISH else PERSON


async def follow(found: Place, store: Store, flow_id: str) -> tuple[Flow, tuple[Task, ...], tuple[LogLine, ...]]:
    """Show how the flow goes, and return it with its tasks, and what the failing one said last, once nothing in it goes on by itself."""
    with _Progress() as progress:
        while True:
            try:
                async with _ringing(found) as ended, store.flows.awaited(flow_id):
                    flow, tasks = await _look_until_over(store, flow_id, ended, progress)
                return flow, tasks, await store.logs.before_failure(tasks)
            except DatabaseLost as error:
                progress.tell(f"{error}; we wait for it")
                await asyncio.sleep(_LOOK_SECONDS * _REST_PER_LOOK)


@asynccontextmanager
async def _ringing(found: Place) -> AsyncIterator[asyncio.Event]:
    """Give a bell that rings when the engine says that some awaited flow has ended."""
    from flower.database.pool import connect

    ended = asyncio.Event()
    connection = await connect(found.url, role="listener", schema=found.settings.schema_name)
    try:
        await connection.add_listener(_CHANNEL, lambda *_: ended.set())
        yield ended
    finally:
        connection.terminate()


async def _look_until_over(store: Store, flow_id: str, ended: asyncio.Event, progress: _Progress) -> tuple[Flow, tuple[Task, ...]]:
    seen: dict[str, int] | None = None
    tasks: tuple[Task, ...] = ()
    while True:
        began = monotonic()
        ended.clear()
        flow = await store.flows.get(flow_id)
        if flow.counts != seen or flow.is_over:
            tasks, seen = await store.flows.tasks(flow_id), flow.counts
        progress.show(flow, tasks)
        if flow.is_over:
            return flow, tasks
        if flow.status is Status.WAIT:
            progress.tell_if_it_lasts(await _what_holds_it(store, flow_id))
        rest = max(_LOOK_SECONDS, _REST_PER_LOOK * (monotonic() - began))
        try:
            await asyncio.wait_for(ended.wait(), rest)
        except TimeoutError:
            continue


async def _what_holds_it(store: Store, flow_id: str) -> str | None:
    if not await store.workers.alive():
        return _NO_WORKER
    holds = (item for item in await store.flows.why(flow_id) if item.gate is not Gate.DEPENDENCIES)
    return next((f"{item.name}: {in_local_time(item.reason)}" for item in holds), None)


class _Progress:
    """Says on stderr which tasks ended and, on a terminal, in one live line what runs."""

    def __init__(self) -> None:
        self._console = console(on_stderr=True)
        self._live = self._console.status("") if self._console.is_terminal else None
        self._shown: dict[Decimal, tuple[Decimal, int]] = {}
        self._told: set[str] = set()
        self._last_reason: str | None = None

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, flow: Flow, tasks: Sequence[Task]) -> None:
        """Print what happened since the last look."""
        for task in tasks:
            state = (task.status, task.attempt)
            if self._shown.get(task.seq) != state and (task.status in _MARKS or (task.status == Status.RUNNING and self._live is None)):
                self._console.print(_line(task))
            self._shown[task.seq] = state
        if self._live is not None:
            self._live.update(_summary(flow, tasks))

    def tell(self, text: str) -> None:
        """Print *text*, once."""
        if text not in self._told:
            self._told.add(text)
            self._console.print(escape(text))

    def tell_if_it_lasts(self, reason: str | None) -> None:
        """Print *reason* if the last look met it too: what has just become claimable is not held by anything."""
        if reason is not None and reason == self._last_reason:
            self.tell(reason)
        self._last_reason = reason


def _line(task: Task) -> str:
    end = task.finished_at or task.suspended_at
    took = between(task.started_at, end) if task.status != Status.RUNNING else ""
    words = [status_word(task.status), task.outcome or "", f"after {took}" if took else ""]
    mark = next((mark for status, mark in _MARKS.items() if task.status == status), "·")
    return escape(f"{mark} {number(task.seq)} {task.name}: {' '.join(filter(None, words))}")


def _summary(flow: Flow, tasks: Sequence[Task]) -> str:
    done = sum(task.status in {Status.FINISH, Status.IGNORE} for task in tasks)
    running = [f"{task.name} {how_far(task)}".rstrip() for task in tasks if task.status == Status.RUNNING]
    names = ", ".join(running[:_MOST_NAMES]) + (f" and {len(running) - _MOST_NAMES} more" if len(running) > _MOST_NAMES else "")
    return escape(f"{flow.workflow}  {done}/{len(tasks)} done, " + (f"running: {names}" if running else flow.status.word))
