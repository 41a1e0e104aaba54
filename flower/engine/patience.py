"""How long to wait before the next try when the database is away. Full jitter: many processes do not come back at one moment."""

from __future__ import annotations

import asyncio
import random

_FIRST_SECONDS = 0.1


class Patience:
    """Waits that double from 0.1 s to *longest_seconds*, each shortened by chance."""

    def __init__(self, *, longest_seconds: float) -> None:
        self._longest, self._next = longest_seconds, _FIRST_SECONDS

    async def wait(self) -> None:
        """Wait before the next try."""
        seconds, self._next = self._next * random.random(), min(self._next * 2, self._longest)  # noqa: S311 - dice, not secrets
        await asyncio.sleep(seconds)

    def reset(self) -> None:
        """Begin with the shortest wait again: a try succeeded."""
        self._next = _FIRST_SECONDS
