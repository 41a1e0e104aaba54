"""How a status is shown: a symbol, a word and a colour, so that each alone is enough."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from flower.core.model import Flow
from flower.core.status import FAULTS, Status


@dataclass(frozen=True, slots=True)
class Mark:
    """*kind* names the colour in the stylesheet."""

    kind: str
    symbol: str
    word: str


_SYMBOLS: Final = {"wait": "○", "running": "▶", "suspend": "‖", "failed": "✕", "finish": "✓", "ignore": "⤼"}


def mark(status: str, outcome: str | None) -> Mark:
    """Return the mark of a task in *status* (its word, or whatever number a hand wrote)."""
    kind = "failed" if status == Status.SUSPEND.word and outcome in FAULTS else status if status in _SYMBOLS else "odd"
    return Mark(kind, _SYMBOLS.get(kind, "?"), outcome or status)


def mark_of(flow: Flow) -> Mark:
    """Return the mark of *flow*."""
    if flow.failing is not None:
        return Mark("failed", _SYMBOLS["failed"], "failed")
    if flow.status == Status.IGNORE:
        return Mark("ignore", _SYMBOLS["ignore"], "cancelled")
    return mark(flow.status.word, flow.outcome if flow.status == Status.SUSPEND else None)
