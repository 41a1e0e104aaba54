"""What the lanes of one worker share: how it stands with the database, when to look, and which claims are known."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import monotonic
from uuid import UUID

import asyncpg

from flower.core import log
from flower.core.errors import FlowerError
from flower.core.model import Claim
from flower.database.errors import refusal
from flower.database.store import Store
from flower.engine.runner import Runner

# While busy, what hands changed is looked at this often at most: each look costs, and decays under a held snapshot.
LOOK_SECONDS = 0.05

_log = log.get()


class Standing:
    """How the worker stands with its database: `ok` or a sentence. Whichever lane notices first, it is said once."""

    def __init__(self) -> None:
        self.state = "ok"

    def lost(self, error: FlowerError) -> None:
        """Note that the database cannot be reached."""
        if self.state == "ok":
            _log.warning("database.lost", message=str(error))
        self.state = str(error)

    def failed(self, error: asyncpg.PostgresError) -> None:
        """Note that the database refuses a turn, and goes on refusing it."""
        self.state = refusal(error)
        _log.error("cycle.failed", message=self.state)

    def back(self) -> None:
        """Note that a turn went well."""
        if self.state != "ok":
            _log.info("database.back")
            self.state = "ok"


class Look:
    """When what others changed is looked at next. One look is enough for all lanes."""

    def __init__(self) -> None:
        self.due_at = 0.0

    def now(self) -> None:
        """Have the next turn look."""
        self.due_at = 0.0

    def take(self) -> bool:
        """Return whether the turn that begins is to look; the next one is then due later."""
        now = monotonic()
        if now < self.due_at:
            return False
        self.due_at = now + LOOK_SECONDS
        return True


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
    async def turn(self, on_strays: Callable[[list[Claim]], None]) -> AsyncIterator[None]:
        """Let a turn be under way, after a comparison if one is due: *on_strays* gets what nobody here knows of."""
        async with self._door:
            if self._are_in_doubt:
                # What a turn has claimed is in the table before it is known here.
                await self._quiet.wait()
                held = await self._store.workers.held(self._worker)
                known = self._known()
                self._are_in_doubt = False
                on_strays([claim for claim in held if claim.claim_id not in known])
            self._turns += 1
            self._quiet.clear()
        try:
            yield
        finally:
            self._turns -= 1
            if not self._turns:
                self._quiet.set()


@dataclass(frozen=True, slots=True)
class Shared:
    """One for all lanes of *worker*."""

    store: Store
    worker: UUID
    runner: Runner
    standing: Standing
    look: Look
    accounts: Accounts
