"""Gathers how attempts ended until the next cycle takes them, and counts those that are recorded. Writes nothing itself."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from uuid import UUID

from flower.core.figures import Counted
from flower.core.model import Outcome
from flower.engine.tally import Tally, count

# One call carries at most this many: arrays of that size stay cheap, and a failing call is sent again soon.
_MOST = 1_000


class Recorder:
    """A batch that grows while the last one is written. What is recorded is counted by *tally*."""

    def __init__(self, tally: Tally) -> None:
        self._outcomes: deque[Outcome] = deque()
        self._tally = tally

    def add(self, outcome: Outcome) -> None:
        """Keep *outcome* for the next cycle."""
        self._outcomes.append(outcome)

    def take(self) -> list[Outcome]:
        """Hand over what was gathered, the oldest first, at most 1,000."""
        return [self._outcomes.popleft() for _ in range(min(len(self._outcomes), _MOST))]

    def put_back(self, outcomes: Iterable[Outcome]) -> None:
        """Keep *outcomes* again, before all others: they were not written, or nobody knows whether they were."""
        self._outcomes.extendleft(reversed(list(outcomes)))

    def recorded(self, outcomes: Iterable[Outcome], *, unstorable: int = 0) -> None:
        """Count *outcomes*: they stand in the database. As many more as *unstorable* could not be stored, and stand there as failed."""
        self._tally.add(count(outcomes) + Counted(failed=unstorable))

    def claims(self) -> frozenset[UUID]:
        """Return the claims whose outcome waits here."""
        return frozenset(outcome.claim.claim_id for outcome in self._outcomes)

    def __len__(self) -> int:
        return len(self._outcomes)
