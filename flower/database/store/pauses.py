"""Pauses: of workflows, programs, limits, and everything. Their meaning stands in sql/functions/flower_pause.sql."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from difflib import get_close_matches

import asyncpg

from flower.core.errors import FieldError, FlowerError, Invalid, did_you_mean
from flower.core.model import Json
from flower.core.pauses import Paused, PausePage, Unpaused
from flower.database.errors import refused
from flower.database.pool import Pool
from flower.database.queries import query
from flower.database.store.rows import pause_of
from flower.database.store.workflows import Workflows

_NOBODY_IS_CALLED = {
    "program": "no live worker has a program called",
    "limit": "no task, and no row of ms_limit, names a limit like",
}


class Pauses:
    """Sends the statements about pauses.

    *options* of both verbs name one of `workflow`, `program`, `limit` (or the beginning of such, and a star), or `all` (true); `reason`, `by`.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def pause(self, options: Mapping[str, Json]) -> Paused:
        """Have nothing new of it start, until `until` if that is given. Raises UnknownWorkflow, NotNow or Invalid."""
        done = await self._send(query("pause"), options)
        pause = pause_of({**done, "since": datetime.fromisoformat(done["since"]), "until": done["until"] and datetime.fromisoformat(done["until"])})
        return Paused(pause, None if done.get("known", True) else await self._hint(pause.kind, pause.name))

    async def unpause(self, options: Mapping[str, Json]) -> Unpaused:
        """Let it go on. Raises NotNow if it is not paused, or Invalid."""
        done = await self._send(query("unpause"), options)
        return Unpaused(done["kind"], done["name"], done["everythingPaused"])

    async def list(self, *, limit: int = 50, after: str | None = None) -> PausePage:
        """Return up to *limit* pauses, suspended flows last. *after*: `next` of the part before. Raises Invalid for another."""
        kind, name = _place(after) if after else (None, None)
        rows = await self._pool.fetch(query("pauses"), limit + 1, kind, name)
        items = tuple(pause_of(dict(row)) for row in rows[:limit])
        return PausePage(items, f"{items[-1].kind}:{items[-1].name}" if len(rows) > limit else None)

    async def names(self, kind: str) -> tuple[str, ...]:
        """Return the programs of live workers; or the limits that have a row, or that a step or its function names."""
        return tuple(str(row["name"]) for row in await self._pool.fetch(query("names_of_kind"), kind))

    async def counts(self) -> Mapping[str, int]:
        """Return how many pauses there are, by kind."""
        return {row["kind"]: row["number"] for row in await self._pool.fetch(query("pause_counts"))}

    async def _send(self, statement: str, options: Mapping[str, Json]) -> Json:
        try:
            return json.loads(await self._pool.fetchval(statement, json.dumps(dict(options))))
        except asyncpg.PostgresError as error:
            raise await self._refusal(error) from None

    async def _refusal(self, error: asyncpg.PostgresError) -> FlowerError | asyncpg.PostgresError:
        if error.sqlstate == "FL404":
            return await Workflows(self._pool).unknown(json.loads(error.detail or "{}")["workflow"])
        return refused(error) or error

    async def _hint(self, kind: str, name: str) -> str:
        near = get_close_matches(name, await self.names(kind), n=3)
        return f"{_NOBODY_IS_CALLED[kind]} {name!r}" + did_you_mean(near)


def _place(after: str) -> tuple[str, str]:
    kind, colon, name = after.partition(":")
    if not colon or kind not in {"all", "workflow", "program", "limit", "flow"}:
        raise Invalid([FieldError("after", "is not a cursor that a list gave as `next`")])
    return kind, name
