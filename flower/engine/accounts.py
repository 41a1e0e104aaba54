"""Compares what the table says that this worker holds with what it knows of."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from uuid import UUID

from flower.core.model import Claim
from flower.database.store import Store


class Accounts:
    """Finds tasks that the table says this worker holds and it does not: the answer to a claim was lost.

    *known*: the claims that run here or whose outcome waits to be written.
    """

    def __init__(self, store: Store, worker: UUID, known: Callable[[], set[UUID]]) -> None:
        self._store, self._worker, self._known = store, worker, known
        self._are_in_doubt = False
        self._door, self._turns, self._quiet = asyncio.Lock(), 0, asyncio.Event()
        self._quiet.set()

    def doubt(self) -> None:
        """Compare with the table before the next turn."""
        self._are_in_doubt = True

    @asynccontextmanager
    async def turn(self, on_compared: Callable[[list[Claim]], None]) -> AsyncIterator[None]:
        """Let a turn be under way, after a comparison if one is due: *on_compared* gets what nobody here knows of."""
        async with self._door:
            if self._are_in_doubt:
                # What a turn has claimed is in the table before it is known here.
                await self._quiet.wait()
                held = await self._store.workers.held(self._worker)
                known = self._known()
                self._are_in_doubt = False
                on_compared([claim for claim in held if claim.claim_id not in known])
            self._turns += 1
            self._quiet.clear()
        try:
            yield
        finally:
            self._turns -= 1
            if not self._turns:
                self._quiet.set()
