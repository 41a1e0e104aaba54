"""Makes databases for tests: empty ones, and copies of one that is migrated. Knows nothing of pytest."""

from __future__ import annotations

from types import TracebackType
from typing import Self
from urllib.parse import urlsplit
from uuid import uuid4

from flower.database.migrate import migrate
from flower.database.pool import Connection, connect


class Databases:
    """The databases of one test session on the server at *url*, whose role may create some. To be entered."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._template = _named("template")
        self._admin: Connection | None = None
        self._has_template = False

    async def __aenter__(self) -> Self:
        self._admin = await connect(self._url, role="test")
        return self

    async def __aexit__(self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None) -> None:
        if self._has_template:
            await self._execute(f"DROP DATABASE {self._template} WITH (FORCE)")
        await self._connection.close()

    async def without_disk(self) -> None:
        """Have the server, which must be ours, not wait for its disk: what tests prove survives no power cut."""
        await self._execute("ALTER SYSTEM SET fsync = off")
        await self._execute("SELECT pg_reload_conf()")

    async def make(self) -> str:
        """Make a migrated database; return its URL."""
        if not self._has_template:
            await self._execute(f"CREATE DATABASE {self._template} TEMPLATE template0")
            self._has_template = True
            await migrate(with_database(self._url, self._template))
        return await self._copy(self._template)

    async def copy(self, url: str) -> str:
        """Make a database like that at *url*, to which nobody may be connected; return its URL."""
        return await self._copy(_name_in(url))

    async def make_empty(self) -> str:
        """Make a database without any of Flower's objects; return its URL."""
        return await self._copy("template0")

    async def drop(self, url: str) -> None:
        """Drop the database at *url*, whoever is still connected."""
        await self._execute(f"DROP DATABASE {_name_in(url)} WITH (FORCE)")

    async def _copy(self, template: str) -> str:
        name = _named("test")
        # Copied by the file where nobody waits for a disk: 15 ms, and through the log 100.
        await self._execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
        return with_database(self._url, name)

    async def _execute(self, statement: str) -> None:
        await self._connection.execute(statement)

    @property
    def _connection(self) -> Connection:
        assert self._admin is not None, "Databases must be entered first"  # noqa: S101 - a mistake of ours
        return self._admin


def _named(what: str) -> str:
    return f"flower_{what}_{uuid4().hex[:12]}"


def _name_in(url: str) -> str:
    return urlsplit(url).path.removeprefix("/")


def with_database(url: str, name: str) -> str:
    """Return *url* with another database's name."""
    path = urlsplit(url).path
    before, _, query = url.partition("?")
    return before.removesuffix(path) + f"/{name}" + (f"?{query}" if query else "")
