"""Divides the slots of a worker among lanes, and tells the right one when a bell rings.

One lane alone would wait for the database while nothing runs, and run while the database waits.
"""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

from flower.core.model import Claim
from flower.database.store import Store
from flower.engine.accounts import Accounts
from flower.engine.endings import Reason
from flower.engine.lane import Lane
from flower.engine.runner import Runner
from flower.engine.shared import Look, Shared, Standing
from flower.engine.tally import Tally

# A turn costs the database as much as twenty tasks: a smaller lane would mostly pay for its turns.
_SMALLEST_LANE = 10


def lanes(slots: int) -> int:
    """Return how many lanes *slots* are divided among, each with a session of its own: two, or one if they are few."""
    return 2 if slots >= 2 * _SMALLEST_LANE else 1


class Dispatcher:
    """Claims for *worker* as many tasks as *slots* are free, runs them, records how they ended, and has that counted by *tally*."""

    def __init__(self, *, store: Store, worker: UUID, runner: Runner, slots: int, tally: Tally) -> None:
        self._shared = Shared(store, worker, runner, Standing(), Look(), Accounts(store, worker, self._known), tally)
        many = lanes(slots)
        self._lanes = [
            Lane(self._shared, slots=(slots + number) // many, on_full=self._pass_on, on_compared=self.ring_stop) for number in range(many)
        ]

    @property
    def state(self) -> str:
        """How it stands with the database: `ok` or a sentence."""
        return self._shared.standing.state

    @property
    def is_open(self) -> bool:
        """Whether tasks are started."""
        return all(lane.is_open for lane in self._lanes)

    @property
    def unwritten(self) -> int:
        """How many outcomes wait to be written, or for the word that they are."""
        return sum(lane.unwritten for lane in self._lanes)

    @property
    def leaked(self) -> int:
        """How many attempts still go on though they were told to stop, beyond the slots."""
        return sum(lane.slots.leaked for lane in self._lanes)

    def claim_of(self, attempt: asyncio.Task[Any]) -> Claim | None:
        """Return what runs in *attempt*, None if it is no task of ours. May be called from any thread."""
        return next((claim for lane in self._lanes if (claim := lane.slots.claim_of(attempt))), None)

    # The bell: many reasons, one question.

    def ring(self) -> None:
        """Look: something may be claimable, or was changed by a hand."""
        self._shared.look.now()
        next((lane for lane in self._lanes if lane.slots.has_room), self._lanes[0]).ring()

    def ring_stop(self) -> None:
        """Ask which of the claims held here are gone: some running task was cancelled, taken away or set by hand."""
        for lane in self._lanes:
            lane.ring_stop()

    def compare(self, running: int) -> None:
        """Say how many running rows the table has for this worker; look closer if that is not what is held here."""
        if running != sum(lane.accountable for lane in self._lanes):
            self.doubt()

    def doubt(self) -> None:
        """Look for work, and at what the table says that is held here."""
        self._shared.accounts.doubt()
        self._shared.look.now()
        for lane in self._lanes:
            lane.ring()

    # A life.

    async def run(self) -> None:
        """Work until `stop`, and then until every outcome is written. Stays while the database is away."""
        async with asyncio.TaskGroup() as group:
            for lane in self._lanes:
                group.create_task(lane.run())

    async def stop(self, grace_seconds: float, hurried: asyncio.Event) -> None:
        """Start nothing more; give running tasks *grace_seconds*, or until *hurried*, then cancel them and hand them back unharmed."""
        await asyncio.gather(*(lane.stop(grace_seconds, hurried) for lane in self._lanes))

    def give_up(self) -> None:
        """Start nothing more, and stop at once what runs: this worker is lost. To be followed by `stop`."""
        for lane in self._lanes:
            lane.is_open = False
            lane.slots.cancel_all(Reason.LEASE_LOST)
            lane.ring()

    def _pass_on(self) -> None:
        # A lane that is in a turn is rung, too: what came meanwhile it may have missed.
        for lane in self._lanes:
            if lane.slots.has_room:
                lane.ring()

    def _known(self) -> set[UUID]:
        return {claim_id for lane in self._lanes for claim_id in lane.known()}
