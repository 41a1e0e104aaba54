"""The verbs: what a person does to a flow. Their meaning stands in sql/functions/flower_verbs.sql and flower_rerun.sql."""

from __future__ import annotations

import json
from collections.abc import Mapping

import asyncpg

from flower.core.errors import FlowerError, UnknownFlow, UnknownTask
from flower.core.model import Deed, Json
from flower.database.errors import refused
from flower.database.pool import Pool
from flower.database.queries import query
from flower.database.store.tasks import Tasks

Options = Mapping[str, Json]


class Verbs:
    """Sends the verbs. *flow* is a whole id, *step* a seq or a name.

    Each returns what was done, as the HTTP interface answers it, and raises UnknownFlow, UnknownTask, NotNow or Invalid; nothing has changed then.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def rerun(self, flow: str, options: Options) -> Json:
        """Run again what failed, or from a task on."""
        return await self._send(query("rerun"), flow, None, options)

    async def cancel(self, flow: str, options: Options) -> Json:
        """Make everything unfinished ignored."""
        return await self._send(query("cancel"), flow, None, options)

    async def suspend(self, flow: str, options: Options) -> Json:
        """Have nothing new start."""
        return await self._send(query("suspend"), flow, None, options)

    async def resume(self, flow: str, options: Options) -> Json:
        """Let a suspended flow go on."""
        return await self._send(query("resume"), flow, None, options)

    async def priority(self, flow: str, options: Options) -> Json:
        """Make a flow more or less urgent."""
        return await self._send(query("priority"), flow, None, options)

    async def ignore(self, flow: str, step: str, options: Options) -> Json:
        """Skip a task."""
        return await self._send(query("ignore"), flow, step, options)

    async def complete(self, flow: str, step: str, options: Options) -> Json:
        """Hand in the result of a task."""
        return await self._send(query("complete"), flow, step, options)

    async def retry(self, flow: str, step: str, options: Options) -> Json:
        """Run a suspended task again, or have one that waits for its next attempt begin it."""
        return await self._send(query("retry"), flow, step, options)

    async def done(self, flow: str, last: int | None = None) -> tuple[Deed, ...]:
        """Return what was done to a flow, or the *last* of it, the oldest first; nothing if there is no such flow."""
        rows = await self._pool.fetch(query("audit"), flow, last)
        return tuple(Deed(row["at"], row["verb"], row["seq"], row["who"], row["role"], row["reason"]) for row in rows)

    async def _send(self, statement: str, flow: str, step: str | None, options: Options) -> Json:
        values = [flow, *([] if step is None else [step]), json.dumps(dict(options))]
        try:
            return json.loads(await self._pool.fetchval(statement, *values))
        except asyncpg.PostgresError as error:
            raise await self._refusal(flow, error) from None

    async def _refusal(self, flow: str, error: asyncpg.PostgresError) -> FlowerError | asyncpg.PostgresError:
        if error.sqlstate == "FL404":
            step = json.loads(error.detail or "{}").get("step")
            if step is None:
                return UnknownFlow(flow)
            try:
                await Tasks(self._pool).find(flow, step, parents=0)
            except FlowerError as unknown:
                return unknown
            return UnknownTask(flow, step)
        return refused(error) or error
