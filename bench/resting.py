"""Tasks that last: how much of what the slots allow is reached, with tasks of 1 ms and of 50 ms."""

from __future__ import annotations

from collections.abc import AsyncIterator

from bench.engine import SLOTS, WARM_UP, drained, order
from bench.ground import Ground, session
from bench.report import Figure
from bench.served import serving

_SLOTS = int(SLOTS[1])


async def measure(ground: Ground) -> AsyncIterator[Figure]:
    """Yield tasks a second, for both lengths."""
    async with (
        ground.database("resting") as url,
        session(url) as connection,
        serving(*SLOTS, "bench.tasks", database=url, folder=ground.folder),
    ):
        await drained(connection, await order(connection, WARM_UP))
        for milliseconds, count in ((1, 20_000), (50, 10_000)):
            result = await drained(
                connection, await order(connection, count // (4 if ground.is_quick else 1), "rest", f'{{"seconds": {milliseconds / 1000}}}')
            )
            most = _SLOTS / milliseconds * 1000
            note = f"{result.tasks} tasks, {_SLOTS} slots, which allow {most:,.0f} /s at most"
            yield Figure(f"tasks of {milliseconds} ms, one process", result.per_second, "/s", note=note)
