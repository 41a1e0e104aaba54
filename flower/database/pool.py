"""Connections to PostgreSQL: how each role's session is set, and a small pool that waits for nothing for ever.

Knows no table. Every error of the connection leaves here as DatabaseLost or ConfigurationError; what PostgreSQL says about a
statement or its values stays an asyncpg.PostgresError.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Self, TypeAlias, cast

import asyncpg
from asyncpg.connect_utils import SessionAttribute

from flower.core.errors import ConfigurationError, DatabaseFull, DatabaseLost, FlowerError
from flower.database.errors import translate
from flower.database.url import parse, shown

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

OLDEST_SERVER = 15
_KNOWS_TRANSACTION_TIMEOUT = 17
_CONNECT_SECONDS = 10.0
_RELEASE_SECONDS = 2.0

_PG_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_EARLIEST, _LATEST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_EARLIEST_TICK, _LATEST_TICK = (_EARLIEST - _PG_EPOCH) // _MICROSECOND, (_LATEST - _PG_EPOCH) // _MICROSECOND


@dataclass(frozen=True, slots=True)
class _Role:
    """How patient a session is, in seconds; 0 is without end. The client gives up before the server does: it then says why."""

    command_seconds: float | None
    statement_seconds: float
    lock_seconds: float
    idle_in_transaction_seconds: float = 10
    synchronous: bool = True
    writes: bool = False


_ROLES = {
    "engine": _Role(10, 15, 3, writes=True),
    "api": _Role(4, 5, 3),
    "cli": _Role(10, 15, 3),
    # A beat that is lost is harmless: the next one comes.
    "heartbeat": _Role(3, 5, 1, synchronous=False, writes=True),
    # A task's own transaction: how long it takes is the task's business.
    "task": _Role(None, 0, 0, idle_in_transaction_seconds=0, writes=True),
    "listener": _Role(10, 15, 3),
    "migrate": _Role(None, 0, 1, idle_in_transaction_seconds=60, writes=True),
    "test": _Role(None, 0, 0, idle_in_transaction_seconds=0),
}


async def connect(url: str, *, role: str, schema: str = "public", worker: str | None = None) -> Connection:
    """Open a connection for *role*: `engine`, `api`, `cli`, `heartbeat`, `listener`, `migrate`, `task` or `test`.

    It is called `flower/<worker or ->/<role>` in pg_stat_activity, speaks UTC, finds its names in *schema*, and has the timeouts of its
    role. A time that Python cannot hold (year 20000, infinity) is read as the nearest that it can.
    Raises DatabaseLost if waiting helps, ConfigurationError if not.
    """
    address, patience = parse(url), _ROLES[role]
    try:
        connection = await asyncpg.connect(
            address.dsn,
            timeout=min(_CONNECT_SECONDS, patience.command_seconds or _CONNECT_SECONDS),
            command_timeout=patience.command_seconds,
            server_settings=_settings(patience, role, schema, worker),
            # After a failover the old address may lead to a standby that answers, and refuses every write.
            target_session_attrs=SessionAttribute.read_write if patience.writes and "target_session_attrs" not in url else None,
        )
        try:
            await _prepare(connection, patience)
        except BaseException:
            connection.terminate()
            raise
    except ValueError as error:
        raise translate(error, url) or ConfigurationError(f"the database URL {shown(url)!r} is wrong: {error}") from error
    except (asyncpg.InsufficientPrivilegeError, asyncpg.UndefinedObjectError, asyncpg.InvalidParameterValueError) as error:
        raise ConfigurationError(f"PostgreSQL at {address.place} refuses the session: {error} (URL {shown(url)})") from error
    except Exception as error:
        if known := translate(error, url):
            raise known from error
        raise
    return connection


def _settings(patience: _Role, role: str, schema: str, worker: str | None) -> dict[str, str]:
    return {
        "application_name": f"flower/{worker or '-'}/{role}",
        "TimeZone": "UTC",
        "search_path": f'"{schema}", pg_temp',
        "statement_timeout": f"{patience.statement_seconds:.0f}s",
        "lock_timeout": f"{patience.lock_seconds:.0f}s",
        "idle_in_transaction_session_timeout": f"{patience.idle_in_transaction_seconds:.0f}s",
        # Each statement of the cycle must see what was committed before its locks were got.
        "default_transaction_isolation": "read committed",
        "synchronous_commit": "on" if patience.synchronous else "off",
        # So that the server lets go of the locks of a client that vanished without a word.
        "tcp_keepalives_idle": "30",
        "tcp_keepalives_interval": "10",
        "tcp_keepalives_count": "3",
        "tcp_user_timeout": "30000",
    }


async def _prepare(connection: Connection, patience: _Role) -> None:
    version = connection.get_server_version().major
    if version < OLDEST_SERVER:
        raise ConfigurationError(
            f"this server is PostgreSQL {version}, Flower needs {OLDEST_SERVER} or newer: upgrade it, or name another with --database"
        )
    _keep_alive(connection)
    await connection.set_type_codec("timestamptz", schema="pg_catalog", encoder=_encode_time, decoder=_decode_time, format="tuple")
    if version >= _KNOWS_TRANSACTION_TIMEOUT and patience.statement_seconds:
        await connection.execute(f"SET transaction_timeout = '{2 * patience.statement_seconds:.0f}s'")


def _keep_alive(connection: Connection) -> None:
    """Notice a dead route: asyncpg sets no keepalive."""
    wire = cast("Any", connection)._transport.get_extra_info("socket")  # noqa: SLF001 - asyncpg has no public way to its socket
    if wire is None or wire.family not in {socket.AF_INET, socket.AF_INET6}:
        return
    wire.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3), ("TCP_USER_TIMEOUT", 30_000)):
        if hasattr(socket, name):
            wire.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _decode_time(value: tuple[int]) -> datetime:
    tick = value[0]
    if tick <= _EARLIEST_TICK:
        return _EARLIEST
    return _LATEST if tick >= _LATEST_TICK else _PG_EPOCH + timedelta(microseconds=tick)


def _encode_time(value: datetime) -> tuple[int]:
    if value.tzinfo is None:
        raise ValueError("a time without a zone may not go into the database")
    return ((value - _PG_EPOCH) // _MICROSECOND,)


class Pool:
    """Up to *size* connections of one role, opened when they are needed: it can be made while the database is away.

    *is_full* is asked, when the database is lost, whether that is for want of room on its disk: a server that is down cannot say so.

    Never ask it for a second connection while holding one: when all are held by such askers, none goes on.
    """

    def __init__(
        self,
        url: str,
        *,
        role: str,
        schema: str = "public",
        worker: str | None = None,
        size: int = 5,
        acquire_seconds: float = 2.0,
        is_full: Callable[[], bool] = lambda: False,
    ) -> None:
        self.url, self.role, self.schema, self.worker = url, role, schema, worker
        self._size, self._acquire_seconds, self._is_full = size, acquire_seconds, is_full
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def fetch(self, statement: str, *values: object) -> Sequence[asyncpg.Record]:
        """Return all rows of *statement*. Raises DatabaseLost, also when no connection is free in time."""
        async with self.acquire() as connection:
            return await connection.fetch(statement, *values)

    async def fetchrow(self, statement: str, *values: object) -> asyncpg.Record | None:
        """Return the first row, or None."""
        async with self.acquire() as connection:
            return await connection.fetchrow(statement, *values)

    async def fetchval(self, statement: str, *values: object) -> Any:
        """Return the first value of the first row, or None."""
        async with self.acquire() as connection:
            return await connection.fetchval(statement, *values)

    async def execute(self, statement: str, *values: object) -> str:
        """Run *statement* and return PostgreSQL's word for it, like `UPDATE 3`."""
        async with self.acquire() as connection:
            return await connection.execute(statement, *values)

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[Connection]:
        """Lend a connection. What goes wrong with it inside the block leaves the block as DatabaseLost."""
        try:
            pool = await self._opened()
            try:
                async with asyncio.timeout(self._acquire_seconds):  # asyncpg's own would be a task more, behind all that is ready to run
                    connection = await pool.acquire()
            except TimeoutError:
                raise DatabaseLost(f"no connection to {parse(self.url).place} was free or made within {self._acquire_seconds:g} s") from None
        except Exception as error:
            if known := self._translate(error):
                raise known from error
            raise
        try:
            yield cast("Connection", connection)
        except Exception as error:
            lost = self._translate(error)
            if lost is None:
                raise
            # First terminate: a release would wait once more for a route that is dead, and hide the first error.
            _cut(connection)
            if isinstance(error, asyncpg.ReadOnlySQLTransactionError | asyncpg.OperatorInterventionError):
                await pool.expire_connections()
            raise lost from error
        finally:
            await self._release(pool, connection)

    async def close(self) -> None:
        """Close all connections; those still in use after two seconds are cut."""
        pool, self._pool = self._pool, None
        if pool is None:
            return
        try:
            await asyncio.wait_for(pool.close(), _RELEASE_SECONDS)
        except Exception:  # noqa: BLE001 - whatever keeps it from closing in order, it ends here
            pool.terminate()

    def _translate(self, error: Exception) -> FlowerError | None:
        known = translate(error, self.url)
        return DatabaseFull(f"{known}; its disk is full") if type(known) is DatabaseLost and self._is_full() else known

    async def _opened(self) -> asyncpg.Pool[asyncpg.Record]:
        if self._pool is None:
            # No round trip at release: whoever changes its session here does so within a transaction. And no connection at first, so
            # that this cannot fail; idle ones beyond a minute are closed.
            self._pool = asyncpg.create_pool(
                connect=self._connect, min_size=0, max_size=self._size, max_inactive_connection_lifetime=60, reset=_keep_session
            )
            await self._pool
        return self._pool

    async def _connect(self, *_: object, **__: object) -> Connection:
        return await connect(self.url, role=self.role, schema=self.schema, worker=self.worker)

    async def _release(self, pool: asyncpg.Pool[asyncpg.Record], connection: Any) -> None:
        try:
            await pool.release(connection, timeout=_RELEASE_SECONDS)
        except (OSError, TimeoutError, asyncpg.InterfaceError, asyncpg.InternalClientError, asyncpg.PostgresError):
            _cut(connection)


def _cut(connection: Any) -> None:
    with suppress(asyncpg.InterfaceError):  # the pool has already taken back a connection that it saw die
        connection.terminate()


async def _keep_session(_: object) -> None:
    pass
