"""Wiring: one process with its HTTP interface and its worker, stopped in the order of the data."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from aiohttp import web

from flower.client import STARTER
from flower.core import log
from flower.core.definition import LEFT_ALONE, OVERWRITTEN
from flower.core.errors import DatabaseLost, EngineCancelled, FlowerError
from flower.core.model import Readiness
from flower.core.pauses import summary
from flower.core.schedule import LEFT_ALONE as SCHEDULE_LEFT_ALONE
from flower.core.settings import Settings
from flower.database import embedded
from flower.database.migrate import migrate, schema_state
from flower.database.pool import Pool
from flower.database.store import Store
from flower.engine.heartbeat import Lease
from flower.engine.patience import Patience
from flower.engine.runner import contained
from flower.engine.stopping import Stop
from flower.engine.worker import Life, Plan
from flower.programs import http as http_program
from flower.sdk.journal import overhearing
from flower.sdk.registry import REGISTRY, Registry
from flower.sdk.workflow import Workflow
from flower.web import create_app, create_runner

_log = log.get()
_UNSEEN = "cannot be seen without the database"


async def serve(settings: Settings, *, url: str, folder: Path | None = None, http: bool, announce: Callable[[str], None]) -> None:
    """Serve until SIGTERM or Ctrl-C, then end in order. At a second signal running tasks get no time to end.

    Tasks may go on though they were told to end: their threads and coroutines must not keep the process.
    *url*: the database. *folder*: the `.flower/` that it lives in, None if it is not ours.
    *announce* is called once, when tasks are run, with the base URL of the HTTP interface (empty without one).
    Raises ConfigurationError where waiting would not help.
    """
    stop = Stop()
    is_full = partial(embedded.is_full, folder) if folder else lambda: False
    try:
        async with _hosting(settings, url):
            with _signals(stop):
                async with Pool(url, role="api", schema=settings.schema_name, is_full=is_full) as pool:
                    process = _Process(settings, pool, REGISTRY)
                    async with _http(settings, pool, process) if http else _no_http() as base:
                        await process.work(stop, lambda: announce(base))
    except asyncio.CancelledError:
        raise EngineCancelled from None


@asynccontextmanager
async def working(settings: Settings, *, url: str, registry: Registry = REGISTRY) -> AsyncIterator[None]:
    """Run the tasks of *registry* while inside, in this process and without an HTTP interface; its workflows go over whatever is written there."""
    stop, begun = Stop(), asyncio.Event()
    async with _hosting(settings, url), Pool(url, role="api", schema=settings.schema_name) as pool:
        work = asyncio.create_task(_Process(settings, pool, registry, forced=True).work(stop, begun.set))
        waiting = asyncio.create_task(begun.wait())
        try:
            await asyncio.wait((work, waiting), return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                work.result()  # why it cannot work
            yield
        finally:
            waiting.cancel()
            stop.ask()
            await asyncio.wait((work,))
            work.result()


@asynccontextmanager
async def _hosting(settings: Settings, url: str) -> AsyncIterator[None]:
    """Make this process and its loop ready for user code, which may start flows on the database at *url*."""
    loop = asyncio.get_running_loop()
    factory = loop.get_task_factory()
    http_program.configure(settings.http_allow, is_local=settings.is_local)
    loop.set_task_factory(contained)  # type: ignore[arg-type]  # typeshed wants a generator, too
    try:
        with STARTER.using(url, settings.schema_name), overhearing():
            yield
    finally:
        await http_program.close()
        loop.set_task_factory(factory)


@contextmanager
def _signals(stop: Stop) -> Iterator[None]:
    """Signals ask *stop*; the third ends the process as if nobody had been listening."""
    loop = asyncio.get_running_loop()

    def end(number: signal.Signals) -> None:
        if stop.ask():
            _log.info("serve.ends", signal=number.name, at_once=stop.hurried.is_set())
        else:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, end, number)
    try:
        yield
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


class _Process:
    """What this process is at: migrating, living as a worker, or ending."""

    def __init__(self, settings: Settings, pool: Pool, registry: Registry, *, forced: bool = False) -> None:
        self._settings, self._pool, self._registry, self._forced = settings, pool, registry, forced
        self._life: Life | None = None

    async def work(self, stop: Stop, begun: Callable[[], None]) -> None:
        if not await self._prepare(stop):
            return
        await self._define()
        settings = self._settings
        plan = Plan(
            url=self._pool.url,
            schema=settings.schema_name,
            registry=self._registry,
            slots=settings.concurrency,
            lease=Lease(settings.lease, settings.beat),
            probe_seconds=settings.probe,
            grace_seconds=settings.grace,
            on_failure=settings.on_failure,
        )
        self._life = Life(plan)
        while not await self._life.live(stop, begun):
            self._life, begun = Life(plan), _said_already

    async def ready(self) -> Readiness:
        """Look at all that must be well for tasks to run."""
        dispatcher, listener = (self._life.state, self._life.hearing) if self._life else ("has not begun yet", "has not begun yet")
        try:
            async with self._pool.acquire() as connection:
                state = await schema_state(connection, self._settings.schema_name)
            pauses = summary(await Store(self._pool).pauses.counts()) if state == "current" else "cannot be seen in this schema"
        except FlowerError as error:
            return Readiness(str(error), _UNSEEN, dispatcher, listener, _UNSEEN)
        return Readiness("ok", "ok" if state == "current" else f"the schema is {state}", dispatcher, listener, pauses)

    async def _prepare(self, stop: Stop) -> bool:
        """Bring the schema up to date as soon as the database answers. False: stopped before, at once, whatever was waited for."""
        migrating, asked = asyncio.create_task(self._migrate()), asyncio.create_task(stop.asked.wait())
        try:
            await asyncio.wait((migrating, asked), return_when=asyncio.FIRST_COMPLETED)
        finally:
            asked.cancel()
            migrating.cancel()
        await asyncio.wait((migrating,))
        if migrating.cancelled():
            return False
        migrating.result()
        return True

    async def _migrate(self) -> None:
        patience = Patience(longest_seconds=5)
        while True:
            try:
                applied = await migrate(self._pool.url, self._settings.schema_name)
            except DatabaseLost as error:
                _log.warning("database.unreachable", message=str(error))
                await patience.wait()
            else:
                if applied:
                    _log.info("schema.migrated", applied=applied)
                return

    async def _define(self) -> None:
        """Write the workflows of our modules, where nobody has written newer ones."""
        workflows = Store(self._pool).workflows
        for workflow in self._registry.workflows():
            became = await workflows.define(workflow.definition, origin=workflow.place, code=True)
            if became in LEFT_ALONE and self._forced:
                _log.warning("workflow.overwritten", workflow=workflow.name, reason=OVERWRITTEN[became])
                became = await workflows.define(workflow.definition, origin=workflow.place, code=True, forced=True)
            if became == "written":
                _log.info("workflow.written", workflow=workflow.name, steps=len(workflow.definition.steps))
            elif became != "current":
                _log.warning("workflow.left_alone", workflow=workflow.name, reason=LEFT_ALONE[became])
            if became not in LEFT_ALONE and not self._forced:  # `run` and tests start what they are told to start
                await self._declare(workflow)

    async def _declare(self, workflow: Workflow[..., Any]) -> None:
        """Write the schedule of a workflow whose definition is ours."""
        became = await Store(self._pool).schedules.declare(workflow.name, workflow.schedule)
        if became == "written":
            _log.info("schedule.written", schedule=workflow.name)
        elif became == "removed":
            _log.info("schedule.removed", schedule=workflow.name)
        elif became == "edited":
            _log.warning("schedule.left_alone", schedule=workflow.name, reason=SCHEDULE_LEFT_ALONE)


def _said_already() -> None:
    """Announce nothing: a second life of the worker is no news to the user."""


@asynccontextmanager
async def _http(settings: Settings, pool: Pool, process: _Process) -> AsyncIterator[str]:
    app = create_app(store=Store(pool), ready=process.ready, token=settings.token, allowed_hosts=settings.allowed_host, is_local=settings.is_local)
    runner = create_runner(app, shutdown_seconds=2)
    await runner.setup()
    try:
        # While strangers knock in hundreds, the system would have others wait a second or three for their next attempt.
        site = web.TCPSite(runner, settings.host, settings.port, backlog=1024)
        await site.start()
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        yield f"http://{host}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def _no_http() -> AsyncIterator[str]:
    yield ""
