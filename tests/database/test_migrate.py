"""Migrations: all or nothing, one migrator at a time, never backward."""

from __future__ import annotations

import asyncio
import io
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from flower.core.errors import ConfigurationError, SchemaTooNew
from flower.database import queries
from flower.database.migrate import migrate, schema_state
from flower.database.pool import Connection, Pool, connect
from flower.database.queries import Functions, Migration
from flower.testing.databases import Databases, with_database
from tests.sql.engine import Engine

ONE = Migration(1, "0001_tables", "CREATE TABLE thing (id integer PRIMARY KEY);")
TWO = Migration(2, "0002_more", "ALTER TABLE thing ADD COLUMN more text; CREATE INDEX ON thing (more);")
# A function in SQL of a table and of a function that comes later: bodies are not looked at while they are created.
_FUNCTION = "CREATE OR REPLACE FUNCTION {} LANGUAGE sql SET search_path FROM CURRENT AS '{}';"
FIRST = Functions(
    0, _FUNCTION.format("things() RETURNS bigint", "SELECT count(*) + later() FROM thing") + _FUNCTION.format("later() RETURNS integer", "SELECT 1")
)
CHANGED = Functions(0, FIRST.text.replace("SELECT 1", "SELECT 2"))


async def open_for_test(url: str) -> Connection:
    return await connect(url, role="test")


async def test_an_empty_database_gets_everything_and_then_nothing_more(empty_database_url: str) -> None:
    connection = await open_for_test(empty_database_url)
    assert await schema_state(connection) == "empty"

    first = await migrate(empty_database_url)

    assert first[0].startswith("0001_")
    assert first[-1] == "functions"
    assert await migrate(empty_database_url) == []
    assert await schema_state(connection) == "current"
    await connection.close()


async def test_what_is_missing_is_applied_in_order_and_written_down(empty_database_url: str) -> None:
    connection = await open_for_test(empty_database_url)
    assert await migrate(connection, migrations=[ONE], functions=FIRST) == ["0001_tables", "functions"]
    assert await schema_state(connection, migrations=[ONE, TWO], functions=CHANGED) == "behind"

    assert await migrate(connection, migrations=[ONE, TWO], functions=CHANGED) == ["0002_more", "functions"]

    assert await connection.fetchval("SELECT things()") == 2
    rows = await connection.fetch("SELECT kind, number, name, applied_at FROM kr_schema ORDER BY kind DESC, number")
    assert [tuple(row)[:3] for row in rows] == [("migration", 1, "0001_tables"), ("migration", 2, "0002_more"), ("functions", 0, CHANGED.hash)]
    assert all(row["applied_at"].tzinfo for row in rows)
    await connection.close()


async def test_functions_alone_are_made_anew_when_a_letter_of_them_changed(empty_database_url: str) -> None:
    await migrate(empty_database_url, migrations=[ONE], functions=FIRST)

    assert await migrate(empty_database_url, migrations=[ONE], functions=CHANGED) == ["functions"]


async def test_everything_lies_in_the_schema_that_was_named_and_is_found_from_anywhere(empty_database_url: str) -> None:
    connection = await open_for_test(empty_database_url)

    await migrate(connection, "other", migrations=[ONE], functions=FIRST)

    await connection.execute("SET search_path = ''")
    assert await connection.fetchval("SELECT other.things()") == 1
    assert await connection.fetch("SELECT 1 FROM pg_class WHERE relnamespace = 'public'::regnamespace") == []
    assert await schema_state(connection, "other", migrations=[ONE], functions=FIRST) == "current"
    assert await schema_state(connection, "public", migrations=[ONE], functions=FIRST) == "empty"
    await connection.close()


async def test_a_migration_that_fails_leaves_nothing_behind_and_is_named(empty_database_url: str) -> None:
    broken = Migration(2, "0002_broken", "CREATE TABLE half (); SELECT no_such_function();")

    with pytest.raises(asyncpg.UndefinedFunctionError) as caught:
        await migrate(empty_database_url, migrations=[ONE, broken], functions=FIRST)

    assert caught.value.__notes__ == ["in sql/migrations/0002_broken.sql"]
    connection = await open_for_test(empty_database_url)
    assert await schema_state(connection, migrations=[ONE], functions=FIRST) == "empty"
    assert await connection.fetchval("SELECT to_regclass('thing')") is None
    await connection.close()


@pytest.mark.parametrize(
    ("migrations", "functions"),
    [([ONE], Functions(5, FIRST.text)), ([ONE, TWO], Functions(4, FIRST.text))],
    ids=["an older migration", "older functions"],
)
async def test_a_newer_schema_is_refused_and_left_alone(empty_database_url: str, migrations: list[Migration], functions: Functions) -> None:
    connection = await open_for_test(empty_database_url)
    await migrate(connection, migrations=[ONE, TWO], functions=Functions(5, CHANGED.text))

    with pytest.raises(SchemaTooNew, match=r"schema 2\.5.*pip install --upgrade"):
        await migrate(connection, migrations=migrations, functions=functions)

    assert await connection.fetchval("SELECT things()") == 2
    assert await schema_state(connection, migrations=migrations, functions=functions) == "newer"
    await connection.close()


async def test_eight_migrators_at_once_apply_everything_once(empty_database_url: str) -> None:
    applied = await asyncio.gather(*(migrate(empty_database_url) for _ in range(8)))

    assert sum(bool(names) for names in applied) == 1


