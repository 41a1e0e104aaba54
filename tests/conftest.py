"""What every test may ask for: a real PostgreSQL, and a fresh migrated database on it.

The server is the embedded one, or, where FLOWER_TEST_DATABASE_URL is set, that one: the URL of a role that may create databases.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from flower.database import embedded
from flower.database.pool import Connection, Pool, connect
from flower.testing.databases import Databases, databases_on, folder_for_a_server

TEST_DATABASE_URL = "FLOWER_TEST_DATABASE_URL"


@pytest.fixture(scope="session", autouse=True)
def _no_settings_from_outside() -> Iterator[None]:
    """A test must not depend on what the developer's shell has set."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(("FLOWER_", "PG", "DB_")) and name != TEST_DATABASE_URL]:
            patch.delenv(name)
        yield


@pytest.fixture(scope="session")
def short_folder() -> Iterator[Path]:
    """A folder that every user may enter: pytest's own is closed to the user that PostgreSQL runs as under root."""
    with folder_for_a_server("flower-test-") as folder:
        yield folder


@pytest.fixture
def open_folder(short_folder: Path) -> Iterator[Path]:
    """A folder of this test's own that every user may enter: where a `.flower/` of its own can lie whole."""
    folder = short_folder / uuid4().hex[:8]
    folder.mkdir()
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
async def server_url(short_folder: Path) -> AsyncIterator[str]:
    """The server that all tests share, as a role that may create databases."""
    given = os.environ.get(TEST_DATABASE_URL)
    if given:
        yield given
        return
    async with embedded.running(short_folder / embedded.NAME) as server:
        yield server.url


@pytest.fixture(scope="session")
async def databases(server_url: str) -> AsyncIterator[Databases]:
    """What makes and drops databases."""
    async with databases_on(server_url, is_ours=TEST_DATABASE_URL not in os.environ) as databases:
        yield databases


@pytest.fixture
async def empty_database_url(databases: Databases) -> AsyncIterator[str]:
    """A database of this test's own, without any of Flower's objects."""
    url = await databases.make_empty()
    yield url
    await databases.drop(url)


@pytest.fixture
async def database_url(databases: Databases) -> AsyncIterator[str]:
    """A migrated database of this test's own."""
    url = await databases.make()
    yield url
    await databases.drop(url)


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[Connection]:
    """A user's connection to the test's database, without any timeout."""
    connection = await connect(database_url, role="test")
    yield connection
    await connection.close(timeout=5)


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    """A pool of the engine's on the test's database."""
    async with Pool(database_url, role="engine") as pool:
        yield pool
