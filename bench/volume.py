"""Whether it stays fast beside many rows: drains divided by the same drains in an empty database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from statistics import median

from bench import raw
from bench.engine import SLOTS, drained, order
from bench.ground import Ground, session
from bench.report import Figure
from bench.served import serving
from bench.workflows import add_finished, add_less_urgent, add_noops, add_waiting
from flower.database.pool import Connection

_TIMES = 3


async def measure(ground: Ground) -> AsyncIterator[Figure]:
    """Yield the ratios of drains, without and with a process around the cycle."""
    many, count = (100_000, 10_000) if ground.is_quick else (1_000_000, 30_000)
    async with AsyncExitStack() as stack:
        urls = [await stack.enter_async_context(ground.database(name)) for name in ("empty", "full")]
        empty, full = [await stack.enter_async_context(session(url)) for url in urls]
        # A quarter of those that wait at each gate: time, dependencies, program and, later, slot.
        await add_waiting(full, many // 4)
        await add_finished(full, many)
        await _settle(full)
        await add_less_urgent(full)
        await _settle(full)
        note = f"{count} tasks beside {many:,} that wait and {many:,} that finished; median of {_TIMES} pairs"
        yield Figure("many rows ÷ empty, raw SQL cycle", await _raw_ratio([empty, full], count), "", "full ÷ empty", note=note)
        yield Figure("many rows ÷ empty, one process", await _engine_ratio(ground, urls, count), "", "full ÷ empty", note=note)


async def _settle(connection: Connection) -> None:
    """Do now what the server would do in the background, while something is being measured."""
    await connection.execute("VACUUM ANALYZE")
    await connection.execute("CHECKPOINT")


async def _raw_ratio(connections: list[Connection], count: int) -> float:
    ratios = []
    for _ in range(_TIMES):
        seconds = []
        for connection in connections:
            worker = await raw.enroll(connection)
            await add_noops(connection, count)
            seconds.append(await raw.drain(connection, worker, count))
            await raw.leave(connection, worker)
        ratios.append(seconds[0] / seconds[1])
    return median(ratios)


async def _engine_ratio(ground: Ground, urls: list[str], count: int) -> float:
    ratios = []
    for _ in range(_TIMES):
        rates = []
        for url in urls:
            async with session(url) as connection:
                # Before the process: it would begin with the less urgent ones.
                ordered = await order(connection, count)
                async with serving(*SLOTS, "bench.tasks", database=url, folder=ground.folder):
                    rates.append((await drained(connection, ordered)).per_second)
        ratios.append(rates[1] / rates[0])
    return median(ratios)
