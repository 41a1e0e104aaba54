"""Where a command works: its settings, its database (found, or started for the command's duration), its store."""

from __future__ import annotations

from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from flower.core.errors import ConfigurationError

if TYPE_CHECKING:
    from flower.core.settings import Settings
    from flower.database.store import Store

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Place:
    """A database that can be reached. *folder*: the `.flower/` that it lives in, None if it is not ours."""

    settings: Settings
    url: str
    folder: Path | None


def read(**options: object) -> Settings:
    """Return the settings of the environment with *options* on top (None: not given)."""
    from flower.core.settings import read_settings

    return read_settings(**options)


def run(work: Coroutine[Any, Any, T], *, heard: str | None = None) -> T:
    """Run *work* to its end. What it logs below a warning is not shown: a command is read by a person. *heard*: see `log.configure`."""
    import asyncio

    from flower.core import log

    log.configure("warning", "auto", heard=heard)
    return asyncio.run(work)


def find_folder(*, may_create: bool = False) -> Path:
    """Return the `.flower/` of the working directory, or, if *may_create*, where to make one. Raises ConfigurationError if there is none."""
    from flower.database import embedded

    folder = embedded.find(Path.cwd())
    if folder is None and not may_create:
        raise ConfigurationError(
            f"there is no database here: no {embedded.NAME}/ in {Path.cwd()} or above it, and neither --database nor FLOWER_DATABASE_URL; "
            "make one with: python -m flower serve"
        )
    return folder or Path.cwd() / embedded.NAME


@asynccontextmanager
async def place(settings: Settings, *, may_create: bool = False) -> AsyncIterator[Place]:
    """Find the database, or start the embedded one for the duration of the block.

    Raises ConfigurationError where there is neither a URL nor a `.flower/` and *may_create* is False.
    """
    if settings.database_url is not None:
        yield Place(settings, settings.database_url, None)
        return
    from flower.database import embedded

    folder = find_folder(may_create=may_create)
    async with embedded.running(folder) as server:
        yield Place(settings, server.url, folder)


@asynccontextmanager
async def opened(database: str | None) -> AsyncIterator[Store]:
    """Open the store of a migrated database. Raises ConfigurationError with what to do if it is not, SchemaTooNew if we are too old."""
    async with place(read(database_url=database)) as found, store_of(found) as store:
        yield store


@asynccontextmanager
async def store_of(found: Place) -> AsyncIterator[Store]:
    """Open the store of the database *found*, as `opened` does."""
    from flower.database.migrate import migrate, schema_state
    from flower.database.pool import Pool
    from flower.database.store import Store

    schema = found.settings.schema_name
    async with Pool(found.url, role="cli", schema=schema) as pool:
        async with pool.acquire() as connection:
            state = await schema_state(connection, schema)
            if state == "newer":
                await migrate(connection, schema)  # refuses, and says which schema is there and which we know
        if state in {"empty", "behind"}:
            what = "has no Flower tables yet" if state == "empty" else "was written by an older Flower"
            raise ConfigurationError(f"this database {what}: run python -m flower migrate (serve does it too)")
        yield Store(pool)
