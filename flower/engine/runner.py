"""Runs one attempt of a task and says how it went. Knows nothing of the database."""

from __future__ import annotations

import asyncio
import bdb
import inspect
import sys
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any
from uuid import UUID

from flower.core.errors import DatabaseLost
from flower.core.model import Claim, Outcome
from flower.core.status import Status
from flower.engine import endings
from flower.engine.endings import Reason
from flower.sdk.context import CURRENT, Context, OwnTransaction, Said, Transactions
from flower.sdk.journal import Journal
from flower.sdk.registry import Registry
from flower.sdk.results import encode_result
from flower.sdk.task import Task

_MOST_STRAY_THREADS = 1_000
_DEBUGGERS = frozenset({"pydevd", "debugpy"})


def _let_be(_claim: Claim) -> None:
    """Have an attempt take as long as it will."""


class Runner:
    """Runs tasks of *registry*: coroutines where it is called, plain functions in up to *threads* threads of its own.

    *transactions*: in which they may write data of their own. *journal*: what keeps the lines that they say.
    """

    def __init__(self, registry: Registry, *, threads: int, transactions: Transactions | None = None, journal: Journal | None = None) -> None:
        self._registry, self._transactions, self._journal = registry, transactions, journal
        self._most_threads = threads
        self._said: Said = {}
        self._threads: ThreadPoolExecutor | None = None
        self._running: dict[UUID, asyncio.Task[Any] | None] = {}
        self._asked: dict[UUID, Reason] = {}
        self._is_closed = False

    async def run(self, claim: Claim, on_overdue: Callable[[Claim], None] = _let_be) -> Outcome:
        """Run *claim* once. Whatever user code does, SystemExit included, comes back as an outcome.

        A program that this process lacks, and a task that did not finish after `cancel`, come back as WAIT, unharmed. *on_overdue* is called
        when the attempt has taken as long as it may; what `cancel` with Reason.TIMEOUT then ends is a failure.
        The engine stops a task by `cancel` only: any other cancellation is taken for one by user code, and is a failure. Raises nothing.
        """
        task = self._registry.get(claim.program)
        if task is None or self._is_closed:
            return endings.unharmed(claim)
        claim_id = claim.claim_id
        self._running[claim_id] = asyncio.current_task()
        here = Context(claim, self._transactions, self._said, None if self._journal is None else self._journal.voice(claim))
        try:
            CURRENT.set(here)
            value = await self._value(task, claim, on_overdue)
            if here.own is not None:
                return await _committed(here.own, claim, value)
            return Outcome(claim, Status.FINISH, None, value)
        except BaseException as error:  # noqa: BLE001 - SystemExit in user code may not end the process
            if here.own is not None:
                await here.own.abandon()
                if isinstance(error, DatabaseLost):
                    return endings.unharmed(claim)
            return endings.of(claim, task, error, asked=self._asked.get(claim_id))
        finally:
            CURRENT.set(None)
            if here.voice is not None:
                here.voice.close()
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

    def cut_short(self, claim: Claim, reason: Reason) -> Outcome:
        """Return how an attempt ends that did not stop though it was asked to, for *reason*."""
        task = self._registry.get(claim.program)
        return endings.unharmed(claim) if task is None else endings.of(claim, task, asyncio.CancelledError(), asked=reason)

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

    async def _value(self, task: Task[..., Any, Any], claim: Claim, on_overdue: Callable[[Claim], None]) -> str:
        policy, values = endings.policy_of(task, claim), endings.arguments_of(task, claim)
        if policy.timeout is None:
            return encode_result(task, await self._call(task, values))
        deadline = asyncio.get_running_loop().call_later(policy.timeout, _unless_debugged, on_overdue, claim)
        try:
            returned = await self._call(task, values)
        finally:
            deadline.cancel()
        if self._asked.get(claim.claim_id) is Reason.TIMEOUT:
            raise asyncio.CancelledError  # it was told to stop, and went on to its end
        return encode_result(task, returned)

    async def _call(self, task: Task[..., Any, Any], values: dict[str, Any]) -> Any:
        if task.is_async:
            return await task.fn(**values)
        raised, value = await self._in_thread(task.fn, values)
        if raised is not None:
            raise raised
        # A def around an async def (a partial, a plain decorator) hands out its coroutine: it belongs on the loop.
        return await value if inspect.iscoroutine(value) else value

    async def _in_thread(self, fn: Callable[..., Any], arguments: dict[str, Any]) -> tuple[BaseException | None, Any]:
        if self._threads is None:
            # Far more than slots: a thread that does not end when its task is over keeps no other from its turn.
            self._threads = ThreadPoolExecutor(self._most_threads + _MOST_STRAY_THREADS, thread_name_prefix="flower-task")
        call = self._threads.submit(copy_context().run, _call, fn, arguments)
        return await asyncio.wrap_future(call)


def _unless_debugged(on_overdue: Callable[[Claim], None], claim: Claim) -> None:
    """Let nobody's time run out who is looked at with a debugger."""
    tracer = getattr(sys.gettrace(), "__self__", None)
    if not isinstance(tracer, bdb.Bdb) and not _DEBUGGERS & sys.modules.keys():
        on_overdue(claim)


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
        return endings.unharmed(claim)
    return Outcome(claim, Status.FINISH, None, value, is_written=is_written)


def _call(fn: Callable[..., Any], arguments: dict[str, Any]) -> tuple[BaseException | None, Any]:
    # Returned, not raised: a future takes no StopIteration, and SystemExit would end the loop.
    try:
        return None, fn(**arguments)
    except BaseException as error:  # noqa: BLE001 - as above
        return error, None
