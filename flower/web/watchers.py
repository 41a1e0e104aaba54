"""Tells those who watch that something has changed. Looks at the database only while somebody watches; knows nothing of HTTP.

Each watcher has one slot and no queue: what has changed twice before it was told is told once, and whoever is told looks for himself.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from flower.core import log
from flower.core.errors import FlowerError
from flower.database.store.changes import Changes, Snapshot

_log = log.get()

LOOK_SECONDS = 0.1
# A page says how long something waits, and in which place, which no change of its flow tells: something else has changed then.
_EVERYBODY_EVERY_SECONDS = 10.0
_LOST_SECONDS = 1.0


class Watcher:
    """Somebody who watches one flow, or all (None)."""

    def __init__(self, flow_id: str | None) -> None:
        self.flow_id = flow_id
        self.version: str | None = None
        self._bell, self._is_over = asyncio.Event(), False

    def ring(self) -> None:
        """Let it know that something has changed."""
        self._bell.set()

    def end(self) -> None:
        """Let it know that there is nothing more to hear."""
        self._is_over = True
        self._bell.set()

    async def changed(self) -> bool:
        """Wait for a change. False: the watch is over."""
        await self._bell.wait()
        self._bell.clear()
        return not self._is_over


class Watchers:
    """Everybody who watches at this process."""

    def __init__(self, changes: Changes) -> None:
        self._changes = changes
        self._watchers: set[Watcher] = set()
        self._looking: asyncio.Task[None] | None = None
        self._is_over = False

    def __len__(self) -> int:
        return len(self._watchers)

    @asynccontextmanager
    async def watching(self, flow_id: str | None) -> AsyncIterator[Watcher]:
        """Be told, while inside, of what changes in one flow, or in all."""
        watcher = Watcher(flow_id)
        if self._is_over:
            watcher.end()
        self._watchers.add(watcher)
        if self._looking is None:
            self._looking = asyncio.create_task(self._look())
        try:
            yield watcher
        finally:
            self._watchers.discard(watcher)
            if not self._watchers:
                self._looking.cancel()
                self._looking = None

    def end(self) -> None:
        """Send everybody home: the process ends."""
        self._is_over = True
        for watcher in self._watchers:
            watcher.end()

    async def _look(self) -> None:
        loop = asyncio.get_running_loop()
        seen: Snapshot | None = None
        told_all_at = loop.time()
        while True:
            try:
                now = await self._changes.now()
                if seen is None or now.differs_from(seen):
                    is_time = seen is None or loop.time() - told_all_at > _EVERYBODY_EVERY_SECONDS
                    await self._tell(everybody=is_time)
                    told_all_at = loop.time() if is_time else told_all_at
                seen = now
            except (FlowerError, asyncpg.PostgresError) as error:
                _log.debug("watchers.lost", message=str(error))
                # Nobody knows what is missed now: all look again once the database is back.
                seen = None
                await asyncio.sleep(_LOST_SECONDS)
            await asyncio.sleep(LOOK_SECONDS)

    async def _tell(self, *, everybody: bool) -> None:
        flows = {watcher.flow_id for watcher in self._watchers if watcher.flow_id is not None}
        versions = await self._changes.versions(flows) if flows else {}
        for watcher in self._watchers:
            if watcher.flow_id is None:
                watcher.ring()
                continue
            version = versions.get(watcher.flow_id)
            if everybody or version != watcher.version:
                watcher.ring()
            watcher.version = version
