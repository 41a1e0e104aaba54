"""How a process is asked to end: in order first, at once when asked again."""

from __future__ import annotations

import asyncio


class Stop:
    """Two bells. *asked*: end in order. *hurried*: asked again, so do not wait for tasks."""

    def __init__(self) -> None:
        self.asked, self.hurried = asyncio.Event(), asyncio.Event()

    def ask(self) -> bool:
        """Ask, or ask again. False: it was asked for the third time, and should be ended by force."""
        if not self.asked.is_set():
            self.asked.set()
        elif not self.hurried.is_set():
            self.hurried.set()
        else:
            return False
        return True
