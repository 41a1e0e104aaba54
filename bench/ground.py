"""Where everything is measured: a throw-away embedded PostgreSQL with its ordinary settings (fsync on), and one database per measurement."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from bench.workflows import define
from flower.database import embedded
from flower.database.migrate import migrate
from flower.database.pool import Connection, connect

_TEMPLATE = "flower"


@dataclass(frozen=True, slots=True)
class Ground:
    """A running server of our own in *folder*. *is_quick*: measure with less. *raw*: what the bare SQL cycle reached in this run, by name."""

    folder: Path
    url: str = field(repr=False)
    is_quick: bool
    raw: dict[str, float] = field(default_factory=dict)

    def url_of(self, database: str) -> str:
        """Return the URL of another database of the server."""
        return urlsplit(self.url)._replace(path="/" + database).geturl()

    @asynccontextmanager
    async def database(self, name: str) -> AsyncIterator[str]:
        """Make a migrated database with the workflows of the measurements, lend its URL, and drop it afterwards."""
        async with session(self.url_of("postgres")) as admin:
            await admin.execute(f'CREATE DATABASE "{name}" TEMPLATE {_TEMPLATE}')
            try:
                yield self.url_of(name)
            finally:
                await admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@asynccontextmanager
async def session(url: str) -> AsyncIterator[Connection]:
    """Open a connection without timeouts, and close it afterwards."""
    connection = await connect(url, role="test")
    try:
        yield connection
    finally:
        connection.terminate()


@asynccontextmanager
async def prepared(*, is_quick: bool) -> AsyncIterator[Ground]:
    """Start the server in a temporary folder; stop it and remove everything at the end."""
    folder = Path(tempfile.mkdtemp(prefix="flower-bench-"))
    if os.geteuid() == 0:
        # Root's server is another user, who has to pass through.
        folder.chmod(0o711)
    try:
        async with embedded.running(folder / embedded.NAME) as server:
            await migrate(server.url)
            async with session(server.url) as connection:
                await define(connection)
            yield Ground(folder, server.url, is_quick)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def fsync_seconds(folder: Path) -> float:
    """Return the median time of writing 8 KiB in *folder* and having them on the disk: what each commit pays at least."""
    taken = []
    with (folder / "fsync").open("wb", buffering=0) as file:
        for _ in range(51):
            began = time.perf_counter()
            file.write(bytes(8192))
            os.fsync(file.fileno())
            taken.append(time.perf_counter() - began)
    (folder / "fsync").unlink()
    return sorted(taken)[len(taken) // 2]
