"""Every statement is a file, is valid, and has exactly one sender."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import flower
from flower.database.pool import Connection
from flower.database.queries import query, query_names

PACKAGE = Path(flower.__file__).parent


@pytest.mark.parametrize("name", query_names())
async def test_every_query_prepares_on_a_migrated_database(connection: Connection, name: str) -> None:
    await connection.prepare(query(name))


def test_every_query_is_sent_by_exactly_one_method() -> None:
    sent = [name for file in sorted(PACKAGE.rglob("*.py")) for name in re.findall(r"""\bquery\(["'](\w+)["']\)""", file.read_text(encoding="utf-8"))]

    assert sorted(sent) == sorted(query_names())
