"""Brings a database's schema up to this Flower: numbered migrations, then all functions. One migrator at a time, forward only.

Its bookkeeping, the table kr_schema, is the only SQL outside `sql/`.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from itertools import count
from typing import Literal, TypeAlias

import asyncpg

from flower.core import log
from flower.core.errors import ConfigurationError, SchemaTooNew
from flower.database import queries
from flower.database.errors import translate
from flower.database.pool import Connection, connect
from flower.database.queries import Functions, Migration

_log = log.get()

State: TypeAlias = Literal["current", "empty", "behind", "newer"]

_LONGEST_PAUSE_SECONDS = 2.0
_BOOKKEEPING = """
    CREATE TABLE IF NOT EXISTS kr_schema (
        kind text NOT NULL CHECK (kind IN ('migration', 'functions')),
        number integer NOT NULL,
        name text NOT NULL,
        applied_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        PRIMARY KEY (kind, number)
    );
    GRANT SELECT ON kr_schema TO PUBLIC;
"""


async def migrate(
    target: str | Connection,
    schema: str = "public",
    *,
    migrations: Sequence[Migration] | None = None,
    functions: Functions | None = None,
) -> list[str]:
    """Apply what the database *target* lacks, all of it or nothing, and return its names in order.

    If nothing is to do this is one query that takes no lock, which any role may send. A table in use is waited for in short turns that let
    its users pass. Raises SchemaTooNew if a newer Flower was here, ConfigurationError if the role may not create objects.
    """
    if isinstance(target, str):
        connection = await connect(target, role="migrate", schema=schema)
        try:
            return await migrate(connection, schema, migrations=migrations, functions=functions)
        except Exception as error:
            if known := translate(error, target):
                raise known from error
            raise
        finally:
            connection.terminate()
    plan = _Plan(schema, queries.migrations() if migrations is None else migrations, queries.functions() if functions is None else functions)
    if await plan.missing(target) == ([], False):
        return []
    for turn in count():
        try:
            return await plan.apply(target)
        except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError) as error:
            _log.warning("schema.lock_waited", turns=turn + 1, reason=str(error))
            await asyncio.sleep(random.uniform(0, min(_LONGEST_PAUSE_SECONDS, 0.05 * 2 ** min(turn, 10))))  # noqa: S311 - jitter
        except asyncpg.InsufficientPrivilegeError as error:
            advice = f"GRANT CREATE ON SCHEMA {schema} to it, or run `python -m flower migrate` as the owner"
            raise ConfigurationError(f"this role may not create Flower's objects ({error}): {advice}") from error
    raise AssertionError


async def schema_state(
    connection: Connection,
    schema: str = "public",
    *,
    migrations: Sequence[Migration] | None = None,
    functions: Functions | None = None,
) -> State:
    """Return how the schema stands to this Flower: `current`, `empty` (never migrated), `behind`, or `newer`. One query, no lock."""
    plan = _Plan(schema, queries.migrations() if migrations is None else migrations, queries.functions() if functions is None else functions)
    found = await plan.found(connection)
    if not found:
        return "empty"
    try:
        return "current" if plan.compare(found) == ([], False) else "behind"
    except SchemaTooNew:
        return "newer"


class _Plan:
    """What the schema should be, against what a database says it is."""

    def __init__(self, schema: str, migrations: Sequence[Migration], functions: Functions) -> None:
        self.schema, self.migrations, self.functions = schema, migrations, functions

    async def found(self, connection: Connection) -> list[asyncpg.Record]:
        try:
            return await connection.fetch(f'SELECT kind, number, name FROM "{self.schema}".kr_schema')  # noqa: S608 - a name cannot be a parameter
        except (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError):
            return []
        except asyncpg.InsufficientPrivilegeError as error:
            raise ConfigurationError(f"this role may not read Flower's tables ({error}): GRANT USAGE ON SCHEMA {self.schema} to it") from error

    def compare(self, found: Sequence[asyncpg.Record]) -> tuple[list[Migration], bool]:
        """Return the migrations that are missing, and whether the functions differ. Raises SchemaTooNew."""
        applied = {row["number"] for row in found if row["kind"] == "migration"}
        written = max(((row["number"], row["name"]) for row in found if row["kind"] == "functions"), default=(-1, ""))
        last, known = max(applied, default=0), max((migration.number for migration in self.migrations), default=0)
        if last > known or written[0] > self.functions.version:
            raise SchemaTooNew(f"{last}.{max(written[0], 0)}", f"{known}.{self.functions.version}")
        missing = [migration for migration in self.migrations if migration.number not in applied]
        return missing, written != (self.functions.version, self.functions.hash)

    async def missing(self, connection: Connection) -> tuple[list[Migration], bool]:
        return self.compare(await self.found(connection))

    async def apply(self, connection: Connection) -> list[str]:
        async with connection.transaction():
            # Waiting for another migrator may take as long as it needs; waiting for a table's users may not: behind us, everybody waits.
            await connection.execute("SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0; SET LOCAL check_function_bodies = off")
            await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended('flower schema ' || $1, 0))", self.schema)
            await connection.execute("SET LOCAL lock_timeout = '1s'")
            await self._enter_schema(connection)
            missing, is_stale = await self.missing(connection)
            for migration in missing:
                await _run(connection, migration.text, f"sql/migrations/{migration.name}.sql")
                await connection.execute("INSERT INTO kr_schema (kind, number, name) VALUES ('migration', $1, $2)", migration.number, migration.name)
            if is_stale:
                await _run(connection, self.functions.text, "sql/functions")
                await connection.execute("DELETE FROM kr_schema WHERE kind = 'functions'")
                await connection.execute(
                    "INSERT INTO kr_schema (kind, number, name) VALUES ('functions', $1, $2)", self.functions.version, self.functions.hash
                )
        return [migration.name for migration in missing] + (["functions"] if is_stale else [])

    async def _enter_schema(self, connection: Connection) -> None:
        # Asked first: CREATE SCHEMA IF NOT EXISTS wants a right on the database even where the schema exists.
        if await connection.fetchval("SELECT to_regnamespace(quote_ident($1)) IS NULL", self.schema):
            await connection.execute(f'CREATE SCHEMA "{self.schema}"')
        await connection.execute("SELECT set_config('search_path', quote_ident($1) || ', pg_temp', true)", self.schema)
        await connection.execute(_BOOKKEEPING)


async def _run(connection: Connection, script: str, name: str) -> None:
    try:
        await connection.execute(script)
    except asyncpg.PostgresError as error:
        error.add_note(f"in {name}")
        raise
