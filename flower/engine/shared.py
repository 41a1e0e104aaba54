"""What the lanes of one worker share: how it stands with the database, when to look, which claims are known."""

from __future__ import annotations

from dataclasses import dataclass
from time import monotonic
from uuid import UUID

import asyncpg

from flower.core import log
from flower.core.errors import FlowerError
from flower.database.errors import refusal
from flower.database.store import Store
from flower.engine.accounts import Accounts
from flower.engine.runner import Runner
from flower.engine.tally import Tally

# While busy, what hands changed is looked at this often at most: each look costs, and decays under a held snapshot.
LOOK_SECONDS = 0.05

_log = log.get()


class Standing:
    """How the worker stands with its database: `ok`, or a sentence from a lane that is in trouble. What befalls all of them is said once."""

    def __init__(self) -> None:
        self._troubles: dict[object, str] = {}

    @property
    def state(self) -> str:
        """`ok` or a sentence."""
        return next(iter(self._troubles.values()), "ok")

    def lost(self, lane: object, error: FlowerError) -> None:
        """Note that *lane* cannot reach the database."""
        if not self._troubles:
            _log.warning("database.lost", message=str(error))
        self._troubles[lane] = str(error)

    def failed(self, lane: object, error: asyncpg.PostgresError) -> None:
        """Note that the database refuses a turn of *lane*, and goes on refusing it."""
        self._troubles[lane] = refusal(error)
        _log.error("cycle.failed", message=self._troubles[lane])

    def back(self, lane: object) -> None:
        """Note that a turn of *lane* went well."""
        if self._troubles.pop(lane, "") and not self._troubles:
            _log.info("database.back")


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


@dataclass(frozen=True, slots=True)
class Shared:
    """One for all lanes of *worker*."""

    store: Store
    worker: UUID
    runner: Runner
    standing: Standing
    look: Look
    accounts: Accounts
    tally: Tally
