"""What every test may ask for: a real PostgreSQL, and a fresh migrated database on it.

The server is the embedded one, or, where FLOWER_TEST_DATABASE_URL is set, that one: the URL of a role that may create databases.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from flower.database import embedded
from flower.database.migrate import migrate
from flower.database.pool import Connection, Pool, connect

TEST_DATABASE_URL = "FLOWER_TEST_DATABASE_URL"


def with_database(url: str, name: str) -> str:
    """Return *url* with another database's name."""
    path = urlsplit(url).path
    before, _, query = url.partition("?")
    return before.removesuffix(path) + f"/{name}" + (f"?{query}" if query else "")


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
    folder = Path(tempfile.mkdtemp(prefix="flower-test-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


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
        connection = await connect(server.url, role="test")
        # What these tests prove does not need the disk; databases are made ten times faster.
        await connection.execute("ALTER SYSTEM SET fsync = off")
        await connection.execute("SELECT pg_reload_conf()")
        await connection.close()
        yield server.url


@pytest.fixture(scope="session")
async def admin(server_url: str) -> AsyncIterator[Connection]:
    """A connection that creates and drops databases."""
    connection = await connect(server_url, role="test")
    yield connection
    await connection.close()


@pytest.fixture(scope="session")
async def template(server_url: str, admin: Connection) -> AsyncIterator[str]:
    """The name of a migrated database that the others are copied from."""
    name = f"flower_template_{uuid4().hex[:8]}"
    await admin.execute(f"CREATE DATABASE {name}")
    await migrate(with_database(server_url, name))
    yield name
    await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
async def empty_database_url(server_url: str, admin: Connection) -> AsyncIterator[str]:
    """A database of this test's own, without any of Flower's objects."""
    name = f"flower_empty_{uuid4().hex[:8]}"
    await admin.execute(f"CREATE DATABASE {name} TEMPLATE template0")
    yield with_database(server_url, name)
    await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
async def database_url(server_url: str, admin: Connection, template: str) -> AsyncIterator[str]:
    """A migrated database of this test's own."""
    name = f"flower_test_{uuid4().hex[:8]}"
    await admin.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    yield with_database(server_url, name)
    await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


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
