"""Watches the main loop from another thread: which task blocks it, in which line of user code, and for how long.

Knows nothing of leases. Whatever it finds goes into the log, and into the record of the task.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import Any, TypeAlias

import asyncpg

from flower.core import log
from flower.core.errors import FlowerError
from flower.core.model import Claim
from flower.database.errors import refusal
from flower.database.store.workers import Workers
from flower.sdk.failure import place
from flower.sdk.registry import Registry

_log = log.get()

# So often the loop is asked for a sign. Who blocks it is named after two to three looks, 0.8 to 1.2 s: two seconds are promised, and a
# look on a busy machine may come late.
_LOOK_SECONDS = 0.4
# A user's own trigger may hold the record up, and the beat needs the connection.
_RECORD_SECONDS = 1.0
_MESSAGE = "it blocked the event loop, and every other coroutine of its worker with it; put blocking code into a plain def task"

_Attempt: TypeAlias = "asyncio.Task[Any]"


class Watch:
    """Watches the loop that makes it. *claim_of* says from any thread what runs in an asyncio task, None if it is none of ours."""

    def __init__(self, *, registry: Registry, claim_of: Callable[[_Attempt], Claim | None]) -> None:
        self._registry, self._claim_of = registry, claim_of
        self._main, self._main_thread = asyncio.get_running_loop(), threading.get_ident()
        self._signed_at = monotonic()

    async def run(self, workers: Workers) -> None:
        """Look for ever. Belongs into another thread, whose loop nobody blocks."""
        while True:
            asked_at = monotonic()
            with suppress(RuntimeError):  # the main loop has ended
                self._main.call_soon_threadsafe(self._sign)
            await asyncio.sleep(_LOOK_SECONDS)
            if (signed_at := self._signed_at) < asked_at:
                await self._name_blockers(workers, signed_at)

    def _sign(self) -> None:
        self._signed_at = monotonic()

    async def _name_blockers(self, workers: Workers, since: float) -> None:
        """Name whoever blocks the loop, one after another, until the sign that was asked for comes."""
        seen = self._running()
        named: set[_Attempt | None] = set()
        unwritten: tuple[Claim, str] | None = None
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            if self._signed_at != since:
                break
            # Seen once it may have begun this very moment: it is blamed when it is still there at the next look.
            before, seen = seen, self._running()
            blocker = seen if seen is before else None
            if blocker not in named and (blocker or not named):
                named.add(blocker)
                unwritten = self._say(blocker, monotonic() - since)
            if unwritten and await self._record(workers, *unwritten):
                unwritten = None
        if named:
            _log.info("loop.free", seconds=round(self._signed_at - since, 1))

    def _running(self) -> _Attempt | None:
        return asyncio.current_task(self._main)

    def _say(self, blocker: _Attempt | None, seconds: float) -> tuple[Claim, str] | None:
        claim = self._claim_of(blocker) if blocker else None
        task = self._registry.get(claim.program) if claim else None
        frame = sys._current_frames().get(self._main_thread)  # noqa: SLF001 - the only way to another thread's stack
        where = place(frame, home=task.__module__.partition(".")[0] if task else "")
        which = {"flow": claim.flow_id, "seq": str(claim.seq), "program": claim.program} if claim else {}
        _log.error("loop.blocked", **which, seconds=round(seconds, 1), where=where)
        return (claim, where) if claim else None

    async def _record(self, workers: Workers, claim: Claim, where: str) -> bool:
        """Write it into the task's row. False: try again, somebody has locked it."""
        try:
            async with asyncio.timeout(_RECORD_SECONDS):
                return await workers.notice(claim, kind="LoopBlocked", message=_MESSAGE, where=where)
        except (FlowerError, TimeoutError, asyncpg.PostgresError) as error:
            message = refusal(error) if isinstance(error, asyncpg.PostgresError) else str(error) or "it took too long"
            _log.warning("notice.missed", flow=claim.flow_id, seq=str(claim.seq), message=message)
            return True
