"""A worker driven by hand, and a second person's session."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from flower.database.pool import Connection, Pool, connect
from tests.sql.engine import Engine


@pytest.fixture
async def engine(pool: Pool) -> Engine:
    """A worker with the program Ok."""
    return await Engine(pool).enroll("Ok")


@pytest.fixture
async def other(database_url: str) -> AsyncIterator[Connection]:
    """A second session of a user, for a transaction that stays open."""
    connection = await connect(database_url, role="test")
    yield connection
    await connection.close(timeout=5)
