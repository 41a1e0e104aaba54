"""Starts flows from Python code, waits for them, and sends signals: over connections of its own, or, in the caller's transaction, over his."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from flower import lent
from flower.core.errors import ConfigurationError, FlowFailed, UnknownFlow
from flower.core.model import Flow, Json, Order, Registered
from flower.core.settings import read_settings
from flower.core.signals import Signal
from flower.core.status import Status
from flower.core.steps import stopped
from flower.database.listener import Listener
from flower.database.pool import Pool
from flower.database.store import Store

T = TypeVar("T")

# A bell may be lost with its connection: then this is how late the end of a flow is noticed.
_LOOK_AGAIN_SECONDS = 5.0
_CHANNEL = "flower_end"


class _Session:
    """The connections to the database of one event loop."""

    def __init__(self, url: str, schema: str) -> None:
        self.database = url, schema
        self._pool = Pool(url, role="api", schema=schema)
        self.store = Store(self._pool)
        self._bells: set[asyncio.Event] = set()
        self._listening: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def bell(self) -> AsyncIterator[asyncio.Event]:
        """Lend an event that is set whenever some awaited flow has ended."""
        bell = asyncio.Event()
        self._bells.add(bell)
        if self._listening is None:
            self._listening = asyncio.create_task(Listener(*self.database, (_CHANNEL,), self._ring).run())
        try:
            yield bell
        finally:
            self._bells.discard(bell)
            if not self._bells:
                self._listening.cancel()
                self._listening = None

    def _ring(self, _channel: str) -> None:
        for bell in self._bells:
            bell.set()

    async def close(self) -> None:
        """Give the connections back."""
        if self._listening is not None:
            self._listening.cancel()
        await self._pool.close()


class Client:
    """What `Workflow.start` and its kin use. One session per event loop, opened when it is first needed."""

    def __init__(self) -> None:
        self._database: tuple[str, str] | None = None
        self._sessions: WeakKeyDictionary[asyncio.AbstractEventLoop, tuple[_Session, AsyncGenerator[None]]] = WeakKeyDictionary()

    @contextmanager
    def using(self, url: str, schema: str) -> Iterator[None]:
        """Work on this database while inside, whatever the environment says."""
        before, self._database = self._database, (url, schema)
        try:
            yield
        finally:
            self._database = before

    async def close(self) -> None:
        """Give back the connections of the running event loop; its end does so as well."""
        session = self._sessions.pop(asyncio.get_running_loop(), None)
        if session is not None:
            await session[1].aclose()

    async def start(self, order: Order, connection: Any) -> Registered:
        """See `flower.sdk.flow.Starter`."""
        if connection is not None:
            return Registered(await lent.within(connection, self._schema(), lent.registration(order)))
        return await (await self._session()).store.flows.register(order)

    def start_sync(self, order: Order, connection: Any) -> Registered:
        """See `flower.sdk.flow.Starter`."""
        if connection is not None:
            return Registered(lent.within_sync(connection, self._schema(), lent.registration(order)))
        return _run(self.start(order, None))

    async def signal(self, signal: Signal, connection: Any) -> None:
        """See `flower.sdk.flow.Starter`."""
        if connection is not None:
            await lent.within(connection, self._schema(), lent.sending(signal))
        else:
            await (await self._session()).store.signals.send(signal)

    def signal_sync(self, signal: Signal, connection: Any) -> None:
        """See `flower.sdk.flow.Starter`."""
        if connection is not None:
            lent.within_sync(connection, self._schema(), lent.sending(signal))
        else:
            _run(self.signal(signal, None))

    async def result(self, flow_id: str, timeout: float | None) -> Json:  # noqa: ASYNC109 - as product.md promises
        """See `flower.sdk.flow.Starter`."""
        session = await self._session()
        flows = session.store.flows
        async with _within_time(timeout, flow_id), session.bell() as bell, flows.awaited(flow_id):
            while True:
                bell.clear()
                try:
                    flow = await flows.get(flow_id)
                except UnknownFlow:
                    pass  # its transaction is still open
                else:
                    if _has_ended(flow):
                        return await _result_of(session.store, flow)
                try:
                    async with asyncio.timeout(_LOOK_AGAIN_SECONDS):
                        await bell.wait()
                except TimeoutError:
                    continue

    def result_sync(self, flow_id: str, timeout: float | None) -> Json:
        """See `flower.sdk.flow.Starter`."""
        return _run(self.result(flow_id, timeout))

    async def do(self, verb: str, flow_id: str, step: str | None, options: Mapping[str, Json]) -> Json:
        """See `flower.sdk.flow.Starter`."""
        send = getattr((await self._session()).store.verbs, verb)
        return await (send(flow_id, options) if step is None else send(flow_id, step, options))

    async def _session(self) -> _Session:
        loop = asyncio.get_running_loop()
        if loop in self._sessions and self._database not in {None, self._sessions[loop][0].database}:
            await self.close()
        if loop not in self._sessions:
            session = _Session(*self._found())
            # asyncio.run closes the generators that are left: the only word that a loop gives of its end.
            keeper = _keep(session)
            await anext(keeper)
            self._sessions[loop] = session, keeper
        return self._sessions[loop][0]

    def _found(self) -> tuple[str, str]:
        if self._database is not None:
            return self._database
        settings = read_settings()
        if settings.database_url is None:
            raise ConfigurationError("no database is named: set FLOWER_DATABASE_URL (python -m flower url prints that of an embedded one)")
        return settings.database_url, settings.schema_name

    def _schema(self) -> str:
        return self._database[1] if self._database else read_settings().schema_name


STARTER = Client()


@asynccontextmanager
async def _within_time(seconds: float | None, flow_id: str) -> AsyncIterator[None]:
    limit = asyncio.timeout(seconds)
    try:
        async with limit:
            yield
    except TimeoutError:
        if not limit.expired():
            raise
        raise TimeoutError(f"flow {flow_id} did not end within {seconds:g} s; it goes on (python -m flower why {flow_id})") from None


async def _keep(session: _Session) -> AsyncGenerator[None]:
    try:
        yield
    finally:
        await session.close()


def _run(work: Coroutine[Any, Any, T]) -> T:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    work.close()
    raise RuntimeError("an event loop is running here: await the form without _sync")


def _has_ended(flow: Flow) -> bool:
    return flow.status in {Status.FINISH, Status.IGNORE} or (flow.stalled and flow.failing is not None)


async def _result_of(store: Store, flow: Flow) -> Json:
    if flow.status is Status.FINISH:
        return (await store.flows.given(flow.flow_id)).result
    raise FlowFailed(flow.flow_id, flow.workflow, stopped(await store.flows.tasks(flow.flow_id)))
