"""What a task raises to say itself how its attempt ends."""

from __future__ import annotations

import math


class Retry(Exception):
    """Try again *after* so many seconds (None: as the task's backoff says), whatever `retry_on` says; as long as there are attempts left."""

    def __init__(self, reason: str = "", *, after: float | None = None) -> None:
        if after is not None and not (isinstance(after, int | float) and math.isfinite(after) and after >= 0):
            raise ValueError(f"Retry(after={after!r}): a number of seconds from 0 is needed")
        super().__init__(reason or "the task asked for another attempt")
        self.after = after


class Suspend(Exception):
    """Wait, without a slot, until a person has decided: `complete` hands in the result, `ignore` skips the task, `retry` runs it again."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)


class Skip(Exception):
    """There is nothing to do: the task is ignored, and whatever depends on it goes on."""

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason or "the task found nothing to do")
