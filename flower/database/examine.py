"""What a server says of itself, for `doctor`. Needs no table of ours."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from flower.database.pool import Pool
from flower.database.queries import query


@dataclass(frozen=True, slots=True)
class Examination:
    """A server as one role sees it. *at*: its clock when it answered. *may_create*: tables in Flower's schema, or that schema itself."""

    max_connections: int
    used: int
    read_only: bool
    may_create: bool
    at: datetime


async def examine(pool: Pool) -> Examination:
    """Ask the server of *pool* what it allows this role. Raises DatabaseLost."""
    row = await pool.fetchrow(query("examine"), pool.schema)
    assert row is not None  # noqa: S101 - a SELECT without FROM has one row
    return Examination(row["max_connections"], row["used"], row["read_only"], row["may_create"], row["at"])
