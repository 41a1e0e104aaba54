"""From nothing to ready: `python -m flower serve` in an empty folder, its own PostgreSQL made and started on the way."""

from __future__ import annotations

from collections.abc import AsyncIterator
from statistics import median

from bench.ground import Ground
from bench.report import Figure
from bench.served import serving


async def measure(ground: Ground) -> AsyncIterator[Figure]:
    """Yield the seconds until /readyz answers 200."""
    taken = []
    for attempt in range(3):
        folder = ground.folder / f"start-{attempt}"
        folder.mkdir(mode=0o755)
        async with serving(database=None, folder=folder, http=True) as served:
            taken.append(served.ready_seconds)
    yield Figure("`serve` in an empty folder, to /readyz", median(taken), "s", "start", note=f"median of 3; {min(taken):.2f} to {max(taken):.2f}")
