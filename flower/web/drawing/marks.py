"""How a status looks and is called: a symbol that differs by its shape, classes, words. Also how a name is cut to fit, and where a link leads."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from urllib.parse import urlencode

from flower.core.status import FAULTS, Status

# In the order in which shares of a fold are drawn: what needs a look comes first.
SHARES = ("failed", "suspend", "running", "wait", "finish", "ignore")

_SYMBOLS = {"finish": "✓", "failed": "✕", "suspend": "‖", "running": "▶", "wait": "○", "ignore": "⤼", "odd": "?", "step": "▢"}
_STATES = frozenset(status.word for status in Status)


def look(status: str, outcome: str | None = None) -> str:
    """Return the one word that says how a task is drawn: its status, `failed` if it went wrong, `odd` for a status that means nothing.

    A step of a workflow has no status: `step`.
    """
    if not status:
        return "step"
    if status == Status.SUSPEND.word and outcome in FAULTS:
        return "failed"
    return status if status in _STATES else "odd"


def symbol(look: str) -> str:
    """Return the symbol for that word."""
    return _SYMBOLS[look]


def in_words(status: str, outcome: str | None, attempt: int) -> str:
    """Return how a task is: `finish`, `failed · attempt 2`."""
    return (outcome or status) + (f" · attempt {attempt}" if attempt > 1 else "")


def fit(text: str, columns: int) -> str:
    """Return *text* in one line of at most *columns*, cut with `…`; a wide character takes two."""
    left = columns
    for place, character in enumerate(text):
        left -= 2 if unicodedata.east_asian_width(character) in "WF" else 1
        if left < 0 or (left == 0 and place < len(text) - 1):
            return text[:place] + "…"
    return text


def link(query: Mapping[str, str], **changes: object) -> str:
    """Return a link to the same page with *query*, changed."""
    return "?" + urlencode({**query, **{name: str(value) for name, value in changes.items()}})
