"""Counts how attempts ended, once that is recorded. Writes nothing itself: the heartbeat says what it counted."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from flower.core.figures import Counted
from flower.core.model import Outcome
from flower.core.status import FAULTS, Status, Why


class Tally:
    """All that one worker has recorded since it came. May be used from any thread."""

    def __init__(self) -> None:
        self._lock, self._counted = threading.Lock(), Counted()

    @property
    def counted(self) -> Counted:
        """What was added so far. It only grows."""
        return self._counted

    def add(self, counted: Counted) -> None:
        """Count *counted* as well."""
        with self._lock:
            self._counted += counted


def count(outcomes: Iterable[Outcome]) -> Counted:
    """Return how many of *outcomes* finished, left their task suspended as a fault, or are tried again."""
    finished = failed = retried = 0
    finish = Status.FINISH  # nearly all of them; an enum takes its time to look up a member
    for outcome in outcomes:
        if outcome.status is finish:
            finished += 1
        elif outcome.status is Status.SUSPEND:
            failed += outcome.why in FAULTS
        elif outcome.status is Status.WAIT:
            retried += outcome.why is Why.FAILED
    return Counted(finished, failed, retried)
