"""Workflows in Python: building and writing a large one, what typed parameters cost, and whether a task in a large flow costs more."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from statistics import median
from time import perf_counter
from uuid import UUID

from bench import raw
from bench.ground import Ground, session
from bench.report import Figure
from bench.workflows import statement
from flower import task
from flower.database.pool import Connection, Pool
from flower.database.store import Store
from flower.sdk.inputs import arguments
from flower.sdk.workflow import Workflow

_STEPS = 1_000
_TIMES = 7
_CALLS = 20_000


@dataclass
class Item:
    """What is handed from step to step."""

    name: str
    day: date
    price: Decimal


@task
async def typed(item: Item, count: int, tags: list[str]) -> None:
    """Take what is converted."""


@task
async def link(before: int = 0, more: dict[str, int] | None = None) -> int:
    """Hand a number on."""
    return before + len(more or {})


def chained() -> int:
    """Build a thousand steps, each with the result of the one before in two places."""
    last = link()
    for _ in range(_STEPS - 1):
        last = link(last, {"a": last})
    return last


async def measure(ground: Ground) -> AsyncIterator[Figure]:
    """Yield the times of a workflow of 1,000 steps, of typed parameters, and of tasks in large and small flows."""
    built = [_timed_build() for _ in range(_TIMES)]
    yield Figure(f"tracing and checking {_STEPS:,} steps", median(built), "ms", "trace", note=f"both times that the body runs; median of {_TIMES}")
    text = json.dumps({"item": {"name": "n", "day": "2026-01-31", "price": "1.50"}, "count": 3, "tags": ["a", "b"]})
    arguments(typed, text, None)
    began = perf_counter()
    for _ in range(_CALLS):
        arguments(typed, text, None)
    each = (perf_counter() - began) / _CALLS * 1e6
    yield Figure("parameters of a typed task", each, "µs", "typed", note=f"a dataclass with a date and a Decimal, an int, a list; {_CALLS:,} times")
    async with ground.database("definitions") as url, session(url) as connection, Pool(url, role="api") as pool:
        definition = Workflow(chained, "chained", "bench", {}).definition
        began = perf_counter()
        await Store(pool).workflows.define(definition, origin="bench", code=True)
        note = "checked and made a revision, in one call"
        yield Figure(f"writing a workflow of {_STEPS:,} steps", (perf_counter() - began) * 1000, "ms", note=note)
        await connection.fetchval("SELECT flower_register('chained')")
        taken = []
        for _ in range(_TIMES):
            began = perf_counter()
            await connection.fetchval("SELECT flower_register('chained')")
            taken.append((perf_counter() - began) * 1000)
        yield Figure(f"registering a flow of {_STEPS:,} steps", median(taken), "ms", "large flow", note=f"median of {_TIMES}")
    yield await _large_and_small(ground)


def _timed_build() -> float:
    began = perf_counter()
    Workflow(chained, "chained", "bench", {}).definition  # noqa: B018 - built when it is asked for
    return (perf_counter() - began) * 1000


async def _large_and_small(ground: Ground) -> Figure:
    """Compare tasks of 10 flows of 1,000 with those of 1,000 flows of 10: all independent, so that only the size of the flow differs."""
    async with ground.database("sizes") as url, session(url) as connection:
        for steps in (10, 1_000):
            await connection.execute(statement("independent"), f"of {steps}", steps)
        worker = await raw.enroll(connection)
        rates: dict[int, list[float]] = {10: [], 1_000: []}
        for _ in range(3):
            for steps, found in rates.items():
                found.append(await _rate(connection, worker, steps, 10_000 // steps))
    large, small = median(rates[1_000]), median(rates[10])
    note = f"raw SQL cycle, {large:,.0f} tasks/s in 10 flows of 1,000, {small:,.0f} in 1,000 flows of 10; median of 3"
    return Figure("tasks of large flows ÷ of small ones", large / small, "", "flow size", note=note)


async def _rate(connection: Connection, worker: UUID, steps: int, flows: int) -> float:
    await connection.execute("SELECT flower_register($1) FROM generate_series(1, $2::integer)", f"of {steps}", flows)
    return steps * flows / await raw.drain(connection, worker, steps * flows)
