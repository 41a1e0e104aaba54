"""A drain while another session's transaction keeps every dead entry alive: whether it slows down."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bench import raw
from bench.engine import SLOTS, WARM_UP, Drained, drained, order
from bench.ground import Ground, session
from bench.report import Figure
from bench.served import serving


async def measure(ground: Ground) -> AsyncIterator[Figure]:
    """Yield the speed of the last fifth of the tasks, divided by that of the first, without and with a process around the cycle."""
    count = 20_000 if ground.is_quick else 50_000
    async with ground.database("snapshot") as url, session(url) as connection:
        worker = await raw.enroll(connection)
        async with _snapshot(url):
            ordered = await order(connection, count)
            await raw.drain(connection, worker, count)
            yield _decay("raw SQL cycle", await drained(connection, ordered))
        await raw.leave(connection, worker)
        async with serving(*SLOTS, "bench.tasks", database=url, folder=ground.folder):
            await drained(connection, await order(connection, WARM_UP))
            async with _snapshot(url):
                yield _decay("one process", await drained(connection, await order(connection, count)))


@asynccontextmanager
async def _snapshot(url: str) -> AsyncIterator[None]:
    """Be somebody whose report has been running for a long time."""
    async with session(url) as user, user.transaction(isolation="repeatable_read"):
        await user.fetchval("SELECT count(*) FROM kr_worker")
        yield


def _decay(what: str, result: Drained) -> Figure:
    fifths = ", ".join(f"{rate:,.0f}" for rate in result.fifths)
    note = f"{result.tasks} tasks; the fifths {fifths} /s"
    return Figure(f"snapshot held open, last fifth ÷ first, {what}", result.fifths[-1] / result.fifths[0], "", "snapshot", note=note)
