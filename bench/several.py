"""One, two and four processes on one database: what more of them bring on a machine of two cores, where PostgreSQL works too."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

from bench.engine import SLOTS, WARM_UP, drained, order
from bench.ground import Ground, session
from bench.report import Figure
from bench.served import serving


async def measure(ground: Ground) -> AsyncIterator[Figure]:
    """Yield no-op tasks a second, for each number of processes."""
    count = 10_000 if ground.is_quick else 50_000
    for processes in (1, 2, 4):
        async with ground.database("several") as url, session(url) as connection, AsyncExitStack() as stack:
            for _ in range(processes):
                await stack.enter_async_context(serving(*SLOTS, "bench.tasks", database=url, folder=ground.folder))
            await drained(connection, await order(connection, WARM_UP))
            result = await drained(connection, await order(connection, count))
            yield Figure(
                f"no-op tasks, {processes} process{'es' if processes > 1 else ''}",
                result.per_second,
                "/s",
                note=f"{result.tasks} tasks, concurrency 100 each",
            )
