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


async def test_no_function_that_forbids_plans_has_them_compiled(connection: Connection) -> None:
    """Up to PostgreSQL 17 a forbidden plan costs 10,000,000,000 on paper, and what costs much is compiled: half a second per probe."""
    compiled = await connection.fetch(r"""
        SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND array_to_string(proconfig, ' ') LIKE '%enable\_%=off%' AND NOT 'jit=off' = ANY (proconfig)
    """)

    assert not compiled
