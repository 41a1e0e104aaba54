"""One life of a worker: its row in kr_worker, its heartbeat, its listener, its dispatcher.

A worker that was given up for lost does not come back: its process begins another life, under another id.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from uuid import uuid4

import asyncpg

from flower.core import log
from flower.core.errors import ConfigurationError, DatabaseLost
from flower.database.errors import refusal
from flower.database.listener import Listener
from flower.database.pool import Pool
from flower.database.store import Store
from flower.database.store.workers import Worker
from flower.engine.dispatcher import Dispatcher, lanes
from flower.engine.heartbeat import Heartbeat, Lease
from flower.engine.notifier import Notifier
from flower.engine.patience import Patience
from flower.engine.runner import Runner
from flower.engine.schedules import Clockwork
from flower.engine.stopping import Stop
from flower.engine.tally import Tally
from flower.engine.transactions import Transactions
from flower.engine.watch import Watch
from flower.sdk.journal import Journal
from flower.sdk.registry import Registry

_log = log.get()

# How long outcomes may take to be written at the end, beyond the grace of the tasks.
_DRAIN_SECONDS = 5.0
_HURRIED_SECONDS = 1.0
_TELL_SECONDS = 1.0
_WRITE_SECONDS = 0.4
_MOST_LINES = 5_000
_ALL = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Plan:
    """What a worker is to be: where it works, with what, and how much at once. Times are in seconds. *on_failure*: a URL to be told of failures."""

    url: str
    schema: str
    registry: Registry
    slots: int
    lease: Lease
    probe_seconds: float
    grace_seconds: float
    on_failure: str | None = None


class Life:
    """One life of a worker. `state` is `ok` or a sentence."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self.worker_id = uuid4()
        self._pool = Pool(plan.url, role="engine", schema=plan.schema, worker=str(self.worker_id), size=lanes(plan.slots) + 2)
        self._store = Store(self._pool)
        # As many as may run: who waits for a session holds nothing that another needs.
        self._lent = Pool(plan.url, role="task", schema=plan.schema, worker=str(self.worker_id), size=plan.slots, acquire_seconds=30)
        self._journal, self._tally = Journal(), Tally()
        self._runner = Runner(plan.registry, threads=plan.slots, transactions=Transactions(self._lent), journal=self._journal)
        self._dispatcher = Dispatcher(store=self._store, worker=self.worker_id, runner=self._runner, slots=plan.slots, tally=self._tally)
        self._clockwork = Clockwork(self._store.due_schedules)
        self._listener = Listener(
            plan.url, plan.schema, ("flower", "flower_stop", "flower_end", "flower_schedule"), self._heard, worker=str(self.worker_id)
        )
        self._over = asyncio.Event()
        self._lost: str | None = None
        self._enrolled = False

    @property
    def state(self) -> str:
        """Whether tasks are started: `ok`, or why not."""
        if not self._enrolled:
            return "has not begun yet"
        return self._dispatcher.state if self._dispatcher.is_open else "is ending"

    @property
    def hearing(self) -> str:
        """Whether notifications arrive: `ok`, or why not. Without them the probe finds the work, some seconds later."""
        return self._listener.state

    @property
    def leaked(self) -> int:
        """How many attempts still go on though they were told to stop, beyond the slots."""
        return self._dispatcher.leaked

    async def live(self, stop: Stop, begun: Callable[[], None]) -> bool:
        """Work until *stop* is asked, and then end in order: True. False: this worker was given up for lost; begin another life.

        *begun* is called when it is ready to run tasks.
        """
        try:
            if not await self._enroll(stop):
                return True
            async with self._beating(), asyncio.TaskGroup() as group:
                listening = group.create_task(self._listener.run())
                probing = group.create_task(self._probe())
                telling = group.create_task(self._tell())
                writing = group.create_task(self._write_logs())
                scheduling = group.create_task(self._clockwork.run())
                dispatching = group.create_task(self._dispatcher.run())
                notifying = group.create_task(Notifier(self._plan.on_failure, self._store).run()) if self._plan.on_failure else None
                begun()
                await self._until_over(stop)
                scheduling.cancel()
                await self._end(dispatching, stop)
                listening.cancel()
                probing.cancel()
                telling.cancel()
                writing.cancel()
                if notifying is not None:
                    notifying.cancel()
            while await self._write_lines():
                pass
            lost = self._journal.dropped + len(self._journal.take(_ALL))
            if lost:
                _log.warning("logs.lost", lines=lost)
            return self._lost is None
        finally:
            self._runner.close()
            await self._lent.close()
            await self._pool.close()

    async def _enroll(self, stop: Stop) -> bool:
        plan, patience = self._plan, Patience(longest_seconds=5)
        programs = plan.registry.programs()
        worker = Worker(self.worker_id, socket.gethostname(), os.getpid(), _version(), plan.slots, plan.registry.names(), None)
        while not stop.asked.is_set():
            try:
                await self._store.workers.enroll(worker, programs, plan.lease.seconds)
            except DatabaseLost as error:
                _log.warning("worker.waits_for_database", message=str(error))
                await patience.wait()
            else:
                self._enrolled = True
                _log.info("worker.began", worker=str(self.worker_id), slots=plan.slots, programs=len(programs))
                return True
        return False

    @asynccontextmanager
    async def _beating(self) -> AsyncIterator[None]:
        plan = self._plan
        heartbeat = Heartbeat(
            url=plan.url,
            schema=plan.schema,
            worker=self.worker_id,
            lease=plan.lease,
            watch=Watch(registry=plan.registry, claim_of=self._dispatcher.claim_of),
            tally=self._tally,
            on_lost=self._give_up,
        )
        heartbeat.start()
        try:
            yield
        finally:
            await heartbeat.stop()

    def _heard(self, channel: str) -> None:
        match channel:
            case "flower_stop":
                self._dispatcher.ring_stop()
            case "flower_end":
                self._clockwork.ring_end()
            case "flower_schedule":
                self._clockwork.ring()
            case _:
                self._dispatcher.ring()

    def _give_up(self, why: str) -> None:
        _log.error("worker.lost", worker=str(self.worker_id), why=why)
        self._lost = why
        # Somebody else may run these tasks already: stop them at once, also while they have their grace. What they return would be refused.
        self._dispatcher.give_up()
        self._over.set()

    async def _until_over(self, stop: Stop) -> None:
        waiting = [asyncio.create_task(event.wait()) for event in (stop.asked, self._over)]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for one in waiting:
            one.cancel()

    async def _end(self, dispatching: asyncio.Task[None], stop: Stop) -> None:
        await self._dispatcher.stop(0 if self._lost else self._plan.grace_seconds, stop.hurried)
        await asyncio.wait([dispatching], timeout=_HURRIED_SECONDS if stop.hurried.is_set() else _DRAIN_SECONDS)
        if not dispatching.done():
            _log.error("worker.left_outcomes", count=self._dispatcher.unwritten, message="the database is away; these tasks run again")
            dispatching.cancel()
        try:
            await self._store.workers.leave(self.worker_id, self._tally.counted)
            _log.info("worker.ended", worker=str(self.worker_id))
        except (DatabaseLost, ConfigurationError, asyncpg.PostgresError) as error:
            _log.warning("worker.left_its_row", message=refusal(error) if isinstance(error, asyncpg.PostgresError) else str(error))

    async def _tell(self) -> None:
        """Write once a second how far tasks say they are, if they do, and how many do not stop, if that has changed."""
        leaked = 0
        while True:
            await asyncio.sleep(_TELL_SECONDS)
            said, now = self._runner.said(), self.leaked
            if said or now != leaked:
                try:
                    await self._store.workers.progress(said)
                    await self._store.workers.leaked(self.worker_id, now)
                    leaked = now
                except (DatabaseLost, ConfigurationError, asyncpg.PostgresError) as error:
                    _log.debug("progress.lost", message=refusal(error) if isinstance(error, asyncpg.PostgresError) else str(error))

    async def _write_logs(self) -> None:
        """Write several times a second what tasks have said, if they have."""
        while True:
            await asyncio.sleep(_WRITE_SECONDS)
            while await self._write_lines():
                pass

    async def _write_lines(self) -> bool:
        """Write a batch of lines. False: nothing is left, or it could not be written and waits for the next time."""
        lines = self._journal.take(_MOST_LINES)
        if not lines:
            return False
        try:
            await self._store.logs.write(lines)
        except asyncpg.PostgresError as error:
            _log.error("logs.refused", lines=len(lines), message=refusal(error))
        except BaseException as error:
            self._journal.put_back(lines)
            if not isinstance(error, DatabaseLost | ConfigurationError):
                raise
            _log.debug("logs.kept_back", lines=len(lines), message=str(error))
            return False
        return True

    async def _probe(self) -> None:
        """Ask every few seconds whether there is work that no bell announced, and whether the bell is heard at all."""
        while True:
            await asyncio.sleep(self._plan.probe_seconds)
            try:
                is_heard = await self._listener.prove(self._ask, deadline_seconds=min(3.0, self._plan.probe_seconds))
            except asyncpg.PostgresError as error:
                _log.error("probe.failed", message=refusal(error))
                is_heard = False
            if not is_heard:
                self._dispatcher.doubt()  # deaf, or the answer did not come: then this is the poll

    async def _ask(self, nonce: str) -> None:
        answer = await self._store.workers.probe(self.worker_id, nonce)
        self._dispatcher.compare(answer.running)
        self._clockwork.expect(answer.scheduled)
        if answer.work:
            self._dispatcher.ring()


def _version() -> str:
    try:
        return version("flower-workflow")
    except PackageNotFoundError:
        return "0"
