"""Draws the picture of a flow as a graph: boxes with lines between them. What status a task has changes no place, only how its box looks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise

from flower.core.picture import Fold, FoldedBy, Missing, Node, Picture
from flower.core.quantities import counted
from flower.core.status import Status
from flower.core.steps import number
from flower.web.drawing.layers import Part, Spot, arrange
from flower.web.drawing.marks import SHARES, STEP, Mark, fit, mark
from flower.web.words import link

BOX_WIDTH, BOX_HEIGHT = 180, 44
# What a person sees without scrolling sideways.
_WIDE = 780
_MARGIN = 12
_BESIDE, _UNDER = 64, 16  # between boxes, from left to right
_DOWN, _NEXT = 34, 20  # between boxes, from top to bottom
_COLUMNS = 18  # of text in a box
_STRIP_LEFT, _STRIP_WIDTH, _LEAST_SHARE = 10, 160, 3


@dataclass(frozen=True, slots=True)
class Share:
    """How many of the tasks of a fold are drawn alike: a part of its strip, from *x*."""

    x: float
    width: float
    classes: str


@dataclass(frozen=True, slots=True)
class Box:
    """A node. *title* is the whole name, *label* what it is and how, for those who hear it. Without *href*: a task that does not exist."""

    id: str
    x: int
    y: int
    classes: str
    symbol: str
    name: str
    detail: str
    title: str
    label: str
    href: str | None = None
    current: bool = False
    shares: tuple[Share, ...] = ()


@dataclass(frozen=True, slots=True)
class Line:
    """An edge, *d* the path of an SVG. *is_back*: it closes a circle, and points to where the path begins."""

    id: str
    d: str
    classes: str
    is_back: bool = False


@dataclass(frozen=True, slots=True)
class Graph:
    """A picture in pixels. *label*: what it shows."""

    width: int
    height: int
    label: str
    boxes: tuple[Box, ...]
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class _Frame:
    """Where a part stands, and in which direction its layers follow each other."""

    x: int
    y: int
    sideways: bool

    def corner(self, spot: Spot) -> tuple[int, int]:
        if self.sideways:
            return self.x + spot.layer * (BOX_WIDTH + _BESIDE), self.y + round((spot.across - 0.5) * (BOX_HEIGHT + _UNDER))
        return self.x + round((spot.across - 0.5) * (BOX_WIDTH + _NEXT)), self.y + spot.layer * (BOX_HEIGHT + _DOWN)

    def before(self, spot: Spot) -> tuple[int, int]:
        """Return where a line comes to a box."""
        x, y = self.corner(spot)
        return (x, y + BOX_HEIGHT // 2) if self.sideways else (x + BOX_WIDTH // 2, y)

    def after(self, spot: Spot) -> tuple[int, int]:
        """Return where a line leaves a box."""
        x, y = self.corner(spot)
        return (x + BOX_WIDTH, y + BOX_HEIGHT // 2) if self.sideways else (x + BOX_WIDTH // 2, y + BOX_HEIGHT)


def draw(picture: Picture, selected: Decimal | None = None, query: Mapping[str, str] | None = None, *, noun: str = "task") -> Graph:
    """Return *picture* as a graph, the task *selected* marked. Links keep what *query* has, and name what they choose by *noun*."""
    nodes = [*picture.nodes, *picture.missing]
    place = {node.key: n for n, node in enumerate(picture.nodes)}
    edges = [(place[edge.parent], place[edge.child]) for edge in picture.edges]
    edges += [(n, place[missing.child]) for n, missing in enumerate(picture.missing, len(picture.nodes))]
    parts = arrange(len(nodes), edges)
    frames, width, height = _shelve(parts, sideways=_sideways(parts))
    corners: dict[int, tuple[int, int]] = {}
    lines = []
    for part, frame in zip(parts, frames, strict=True):
        corners |= {n: frame.corner(spot) for n, spot in part.spots.items()}
        for (parent, child), way in part.ways.items():
            is_back = (parent, child) in part.back
            begin, end = (child, parent) if is_back else (parent, child)
            path = _path(frame, (part.spots[begin], *way, part.spots[end]))
            kind = " back" if is_back else " missing" if parent >= len(picture.nodes) else ""
            lines.append(Line(f"edge-{_id(nodes[parent])}-{_id(nodes[child])}", path, f"edge{kind}", is_back))
    boxes = [_box(node, corners[n], selected, query or {}, noun) for n, node in enumerate(nodes)]
    size = sum(node.size if isinstance(node, Fold) else 1 for node in picture.nodes)
    return Graph(width, height, f"{counted(size, noun)} and what each comes after", tuple(boxes), tuple(lines))


def _sideways(parts: Sequence[Part]) -> bool:
    """Whether layers follow each other from left to right: few of them do, and so do those that would be even wider from top to bottom."""
    across = max((part.layers for part in parts), default=1) * (BOX_WIDTH + _BESIDE) - _BESIDE
    down = max((part.width for part in parts), default=1) * (BOX_WIDTH + _NEXT) - _NEXT
    return across <= _WIDE or down > max(_WIDE, across)


def _shelve(parts: Sequence[Part], *, sideways: bool) -> tuple[list[_Frame], int, int]:
    """Put parts beside each other while there is room, then under them. Return their frames, the width and the height of all."""
    frames = []
    x = y = _MARGIN
    width = shelf = 0
    for part in parts:
        if sideways:
            wide, high = part.layers * (BOX_WIDTH + _BESIDE) - _BESIDE, round(part.width * (BOX_HEIGHT + _UNDER)) - _UNDER
        else:
            wide, high = round(part.width * (BOX_WIDTH + _NEXT)) - _NEXT, part.layers * (BOX_HEIGHT + _DOWN) - _DOWN
        if x > _MARGIN and x + wide > _WIDE:
            x, y, shelf = _MARGIN, y + shelf + 2 * _UNDER, 0
        frames.append(_Frame(x, y, sideways))
        width, shelf = max(width, x + wide), max(shelf, high)
        x += wide + _NEXT
    return frames, width + _MARGIN, y + shelf + _MARGIN


def _path(frame: _Frame, way: Sequence[Spot]) -> str:
    """Return a smooth line that leaves the first box, passes between others where the way says so, and comes to the last."""
    (x, y), path = frame.after(way[0]), []
    path.append(f"M{x} {y}")
    for n, spot in enumerate(way[1:], 2):
        to_x, to_y = frame.before(spot)
        if frame.sideways:
            middle = (x + to_x) // 2 if to_x > x else x + _BESIDE // 2
            path.append(f"C{middle} {y} {to_x - (middle - x)} {to_y} {to_x} {to_y}")
        else:
            middle = (y + to_y) // 2 if to_y > y else y + _DOWN // 2
            path.append(f"C{x} {middle} {to_x} {to_y - (middle - y)} {to_x} {to_y}")
        x, y = to_x, to_y
        if n < len(way):
            x, y = frame.after(spot)
            path.append(f"L{x} {y}")
    return "".join(path)


def _box(node: Node | Fold | Missing, corner: tuple[int, int], selected: Decimal | None, query: Mapping[str, str], noun: str) -> Box:
    if isinstance(node, Fold):
        return _of_fold(node, corner, query)
    if isinstance(node, Missing):
        name, more = f"task {number(node.seq)}", f" and {node.count - 1} more" if node.count > 1 else ""
        label = f"{name}{more}, which does not exist"
        return Box(_id(node), *corner, "node missing", "?", fit(name + more, _COLUMNS), "does not exist", name, label)
    shown, words = _mark(node)
    return Box(
        _id(node),
        *corner,
        classes=f"node {shown.kind}" + (" selected" if node.seq == selected else ""),
        symbol=shown.symbol,
        name=fit(node.name, _COLUMNS),
        detail=words,
        title=f"{node.name} · {words}",
        label=f"{node.name}, {words}",
        href=link(query, **{noun: number(node.seq)}),
        current=node.seq == selected,
    )


def _mark(node: Node) -> tuple[Mark, str]:
    if node.status is None:
        return STEP, node.program or ""
    found = mark(node.status, node.outcome)
    return found, found.told(node.attempt)


def _of_fold(fold: Fold, corner: tuple[int, int], query: Mapping[str, str]) -> Box:
    many = counted(fold.size, "task")
    is_far = fold.by in {FoldedBy.BEFORE, FoldedBy.AFTER}
    name = f"{many} {fold.by}" if is_far else fold.name or "different programs"
    kinds = {"failed": fold.faults, **fold.counts, "suspend": fold.counts["suspend"] - fold.faults}
    told = [f"{kinds[kind]:,} {kind}" for kind in SHARES if kinds.get(kind)]
    said = f"{name}: " + ", ".join(told if is_far else [many, *told])
    return Box(
        _id(fold),
        *corner,
        classes="node fold" + (" failed" if fold.faults else ""),
        symbol="≡",
        name=fit(name, _COLUMNS),
        detail=told[0] if is_far else f"×{fold.size:,} · {told[0]}" if len(told) > 1 else f"×{told[0]}",
        title=said,
        label=said,
        href=link(query, view="table", **_rows_of(fold)),
        shares=tuple(_shares(kinds, fold.size)),
    )


def _rows_of(fold: Fold) -> dict[str, str]:
    """Return which rows of the table are meant: what failed of a fold, else all of it, else those from its first on."""
    if fold.by is not FoldedBy.ALIKE or not fold.program:
        return {"from": number(fold.seq)}
    return {"program": fold.program} | ({"status": Status.SUSPEND.word} if fold.faults else {})


def _shares(kinds: Mapping[str, int], size: int) -> list[Share]:
    """Return parts of the strip in proportion, each at least wide enough to be seen."""
    shown = [kind for kind in SHARES if kinds.get(kind)]
    room = _STRIP_WIDTH - _LEAST_SHARE * len(shown)
    ends = [0.0]
    for kind in shown:
        ends.append(ends[-1] + _LEAST_SHARE + room * kinds[kind] / size)
    return [
        Share(round(_STRIP_LEFT + begin, 1), round(end - begin, 1), f"share {kind}") for kind, (begin, end) in zip(shown, pairwise(ends), strict=True)
    ]


def _id(node: Node | Fold | Missing) -> str:
    if isinstance(node, Node):
        return f"node-{number(node.seq)}"
    if isinstance(node, Missing):
        return f"missing-{node.child}"
    return node.key if node.key.startswith("fold-") else f"fold-{node.key}"
