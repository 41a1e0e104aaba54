"""Changes: whether anything has happened since the last look. For those who watch; nothing of the engine asks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from flower.database.pool import Pool
from flower.database.queries import query

_XIDS = 2**32


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Which transactions are visible: all before *end* that are not *open*. *beats*: those of them, modulo 2^32, that kept a worker alive."""

    end: int
    open: frozenset[int]
    beats: frozenset[int]

    def differs_from(self, earlier: Snapshot) -> bool:
        """Whether something other than a heartbeat has become visible since *earlier*."""
        ended = earlier.open - self.open
        begun = self.end - earlier.end - sum(xid >= earlier.end for xid in self.open)
        if begun + len(ended) > len(self.beats):
            return True
        new = ended | {xid for xid in range(earlier.end, self.end) if xid not in self.open}
        return not {xid % _XIDS for xid in new} <= self.beats


class Changes:
    """Sends the statements of those who watch."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def now(self) -> Snapshot:
        """Return what can be seen at this moment."""
        (row,) = await self._pool.fetch(query("changes"))
        _, end, open_ = row["snapshot"].split(":")
        return Snapshot(int(end), frozenset(map(int, filter(None, open_.split(",")))), frozenset(row["beats"]))

    async def versions(self, flow_ids: Iterable[str]) -> Mapping[str, str]:
        """Return for each flow a text that is another one after every change of it."""
        return {row["flow_id"]: row["version"] for row in await self._pool.fetch(query("versions"), list(flow_ids))}
