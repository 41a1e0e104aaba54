"""Keeps a worker's lease: in a thread, with a loop and a connection of its own.

Whatever user code does to the main loop, the beat goes on. It says what was recorded so far; sweeping for lost workers and watching the main
loop ride on it.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from uuid import UUID

import asyncpg

from flower.core import log
from flower.core.errors import FlowerError
from flower.core.figures import Counted
from flower.database.errors import refusal
from flower.database.pool import Pool
from flower.database.store.workers import Workers
from flower.engine.tally import Tally
from flower.engine.watch import Watch

_log = log.get()


@dataclass(frozen=True, slots=True)
class Lease:
    """How long a worker may be silent, and how often it speaks, in seconds."""

    seconds: float = 30
    beat_seconds: float = 3

    @property
    def own_seconds(self) -> float:
        """After so long without a beat a worker stops by itself, before others may take over."""
        return self.seconds - min(5, self.seconds / 6)


class Heartbeat:
    """The beat of *worker*, which says what *tally* has counted, with *watch* beside it.

    *on_lost* is called on the main loop, once: the lease was lost, or would end before long unrenewed.
    """

    def __init__(self, *, url: str, schema: str, worker: UUID, lease: Lease, watch: Watch, tally: Tally, on_lost: Callable[[str], None]) -> None:
        self._url, self._schema, self._worker, self._lease = url, schema, worker, lease
        self._main, self._watch, self._tally, self._on_lost = asyncio.get_running_loop(), watch, tally, on_lost
        self._stop_asked = self._is_lost = False
        self._stopped: tuple[asyncio.AbstractEventLoop, asyncio.Event] | None = None
        # The lease counts from now: the row was written a moment ago.
        self._renewed_at = _boot_time()
        self._thread = threading.Thread(target=self._run, name="flower-heartbeat", daemon=True)

    def start(self) -> None:
        """Begin to beat."""
        self._thread.start()

    async def stop(self) -> None:
        """Beat no more. Returns when the connection is closed."""
        self._stop_asked = True
        if self._stopped is not None:
            loop, event = self._stopped
            with suppress(RuntimeError):  # its loop has ended by itself
                loop.call_soon_threadsafe(event.set)
        await asyncio.to_thread(self._thread.join, 5)

    def _run(self) -> None:
        try:
            asyncio.run(self._beat_and_watch())
        except asyncio.CancelledError:
            pass
        except Exception:  # noqa: BLE001 - whatever it is, a worker without a beat must not go on
            # Others take over soon; the next life begins with a new heartbeat.
            _log.exception("heartbeat.failed")
            self._tell("the heartbeat failed")

    async def _beat_and_watch(self) -> None:
        stopped = asyncio.Event()
        self._stopped = asyncio.get_running_loop(), stopped
        pool = Pool(self._url, role="heartbeat", schema=self._schema, worker=str(self._worker), size=1)
        workers = Workers(pool)
        try:
            async with asyncio.TaskGroup() as group:
                duties = [group.create_task(duty) for duty in (self._beat(workers), self._fence(), self._watch.run(workers))]
                if not self._stop_asked:
                    await stopped.wait()
                for duty in duties:
                    duty.cancel()
        finally:
            await pool.close()

    async def _beat(self, workers: Workers) -> None:
        while True:
            sent_at = _boot_time()
            try:
                if not await workers.beat(self._worker, self._lease.seconds, self._tally.counted):
                    self._tell("another worker gave this one up for lost")
                    return
                self._renewed_at = sent_at
                swept = await workers.sweep()
                self._tally.add(Counted(failed=swept.poisoned))
                if swept.lost or swept.taken_back or swept.poisoned:
                    lost = [str(worker) for worker in swept.lost]
                    _log.warning("workers.swept", lost=lost, taken_back=swept.taken_back, poisoned=swept.poisoned)
            except FlowerError as error:
                _log.warning("beat.missed", message=str(error))
            except asyncpg.PostgresError as error:
                # Somebody's trigger, or a right that was taken: without a beat this worker would be given up while it works.
                _log.error("beat.failed", message=refusal(error))
            await asyncio.sleep(self._lease.beat_seconds * random.uniform(0.9, 1))  # noqa: S311 - dice, not secrets

    async def _fence(self) -> None:
        """Tell in time that the lease was not renewed. Apart from the beat: that may be waiting for an answer which never comes."""
        while (left := self._renewed_at + self._lease.own_seconds - _boot_time()) > 0:  # noqa: ASYNC110 - no clock rings
            # Not at once to the end: this sleep, unlike the lease, stands still while the machine does.
            await asyncio.sleep(min(left, self._lease.beat_seconds))
        self._tell("the lease could not be renewed in time")

    def _tell(self, why: str) -> None:
        if self._is_lost:
            return
        self._is_lost = True
        with suppress(RuntimeError):  # the main loop has ended meanwhile
            self._main.call_soon_threadsafe(self._on_lost, why)


def _boot_time() -> float:
    # A monotonic clock stands still while the machine sleeps; the lease does not.
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()