async def test_two_processes_that_start_at_once_both_end_well(empty_database_url: str) -> None:
    script = "import asyncio, sys; from flower.database.migrate import migrate; print(*asyncio.run(migrate(sys.argv[1])))"
    command = [sys.executable, "-c", script, empty_database_url]
    root = Path(__file__).parents[2]
    processes = [await asyncio.create_subprocess_exec(*command, cwd=root, stdout=asyncio.subprocess.PIPE) for _ in range(2)]

    said = [(await process.communicate())[0] for process in processes]

    assert [process.returncode for process in processes] == [0, 0]
    assert sorted(bool(out.strip()) for out in said) == [False, True]


async def test_with_nothing_to_do_a_lock_that_somebody_holds_does_not_matter(empty_database_url: str) -> None:
    await migrate(empty_database_url, migrations=[ONE], functions=FIRST)
    holder = await open_for_test(empty_database_url)
    async with holder.transaction():
        await holder.execute("SELECT pg_advisory_xact_lock(hashtextextended('flower schema public', 0)); LOCK TABLE kr_schema IN ROW EXCLUSIVE MODE")

        assert await asyncio.wait_for(migrate(empty_database_url, migrations=[ONE], functions=FIRST), 5) == []
    await holder.close()


async def test_a_table_in_use_is_waited_for_in_turns_that_let_its_users_pass(empty_database_url: str) -> None:
    await migrate(empty_database_url, migrations=[ONE], functions=FIRST)
    reader, writer = await open_for_test(empty_database_url), await open_for_test(empty_database_url)
    async with reader.transaction():
        await reader.execute("SELECT FROM thing")
        migrating = asyncio.create_task(migrate(empty_database_url, migrations=[ONE, TWO], functions=FIRST))
        while not await reader.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'thing'::regclass"):
            await asyncio.sleep(0.01)
        began = time.monotonic()
        # Behind the waiting ALTER TABLE, until it gives up its turn.
        await writer.execute("INSERT INTO thing VALUES (1)")
        assert time.monotonic() - began < 2
        assert not migrating.done()

    assert await migrating == ["0002_more"]
    await reader.close()
    await writer.close()


async def test_a_role_that_may_only_use_a_migrated_database_passes_and_one_that_may_not_migrate_is_told(
    empty_database_url: str, server_url: str
) -> None:
    admin = await open_for_test(server_url)
    role = f"flower_user_{uuid4().hex[:8]}"
    await admin.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'secret'")
    try:
        connection = await open_for_test(empty_database_url)
        await migrate(connection, migrations=[ONE], functions=FIRST)
        await connection.execute(f"SET ROLE {role}")

        assert await migrate(connection, migrations=[ONE], functions=FIRST) == []
        with pytest.raises(ConfigurationError, match="GRANT CREATE ON SCHEMA public"):
            await migrate(connection, migrations=[ONE, TWO], functions=FIRST)
        await connection.close()
    finally:
        await admin.execute(f"DROP ROLE {role}")
        await admin.close()


async def test_a_missing_database_is_a_sentence(server_url: str) -> None:
    with pytest.raises(ConfigurationError, match="has no database"):
        await migrate(with_database(server_url, "nowhere"))


ROOT = Path(__file__).parents[2]


def git(*arguments: str) -> bytes:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, check=True).stdout


def earlier_schemas(folder: Path) -> list[Path]:
    """Unpack the SQL as it was before each migration came, as far as this checkout knows its history and that SQL was ever released."""
    try:
        commits = git("log", "--diff-filter=A", "--format=%H", "--", "sql/migrations/*.sql").decode().split()
    except (OSError, subprocess.CalledProcessError):
        return []
    found = []
    for commit in commits:
        there = folder / commit[:12]
        there.mkdir()
        try:
            with tarfile.open(fileobj=io.BytesIO(git("archive", f"{commit}^", "sql"))) as archive:
                archive.extractall(there, filter="data")
        except subprocess.CalledProcessError:  # the first one, or a shallow clone
            continue
        if not (there / "sql/migrations").is_dir():
            continue
        known = {migration.name: migration.text for migration in queries.migrations()}
        if all(known.get(migration.name) == migration.text for migration in queries.migrations(there / "sql/migrations")):
            found.append(there / "sql")
    return found


@pytest.mark.timeout(120)
async def test_every_earlier_schema_becomes_this_one_with_its_flows(databases: Databases, tmp_path: Path) -> None:
    schemas = earlier_schemas(tmp_path)
    if not schemas:
        pytest.skip("this checkout has no history")
    for schema in schemas:
        url = await databases.make_empty()
        await migrate(url, migrations=queries.migrations(schema / "migrations"), functions=queries.functions(schema / "functions"))
        connection = await open_for_test(url)
        await connection.execute("INSERT INTO ms_task_definition (task_id, task_seq, program) VALUES ('old', 1, 'Ok'), ('old', 2, 'Ok')")
        flow = await connection.fetchval("SELECT flower_register('old')")
        await connection.execute("INSERT INTO ms_pause (task_id, reason) VALUES ('old', 'workflow'), ($1, 'flow')", flow)

        assert await migrate(url)

        async with Pool(url, role="engine") as pool:
            engine = await Engine(pool).enroll("Ok")
            assert await engine.run_all() == []
            await connection.fetchval("SELECT flower_resume($1)", flow)
            assert await engine.run_all() == []
            await connection.fetchval('SELECT flower_unpause(\'{"workflow": "old"}\')')
            assert {claimed for claimed, _ in await engine.run_all()} == {flow}
            await connection.execute("UPDATE ms_task_definition SET task_priority = 1")
            await connection.fetchval("SELECT flower_rerun($1, '{\"from\": 1}')", flow)
            assert len(await engine.run_all()) == 2
        await connection.close()
        await databases.drop(url)
