"""Figures of the whole: what is not over, what was recorded of late, and how the database stands. None of them counts history."""

from __future__ import annotations

from collections import defaultdict

from flower.core.figures import Count, Counted, Minute, OpenCounts, OpenTransaction, Sizes
from flower.core.status import Gate, Status
from flower.database.pool import Pool
from flower.database.queries import query

# As far as anybody counts: beyond it `more` is true.
MOST_TASKS = 10_000
MOST_FLOWS = 1_000
_OPEN = (Status.WAIT, Status.RUNNING, Status.SUSPEND)
# The gate of what nobody has looked at yet.
_NEW = "new"


class Overview:
    """Sends the statements about the whole."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def open(self) -> OpenCounts:
        """Count what is not over: of tasks up to 10,000 at each gate and in each status, of flows up to 1,000 in each status."""
        found: dict[str, dict[str, Count]] = defaultdict(dict)
        for row in await self._pool.fetch(query("open_counts"), MOST_TASKS, MOST_FLOWS):
            found[row["what"]][row["word"] or _NEW] = Count(row["number"], row["more"])
        gates = {gate: found["gate"].get(gate, Count()) for gate in (_NEW, *(gate.value for gate in Gate))}
        tasks = found["status"] | {Status.WAIT.word: sum(gates.values(), Count())}
        flows, words = found["flow"], [status.word for status in _OPEN]
        return OpenCounts({word: flows.get(word, Count()) for word in words}, {word: tasks.get(word, Count()) for word in words}, gates)

    async def lag(self) -> float | None:
        """Return for how many seconds the first in line for a slot could have been running; None if nobody is in line."""
        seconds: float | None = await self._pool.fetchval(query("lag"))
        return seconds

    async def throughput(self, minutes: int = 60) -> tuple[Minute, ...]:
        """Return what was recorded in each of the last *minutes*, the oldest first; the last one is still going on."""
        rows = await self._pool.fetch(query("throughput"), minutes)
        return tuple(Minute(row["minute"], Counted(row["finished"], row["failed"], row["retried"])) for row in rows)

    async def oldest_snapshot(self) -> OpenTransaction | None:
        """Return the oldest transaction that keeps the server from removing dead rows, as far as this role may see; None: there is none."""
        row = await self._pool.fetchrow(query("oldest_snapshot"))
        return None if row is None else OpenTransaction(row["seconds"], row["application"], row["pid"], row["state"] or "", row["role"] or "")

    async def sizes(self) -> Sizes:
        """Return how large the database is, and Flower's tables."""
        rows = await self._pool.fetch(query("sizes"), self._pool.schema)
        return Sizes(rows[0]["database"] if rows else 0, {row["name"]: row["bytes"] for row in rows})
