"""How a status looks and is called: a symbol that differs by its shape, a word and a colour. And how a name is cut to fit."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

from flower.core.model import Flow
from flower.core.status import FAULTS, Status, Why

# In the order in which shares of a fold are drawn: what needs a look comes first.
SHARES = ("failed", "suspend", "running", "wait", "finish", "ignore")

_SYMBOLS = {"finish": "✓", "failed": "✕", "suspend": "‖", "running": "▶", "wait": "○", "ignore": "⤼", "odd": "?", "step": "▢"}
_STATES = frozenset(status.word for status in Status)
_ENDED = frozenset({Status.SUSPEND.word, Status.IGNORE.word})


@dataclass(frozen=True, slots=True)
class Mark:
    """*kind* names the colour in the stylesheet."""

    kind: str
    symbol: str
    word: str

    def told(self, attempt: int) -> str:
        """Return the word, and from the second on which attempt it is."""
        return f"{self.word} · attempt {attempt}" if attempt > 1 else self.word


def mark(status: str, outcome: str | None = None) -> Mark:
    """Return the mark of a task in *status*: its word, or whatever number a hand wrote. One that went wrong has a mark of its own."""
    kind = "failed" if status == Status.SUSPEND.word and outcome in FAULTS else status if status in _STATES else "odd"
    # What waits may have failed before: that is told of its attempts.
    return Mark(kind, _SYMBOLS[kind], outcome or status if status in _ENDED else status)


def mark_of(flow: Flow) -> Mark:
    """Return the mark of *flow*."""
    if flow.failing is not None:
        return mark(Status.SUSPEND.word, Why.FAILED)
    if flow.status == Status.IGNORE:
        return mark(Status.IGNORE.word, Why.CANCELLED)
    return mark(flow.status.word, flow.outcome if flow.status == Status.SUSPEND else None)


# A step of a workflow has no status.
STEP = Mark("step", _SYMBOLS["step"], "")


def fit(text: str, columns: int) -> str:
    """Return *text* in one line of at most *columns*, cut with `…`; a wide character takes two."""
    left = columns
    for place, character in enumerate(text):
        left -= 2 if unicodedata.east_asian_width(character) in "WF" else 1
        if left < 0 or (left == 0 and place < len(text) - 1):
            return text[:place] + "…"
    return text
