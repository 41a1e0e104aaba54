"""Limits: how many tasks that name one may run at once, and how fast they may start."""

from __future__ import annotations

import json
from collections.abc import Mapping
from difflib import get_close_matches

import asyncpg

from flower.core.errors import UnknownLimit
from flower.core.limits import Limit
from flower.core.model import Json
from flower.database.errors import refused
from flower.database.pool import Pool
from flower.database.queries import query

# A million waiting tasks are not counted for a list: beyond this, it says "and more".
MOST_COUNTED = 10_000


class Limits:
    """Sends the statements about limits."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def list(self, *, limit: int | None = None, after: str | None = None) -> tuple[Limit, ...]:
        """Return limits and how it stands with them, in order of name: up to *limit* behind the name *after*; without these, all."""
        return await self._find(None, after, limit)

    async def shut(self, most: int) -> tuple[str, ...]:
        """Return the names of up to *most* limits that have no slot: nothing of theirs may start."""
        return tuple(row["name"] for row in await self._pool.fetch(query("shut_limits"), most))

    async def get(self, name: str) -> Limit:
        """Return the limit or pattern called *name*. Raises UnknownLimit, naming near ones."""
        found = await self._find(name)
        if not found:
            raise await self._unknown(name)
        return found[0]

    async def set(self, name: str, options: Mapping[str, Json]) -> Limit:
        """Set `slots` and `rate` of a limit, new or as it is, and return how it stands with it then. Raises NotNow or Invalid.

        *options* have `by` and `reason`, too, which are kept.
        """
        await self._send(name, options)
        return await self.get(name)

    async def remove(self, name: str, *, by: str | None = None) -> None:
        """Remove a limit, as *by* wishes: whatever waited for it goes on. Raises UnknownLimit or NotNow."""
        await self._send(name, {"remove": True, "by": by})

    async def _send(self, name: str, options: Mapping[str, Json]) -> None:
        try:
            await self._pool.fetchval(query("set_limit"), name, json.dumps(dict(options)))
        except asyncpg.PostgresError as error:
            raise (await self._unknown(name) if error.sqlstate == "FL404" else refused(error) or error) from None

    async def _find(self, name: str | None, after: str | None = None, limit: int | None = None) -> tuple[Limit, ...]:
        return tuple(map(_limit, await self._pool.fetch(query("limits"), name, MOST_COUNTED + 1, after, limit)))

    async def _unknown(self, name: str) -> UnknownLimit:
        return UnknownLimit(name, get_close_matches(name, [limit.name for limit in await self.list()], n=3))


def _limit(row: asyncpg.Record) -> Limit:
    waiting = min(row["waiting"], MOST_COUNTED)
    return Limit(
        row["name"],
        row["of_flows"],
        row["slots"],
        row["rate"],
        int(row["running"]),
        int(row["ready"]),
        waiting,
        row["waiting"] > waiting,
        tuple(row["holders"]),
        row["next_at"],
        row["paused"],
    )
