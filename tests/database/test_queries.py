"""The files of sql/: found in a checkout and in a wheel, in order, and understood by PostgreSQL."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest

import flower
from flower.database.pool import Connection
from flower.database.queries import functions, migrations, query, query_names


async def test_every_query_is_understood_by_a_migrated_database(connection: Connection) -> None:
    refused = {}
    for name in query_names():
        try:
            await connection.prepare(query(name))
        except asyncpg.PostgresError as error:
            refused[name] = str(error)

    assert query_names()
    assert refused == {}


def test_a_query_that_is_not_there_is_an_error_of_ours() -> None:
    with pytest.raises(FileNotFoundError):
        query("no_such_query")


def test_migrations_come_in_order_of_their_numbers(tmp_path: Path) -> None:
    for name in ("0010_later.sql", "0002_second.sql", "0001_first.sql"):
        (tmp_path / name).write_text(f"-- {name}")

    assert [(found.number, found.name) for found in migrations(tmp_path)] == [(1, "0001_first"), (2, "0002_second"), (10, "0010_later")]


@pytest.mark.parametrize("names", [("1_short.sql",), ("0001_one.sql", "0001_other.sql")])
def test_a_migration_with_a_bad_or_a_double_number_is_refused(tmp_path: Path, names: tuple[str, ...]) -> None:
    for name in names:
        (tmp_path / name).write_text("SELECT 1")

    with pytest.raises(ValueError, match=r"named like a migration|one number"):
        migrations(tmp_path)


def test_the_hash_of_the_functions_tells_one_letter_and_their_version_stands_beside_them(tmp_path: Path) -> None:
    (tmp_path / "a.sql").write_text("SELECT 1")
    before = functions(tmp_path)
    (tmp_path / "a.sql").write_text("SELECT 2")
    (tmp_path / "VERSION").write_text("7\n")

    assert before.version == 0
    assert functions(tmp_path).version == 7
    assert functions(tmp_path).hash != before.hash


def test_the_files_are_read_from_an_installed_package_far_from_the_checkout(tmp_path: Path) -> None:
    package = Path(flower.__file__).parent
    shutil.copytree(package, tmp_path / "flower", ignore=shutil.ignore_patterns("__pycache__", "sql"))
    shutil.copytree(package.parent / "sql", tmp_path / "flower" / "sql", ignore=shutil.ignore_patterns("__pycache__"))
    script = "from flower.database.queries import *; print(*query_names(), len(migrations()), functions().hash)"

    said = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True, env={"PYTHONPATH": str(tmp_path)})

    assert said.stdout.split() == [*query_names(), str(len(migrations())), functions().hash]


def test_a_checkout_reads_its_own_files_whatever_is_installed(tmp_path: Path) -> None:
    checkout = Path(flower.__file__).parent.parent
    ignored = shutil.ignore_patterns("__pycache__")
    for folder in ("flower", "sql"):
        shutil.copytree(checkout / folder, tmp_path / folder, ignore=ignored)
    shutil.copy(checkout / "pyproject.toml", tmp_path)
    (tmp_path / "sql" / "queries" / "ours.sql").write_text("SELECT 1")
    script = "from flower.database.queries import *; print(query('ours'))"

    said = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True, env={"PYTHONPATH": str(tmp_path)})

    assert said.stdout == "SELECT 1\n"
