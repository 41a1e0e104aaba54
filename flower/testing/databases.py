"""Makes databases for tests, empty ones and copies of one that is migrated, and the folder for a server that has them. Knows nothing of pytest."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

from flower.database.migrate import migrate
from flower.database.pool import Connection, connect

# A file system in memory, as Linux has it. Containers often leave it 64 MiB.
_MEMORY = Path("/dev/shm")  # noqa: S108 - mkdtemp makes the folder in it
_ROOM_BYTES = 4 << 30


class Databases:
    """The databases of one test session on the server at *url*, made and dropped by *admin*. See `databases_on`."""

    def __init__(self, url: str, admin: Connection) -> None:
        self._url, self._admin = url, admin
        self._template: str | None = None

    async def make(self) -> str:
        """Make a migrated database; return its URL."""
        if self._template is None:
            template = await self.make_empty()
            await migrate(template)
            self._template = template
        return await self.copy(self._template)

    async def make_empty(self) -> str:
        """Make a database without any of Flower's objects; return its URL."""
        return await self._copy("template0")

    async def copy(self, url: str) -> str:
        """Make a database like that at *url*, to which nobody may be connected; return its URL."""
        return await self._copy(_name_in(url))

    async def drop(self, url: str) -> None:
        """Drop the database at *url*, whoever is still connected."""
        await self._admin.execute(f"DROP DATABASE {_name_in(url)} WITH (FORCE)")

    async def close(self) -> None:
        """Drop the one that others were copied from."""
        if self._template is not None:
            await self.drop(self._template)

    async def _copy(self, template: str) -> str:
        name = f"flower_test_{uuid4().hex[:12]}"
        # file_copy takes 12 ms in memory, wal_log 16; on a disk, whether or not the server waits for it, file_copy is never much slower.
        await self._admin.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
        return with_database(self._url, name)


@contextmanager
def folder_for_a_server(prefix: str) -> Iterator[Path]:
    """Make a folder for a server whose data nobody keeps, which every user may enter, and remove it afterwards.

    In memory if there is room: a database is a thousand files, which a slow disk takes a quarter of a second to copy.
    """
    has_room = os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free > _ROOM_BYTES
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=_MEMORY if has_room else None))
    folder.chmod(0o711)  # root's server is another user
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@asynccontextmanager
async def databases_on(url: str, *, is_ours: bool) -> AsyncIterator[Databases]:
    """Make databases on the server at *url*, as a role that may. *is_ours*: no power cut matters to it, so it need not wait for its disk."""
    admin = await connect(url, role="test")
    try:
        if is_ours:
            await admin.execute("ALTER SYSTEM SET fsync = off")
            await admin.execute("SELECT pg_reload_conf()")
        databases = Databases(url, admin)
        yield databases
        await databases.close()
    finally:
        await admin.close()


def with_database(url: str, name: str) -> str:
    """Return *url* with another database's name."""
    path = urlsplit(url).path
    before, _, query = url.partition("?")
    return before.removesuffix(path) + f"/{name}" + (f"?{query}" if query else "")


def _name_in(url: str) -> str:
    return urlsplit(url).path.removeprefix("/")
