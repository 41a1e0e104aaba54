"""Small charts: bars over minutes, and the latest flows as a strip."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from flower.core.figures import PastFlow
from flower.core.quantities import duration
from flower.web.drawing.marks import mark

_WIDTH, _HEIGHT, _GAP = 6.0, 48.0, 1.0
_LEAST_HEIGHT = 1.5


@dataclass(frozen=True, slots=True)
class Bar:
    """What was counted in the minute that began *at*: *value*, drawn from *y* down, *height* high."""

    x: float
    y: float
    height: float
    value: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Chart:
    """Bars side by side. *most*: what the highest stands for; *whole*: all of them together."""

    bars: Sequence[Bar]
    width: float
    height: float
    bar_width: float
    most: int
    whole: int


def bars(values: Sequence[tuple[datetime, int]]) -> Chart:
    """Return a chart of *values*, the oldest at the left. What is not zero can be seen, however high the others are."""
    most = max((value for _, value in values), default=0)
    drawn = []
    for place, (at, value) in enumerate(values):
        height = max(_LEAST_HEIGHT, _HEIGHT * value / most) if value > 0 else 0.0
        drawn.append(Bar(place * _WIDTH, round(_HEIGHT - height, 2), round(height, 2), value, at))
    return Chart(drawn, len(values) * _WIDTH, _HEIGHT, _WIDTH - _GAP, most, sum(value for _, value in values))


@dataclass(frozen=True, slots=True)
class Square:
    """One of the latest flows of a workflow. *told*: its status in words, and how long it took."""

    x: int
    y: int
    height: int
    kind: str
    flow_id: str
    told: str


def strip(flows: Sequence[PastFlow]) -> Sequence[Square]:
    """Return *flows* side by side; those that failed are higher, so that they are seen without their colour."""
    return [_square(place, flow) for place, flow in enumerate(flows)]


def _square(place: int, flow: PastFlow) -> Square:
    found = mark(flow.status.word, flow.outcome)
    y, height = (0, 16) if found.kind == "failed" else (3, 10)
    took = "" if flow.seconds is None else f", {duration(flow.seconds)}"
    return Square(place * 10, y, height, found.kind, flow.flow_id, f"{found.word}{took}")
