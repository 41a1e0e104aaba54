"""The fixture `flower_app`, for pytest. Loaded wherever Flower is installed: the engine and the driver are imported when a test asks for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Future
from contextlib import asynccontextmanager
from threading import Thread
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from flower.testing.app import App
    from flower.testing.databases import Databases

_OPTION = "flower_database"
_SCHEMA = "public"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --flower-database, and `flower_database` in the settings of pytest."""
    what = "URL of a PostgreSQL where flower_app may create databases (without: an embedded one)"
    parser.getgroup("flower").addoption("--flower-database", metavar="URL", help=what)
    parser.addini(_OPTION, what, default="")


class _Session:
    """The databases of a test session, on a loop and in a thread of their own: a test may have any loop, or none."""

    def __init__(self, url: str | None) -> None:
        self._url, self._loop = url, asyncio.new_event_loop()
        self._begun: Future[Databases] = Future()
        self._over = asyncio.Event()
        self._keeping = self._loop.create_task(self._keep())
        self._thread = Thread(target=self._run, name="flower test databases")
        self._thread.start()
        try:
            self._databases = self._begun.result()
        except BaseException:  # Ctrl-C: nobody else would ever stop the server
            self._loop.call_soon_threadsafe(self._keeping.cancel)
            self._thread.join()
            raise

    def make(self) -> str:
        return asyncio.run_coroutine_threadsafe(self._databases.make(), self._loop).result()

    def drop(self, url: str) -> None:
        asyncio.run_coroutine_threadsafe(self._databases.drop(url), self._loop).result()

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join()
        self._keeping.result()

    def _run(self) -> None:
        self._loop.run_until_complete(asyncio.wait([self._keeping]))
        self._loop.close()

    async def _keep(self) -> None:
        try:
            async with _databases(self._url) as databases:
                self._begun.set_result(databases)
                await self._over.wait()
        except BaseException as error:
            if self._begun.done():
                raise
            self._begun.set_exception(error)


@asynccontextmanager
async def _databases(url: str | None) -> AsyncIterator[Databases]:
    from flower.database import embedded
    from flower.testing.databases import databases_on, folder_for_a_server

    if url:
        async with databases_on(url, is_ours=False) as databases:
            yield databases
        return
    with folder_for_a_server("flower-test-") as folder:
        async with embedded.running(folder / embedded.NAME) as server, databases_on(server.url, is_ours=True) as databases:
            yield databases


@pytest.fixture(scope="session")
def _flower_databases(request: pytest.FixtureRequest) -> Iterator[_Session]:
    session = _Session(request.config.getoption("--flower-database") or request.config.getini(_OPTION))
    yield session
    session.close()


@pytest.fixture
def flower_app(_flower_databases: _Session) -> Iterator[App]:
    """Flower on a database of this test's own: `run = await flower_app.run(digest, urls=["a"], stub={fetch: page})`. See docs/testing.md."""
    from flower.client import STARTER
    from flower.testing.app import App

    url = _flower_databases.make()
    with STARTER.using(url, _SCHEMA):
        yield App(url, _SCHEMA)
    _flower_databases.drop(url)
