"""Flows: starting, finding and reading them."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import asyncpg

from flower.core.errors import AmbiguousFlow, FieldError, FlowerError, Invalid, KeyReused, OrdersRefused, UnknownFlow
from flower.core.model import Flow, Given, NotBegun, Order, Page, Registered, Task, Waiting
from flower.core.status import words
from flower.core.strict import is_clean
from flower.core.waiting import sentences
from flower.database.errors import invalid
from flower.database.pool import Pool
from flower.database.queries import query
from flower.database.store.rows import flow_of, json_of, standing_of, task_of
from flower.database.store.workers import Workers
from flower.database.store.workflows import Workflows

# What is told to whoever wanted a flow to run at a time that has passed.
PAST = "runAt is in the past: the flow runs now"

# A part of a list looks at so many flows, and for so long: where each has two tasks both come to 25 ms, half of what a list may take.
_MOST_FLOWS = 10_000
_PATIENCE = timedelta(milliseconds=20)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a part of a list ended. *named*: among those flows that come first, as the text is their id or its beginning."""

    at: datetime | None = None
    flow_id: str | None = None
    named: bool = False


class Flows:
    """Sends the statements about flows. A part of a list looks at *most_flows* at most, and begins with no more of them after *patience*."""

    def __init__(self, pool: Pool, *, most_flows: int = _MOST_FLOWS, patience: timedelta = _PATIENCE) -> None:
        self._pool = pool
        self._most_flows, self._patience = most_flows, patience

    async def register(self, order: Order) -> Registered:
        """Start one flow. Raises UnknownWorkflow, Invalid, KeyReused or DatabaseLost; nothing is registered then, or, at DatabaseLost, perhaps."""
        try:
            return (await self.register_all([order]))[0]
        except asyncpg.PostgresError as error:
            raise await self._refusal(order, error) from None

    async def register_all(self, orders: Sequence[Order]) -> tuple[Registered, ...]:
        """Start all flows in one transaction, or none: then with PostgreSQL's error for one of them."""
        rows = await self._pool.fetch(
            query("register"),
            [order.workflow for order in orders],
            [json.dumps(order.parameters) for order in orders],
            [json.dumps(order.options) for order in orders],
        )
        return tuple(map(_registered, rows))

    async def register_list(
        self, orders: Sequence[Order], places: Sequence[int] | None = None, *, only_check: bool = False
    ) -> tuple[Registered, ...]:
        """Start all flows in one transaction, or none. Raises OrdersRefused with all that is wrong with any of *orders*, or DatabaseLost.

        *places*: where in the list that was sent each stands. *only_check*: start nothing, only raise.
        """
        places = range(len(orders)) if places is None else places
        try:
            rows = await self._pool.fetch(
                query("register_list"),
                [order.workflow for order in orders],
                [json.dumps(order.parameters) for order in orders],
                [json.dumps(order.options) for order in orders],
                list(places),
                only_check,
            )
        except asyncpg.PostgresError as error:
            if only_check and error.sqlstate == "FL001":
                return ()
            wrong = invalid(error)
            if wrong is None:
                raise
            raise OrdersRefused([await self._hinted(item, dict(zip(places, orders, strict=True))) for item in wrong.errors], len(orders)) from None
        return tuple(map(_registered, rows))

    async def _hinted(self, error: FieldError, orders: Mapping[int, Order]) -> FieldError:
        place = error.path.removesuffix("].taskId").removeprefix("[")
        if not place.isdecimal():
            return error
        return FieldError(error.path, str(await Workflows(self._pool).unknown(orders[int(place)].workflow)))

    async def _refusal(self, order: Order, error: asyncpg.PostgresError) -> FlowerError | asyncpg.PostgresError:
        if error.sqlstate == "FL404":
            return await Workflows(self._pool).unknown(order.workflow)
        if error.sqlstate == "FL409":
            return KeyReused(order.options["idempotencyKey"])
        return invalid(error) or error

    async def find(self, reference: str) -> str:
        """Return the id that *reference* means: an id, a unique beginning of one, or `last`. Raises UnknownFlow or AmbiguousFlow."""
        if reference == "last":
            found = await self._pool.fetch(query("last_flow"))
        else:
            found = await self._pool.fetch(query("find_flow"), reference.replace("\0", "")) if reference else ()
        if len(found) > 1:
            raise AmbiguousFlow(reference, [row["flow_id"] for row in found])
        if not found:
            raise UnknownFlow(reference)
        return str(found[0]["flow_id"])

    async def get(self, flow_id: str) -> Flow:
        """Return a flow by its whole id. Raises UnknownFlow."""
        row = await self._pool.fetchrow(query("flow"), flow_id)
        if row is None:
            raise UnknownFlow(flow_id)
        return flow_of(row)

    async def given(self, flow_id: str) -> Given:
        """Return what a flow was started with, and what it has resulted in so far: None if its workflow says nothing of that."""
        row = await self._pool.fetchrow(query("flow_given"), flow_id)
        return Given(None, None) if row is None else Given(json_of(row["parameters"]), json_of(row["result"]))

    async def tasks(self, flow_id: str) -> tuple[Task, ...]:
        """Return all tasks of a flow in order of their seq; none if there is no such flow."""
        return tuple(task_of(row) for row in await self._pool.fetch(query("tasks_of_flow"), flow_id))

    async def list(
        self,
        *,
        status: str | None = None,
        outcome: str | None = None,
        workflow: str | None = None,
        text: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 50,
        after: str | None = None,
    ) -> Page:
        """Return a page of flows, the newest first. It may have fewer than *limit*, or none, and a `next`: see Page.

        *status* takes the word of an outcome, too (`failed`). *text* stands, in capitals or not, in the flow's id, its parameters or those of its
        tasks, or in their errors; flows whose id it is or begins come first of all. *since*, and before *until*: when it was registered.
        Raises Invalid for an unknown word or cursor.
        """
        status, outcome = words(status, outcome)
        seen = _cursor(after) if after else _Place()
        asked = (status, outcome, workflow, text or None, since, until, seen.named, seen.at, seen.flow_id, limit + 1)
        rows = await self._pool.fetch(query("flows"), *asked, self._most_flows, self._patience)
        items = tuple(flow_of(row) for row in rows[:limit] if row["flow_id"] is not None)
        if len(rows) > limit and rows[limit]["flow_id"] is not None:
            return Page(items, _cursor_of(rows[limit - 1]))
        if rows and rows[-1]["flow_id"] is None:
            return Page(items, _cursor_of(rows[-1]), searched_to=rows[-1]["at_ts"])
        return Page(items, None)

    async def not_begun(self, programs: Sequence[str]) -> tuple[NotBegun, ...]:
        """Return every task of *programs* that has not begun."""
        rows = await self._pool.fetch(query("not_begun"), list(programs))
        return tuple(NotBegun(row["workflow"], row["program"], row["parameters"], tuple(row["filled"])) for row in rows)

    async def why(self, flow_id: str, seq: Decimal | None = None) -> tuple[Waiting, ...]:
        """Return, for each task that neither runs nor is over, or for the one with *seq*, all reasons."""
        workers = await Workers(self._pool).alive()
        programs = sorted({program for worker in workers for program in worker.programs})
        standing = [standing_of(row) for row in await self._pool.fetch(query("why"), flow_id, seq)]
        return tuple(Waiting(task.seq, task.name, task.gate, sentences(task, len(workers), programs)) for task in standing)

    async def advance(self, flow_id: str) -> None:
        """Make it time for those tasks of a flow whose time comes next, if all that is left of it waits for a time."""
        await self._pool.execute(query("advance"), flow_id)

    @asynccontextmanager
    async def awaited(self, flow_id: str) -> AsyncIterator[None]:
        """While inside, the engine rings the channel flower_end when the flow has nothing left to do."""
        waiter = uuid4()
        await self._pool.execute(query("await_flow"), flow_id, waiter)
        try:
            yield
        finally:
            await self._pool.execute(query("forget_waiter"), waiter)


def _registered(row: asyncpg.Record) -> Registered:
    return Registered(row["flow_id"], row["duplicate"], row["skipped"], PAST if row["is_past"] else None)


def _cursor_of(row: asyncpg.Record) -> str:
    place = [row["at_ts"].isoformat(), row["at_flow"], *([True] if row["named"] else [])]
    return base64.urlsafe_b64encode(json.dumps(place).encode()).decode().rstrip("=")


def _cursor(text: str) -> _Place:
    try:
        at, flow_id, *named = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        seen = _Place(datetime.fromisoformat(at), str(flow_id), named=bool(named))
    except (ValueError, TypeError, RecursionError):
        seen = _Place()
    # Anyone can make one up: a time without a zone or a NUL character is what PostgreSQL would trip over.
    if seen.at is None or seen.flow_id is None or seen.at.tzinfo is None or not is_clean(seen.flow_id):
        raise Invalid([FieldError("after", "is not a cursor that a list gave as `next`")])
    return seen
