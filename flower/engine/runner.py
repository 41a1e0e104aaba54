"""Runs one attempt of a task and says how it went. Knows nothing of the database."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from enum import StrEnum
from typing import Any
from uuid import UUID

from flower.core.errors import DatabaseLost, InvalidParameters, ResultNotJson, SourceIgnored
from flower.core.model import Claim, Failure, Outcome
from flower.core.status import Status, Why
from flower.sdk.context import CURRENT, Context, OwnTransaction, Said, Transactions
from flower.sdk.failure import describe, failure_text
from flower.sdk.inputs import arguments
from flower.sdk.registry import Registry
from flower.sdk.results import encode_result
from flower.sdk.task import Task


class Reason(StrEnum):
    """Why the engine asks a running task to stop."""

    SHUTDOWN = "shutdown"
    TAKEN_AWAY = "taken_away"
    LEASE_LOST = "lease_lost"


class Runner:
    """Runs tasks of *registry*: coroutines where it is called, plain functions in up to *threads* threads of its own.

    *transactions*: in which they may write data of their own.
    """

    def __init__(self, registry: Registry, *, threads: int, transactions: Transactions | None = None) -> None:
        self._registry, self._transactions = registry, transactions
        self._most_threads = threads
        self._said: Said = {}
        self._threads: ThreadPoolExecutor | None = None
        self._running: dict[UUID, asyncio.Task[Any] | None] = {}
        self._asked: dict[UUID, Reason] = {}
        self._is_closed = False

    async def run(self, claim: Claim) -> Outcome:
        """Run *claim* once. Whatever user code does, SystemExit included, comes back as an outcome.

        A program that this process lacks, and a task that did not finish after `cancel`, come back as WAIT, unharmed.
        The engine stops a task by `cancel` only: any other cancellation is taken for one by user code, and is a failure. Raises nothing.
        """
        task = self._registry.get(claim.program)
        if task is None or self._is_closed:
            return Outcome(claim, Status.WAIT, unharmed=True)
        claim_id = claim.claim_id
        self._running[claim_id] = asyncio.current_task()
        here = Context(claim, self._transactions, self._said)
        try:
            CURRENT.set(here)
            value = await self._value(task, claim)
            if here.own is not None:
                return await _committed(here.own, claim, value)
            return Outcome(claim, Status.FINISH, None, value)
        except BaseException as error:  # noqa: BLE001 - SystemExit in user code may not end the process
            if here.own is not None:
                await here.own.abandon()
            if claim_id in self._asked or (here.own is not None and isinstance(error, DatabaseLost)):
                return Outcome(claim, Status.WAIT, unharmed=True)
            return _ended_badly(claim, task, error)
        finally:
            CURRENT.set(None)
            self._running.pop(claim_id, None)
            if self._asked:
                self._asked.pop(claim_id, None)

    def cancel(self, claim_id: UUID, reason: Reason) -> bool:
        """Ask the task that runs under *claim_id* to stop, for *reason*. False: it has not begun, or has ended.

        Its coroutine gets CancelledError at its next await, once however often it is asked (a second one would cut its cleaning up
        short), and may finish nevertheless. A thread cannot be stopped: its `run`
        returns at once, and the thread goes on.
        """
        running = self._running.get(claim_id)
        if running is None:
            return False
        if claim_id in self._asked:
            return True
        self._asked[claim_id] = reason
        running.cancel(reason)
        return True

    def said(self) -> Said:
        """Return how far attempts have said that they are, since the last call."""
        # One at a time: a thread may add to it meanwhile.
        return {claim_id: self._said.pop(claim_id) for claim_id in list(self._said)}

    @property
    def running(self) -> tuple[UUID, ...]:
        """The claims that are in `run` at this moment."""
        return tuple(self._running)

    def close(self) -> None:
        """Start nothing more: `run` hands every claim back unharmed, and calls that wait for a thread are dropped. Does not wait."""
        self._is_closed = True
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)

    async def _value(self, task: Task[..., Any, Any], claim: Claim) -> str:
        try:
            values = arguments(task, claim.parameters, claim.open)
        except (InvalidParameters, SourceIgnored) as error:
            raise _Refused(error) from None
        if task.is_async:
            return encode_result(task, await task.fn(**values))
        raised, value = await self._in_thread(task.fn, values)
        if raised is not None:
            raise raised
        # A def around an async def (a partial, a plain decorator) hands out its coroutine: it belongs on the loop.
        return encode_result(task, await value if inspect.iscoroutine(value) else value)

    async def _in_thread(self, fn: Callable[..., Any], arguments: dict[str, Any]) -> tuple[BaseException | None, Any]:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(self._most_threads, thread_name_prefix="flower-task")
        call = self._threads.submit(copy_context().run, _call, fn, arguments)
        return await asyncio.wrap_future(call)


def contained(loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Any], **settings: Any) -> asyncio.Task[Any]:
    """Make the tasks of *loop* (see `set_task_factory`). In those that user code starts, SystemExit and KeyboardInterrupt become a RuntimeError.

    asyncio ends the loop for them, and with it the process and all that runs beside.
    """
    return asyncio.Task(coroutine if CURRENT.get() is None else _contain(coroutine), loop=loop, **settings)


async def _contain(coroutine: Coroutine[Any, Any, Any]) -> Any:
    try:
        return await coroutine
    except (SystemExit, KeyboardInterrupt) as error:
        raise RuntimeError(f"an asyncio task of this task raised {type(error).__name__}: {error}") from error


async def _committed(own: OwnTransaction, claim: Claim, value: str) -> Outcome:
    """Commit what the task has written, with its outcome. Where that is in doubt the task goes back: if it was committed, that is refused."""
    try:
        is_written = await own.finish(value)
    except DatabaseLost:
        return Outcome(claim, Status.WAIT, unharmed=True)
    return Outcome(claim, Status.FINISH, None, value, is_written=is_written)


class _Refused(BaseException):
    """Carries what is wrong with the parameters past everything that user code could raise."""

    def __init__(self, error: InvalidParameters | SourceIgnored) -> None:
        super().__init__(error)
        self.error = error


def _call(fn: Callable[..., Any], arguments: dict[str, Any]) -> tuple[BaseException | None, Any]:
    # Returned, not raised: a future takes no StopIteration, and SystemExit would end the loop.
    try:
        return None, fn(**arguments)
    except BaseException as error:  # noqa: BLE001 - as above
        return error, None


def _ended_badly(claim: Claim, task: Task[..., Any, Any], error: BaseException) -> Outcome:
    if type(error) is _Refused and isinstance(error.error, SourceIgnored):
        failure = Failure("SourceIgnored", str(error.error), claim.program)
        return Outcome(claim, Status.IGNORE, Why.SKIPPED, failure_text(failure))
    if type(error) is _Refused:
        failure = Failure("InvalidParameters", str(error.error), claim.program)
        return Outcome(claim, Status.SUSPEND, Why.INVALID, failure_text(failure))
    if type(error) is ResultNotJson:
        failure = Failure("ResultNotJson", str(error), claim.program, f"{task.place} in {task.name}")
        return Outcome(claim, Status.SUSPEND, Why.FAILED, failure_text(failure))
    # Python turns a StopIteration that leaves a coroutine into this; the user raised the inner one.
    cause = error.__cause__
    if type(error) is RuntimeError and isinstance(cause, StopIteration | StopAsyncIteration):
        error = cause
    failure = describe(error, program=claim.program, home=task.__module__.partition(".")[0])
    return Outcome(claim, Status.SUSPEND, Why.FAILED, failure_text(failure))
