"""A whole process at work: independent tasks that do nothing, without and with their log lines. Times are the database's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from statistics import median

from bench import raw
from bench.effort import backends, cpu_seconds
from bench.ground import Ground, session
from bench.report import Figure
from bench.served import serving
from bench.workflows import add_noops, statement
from flower.database.pool import Connection

SLOTS = ("--concurrency", "100")
WARM_UP = 2_000
_TIMES = 3
_LOOK_AGAIN_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class Ordered:
    """*tasks* no-op flows, written after *since*."""

    tasks: int
    since: datetime


@dataclass(frozen=True, slots=True)
class Drained:
    """*per_second*: finished tasks, from the first start to the last end. *fifths*: the same of each fifth of them, in order of their ends."""

    tasks: int
    per_second: float
    fifths: tuple[float, ...]


async def order(connection: Connection, count: int, program: str = "noop", parameters: str = "{}") -> Ordered:
    """Write *count* flows of one task of *program*, all at once."""
    since = await connection.fetchval("SELECT clock_timestamp()")
    await add_noops(connection, count, program, parameters)
    return Ordered(count, since)


async def drained(connection: Connection, ordered: Ordered) -> Drained:
    """Wait until all that was *ordered* has finished, and return how fast that was by the table."""
    while await connection.fetchval(statement("busy")):
        await asyncio.sleep(_LOOK_AGAIN_SECONDS)
    row = await connection.fetchrow(statement("drained"), ordered.since)
    if row is None or row["tasks"] != ordered.tasks:
        raise RuntimeError(f"{row and row['tasks']} of {ordered.tasks} tasks finished")
    return Drained(ordered.tasks, row["per_second"], tuple(row["fifths"]))


async def measure(ground: Ground) -> AsyncIterator[Figure]:
    """Yield how many no-op tasks one process runs, at both log levels, each time beside the raw SQL cycle."""
    count = 10_000 if ground.is_quick else 50_000
    async with ground.database("engine") as url, session(url) as connection:
        for level, budget, what in (
            ("warning", "noop", "no-op tasks, one process"),
            ("info", "noop logged", "the same with its log line per attempt"),
        ):
            async with serving(*SLOTS, "bench.tasks", database=url, folder=ground.folder, level=level) as served:
                pairs, effort = await _beside_raw(ground, connection, served.process.pid, count)
            of_raw = median(rate / raw_rate for rate, raw_rate in pairs)
            note = f"{count} tasks, concurrency 100, log level {level}, median of {_TIMES}; {effort}"
            yield Figure(what, median(rate for rate, _ in pairs), "/s", budget, of_raw, note)
            if level == "warning":
                rates = " · ".join(f"{rate:,.0f} / {raw_rate:,.0f}" for rate, raw_rate in pairs)
                yield Figure("no-op tasks, one process ÷ raw SQL cycle", of_raw, "", "noop ÷ raw", note=f"one after the other, median of {rates}")


async def _beside_raw(ground: Ground, connection: Connection, pid: int, count: int) -> tuple[list[tuple[float, float]], str]:
    """Return how many tasks a second the process at *pid* runs and the raw SQL cycle does, by turns: the machine is not the same all the time."""
    await drained(connection, await order(connection, WARM_UP))
    processes = [pid], await backends(connection)
    used = [cpu_seconds(pids) for pids in processes]
    pairs = []
    async with ground.database("beside") as url, session(url) as other:
        worker = await raw.enroll(other)
        for _ in range(_TIMES):
            rate = (await drained(connection, await order(connection, count))).per_second
            await add_noops(other, count)
            pairs.append((rate, count / await raw.drain(other, worker, count)))
    python, server = ((cpu_seconds(pids) - before) / count / _TIMES * 1e6 for pids, before in zip(processes, used, strict=True))
    return pairs, f"per task {python:.0f} µs of CPU in Python, {server:.0f} in PostgreSQL"
