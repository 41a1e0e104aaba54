"""How a status is shown: a symbol, a word and a colour, so that each alone is enough."""

from __future__ import annotations

from dataclasses import dataclass

from flower.core.model import Flow
from flower.core.status import Status, Why
from flower.web.drawing.marks import look, symbol


@dataclass(frozen=True, slots=True)
class Mark:
    """*kind* names the colour in the stylesheet."""

    kind: str
    symbol: str
    word: str


def mark(status: str, outcome: str | None) -> Mark:
    """Return the mark of a task in *status* (its word, or whatever number a hand wrote)."""
    kind = look(status, outcome)
    return Mark(kind, symbol(kind), outcome or status)


def mark_of(flow: Flow) -> Mark:
    """Return the mark of *flow*."""
    if flow.failing is not None:
        return mark(Status.SUSPEND.word, Why.FAILED)
    if flow.status == Status.IGNORE:
        return mark(Status.IGNORE.word, Why.CANCELLED)
    return mark(flow.status.word, flow.outcome if flow.status == Status.SUSPEND else None)
