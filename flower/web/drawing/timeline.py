"""Draws when the tasks of a flow waited, for what, and ran: a bar per task under an axis of time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from itertools import pairwise

from flower.core.picture import Past, Row
from flower.core.quantities import duration
from flower.core.signals import WAIT_FOR_SIGNAL
from flower.core.status import Gate, Status
from flower.core.steps import number
from flower.web.drawing.marks import fit, mark
from flower.web.words import link

WIDTH, LEFT, TOP, ROW = 780, 190, 30, 26
ZOOMS = (1, 2, 4, 8, 16, 32, 64)
_PLOT = WIDTH - LEFT - 10
_COLUMNS = 22  # of text before a bar
_LEAST = 2.0  # pixels: what is shorter is seen nevertheless
_MOST_TICKS = 8
_SHORTEST = 0.01  # seconds of an axis
_STEPS = (
    *(factor * 10.0**power for power in range(-4, 1) for factor in (1, 2, 5)),
    *(10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200),
    *(86_400.0 * days for days in (1, 2, 7, 14, 28, 91, 182, 365, 1826, 3652, 36_525, 365_250)),
)


class Kind(StrEnum):
    """What a task did in a segment of its bar: wait for its parents, its time, a pause, a signal, a program, a limit, a slot; run, or run in vain."""

    DEPENDENCIES = "dependencies"
    TIME = "time"
    PAUSE = "pause"
    SIGNAL = "signal"
    PROGRAM = "program"
    LIMIT = "limit"
    SLOT = "slot"
    RUNNING = "running"
    ATTEMPT = "attempt"


_WORDS = {
    Kind.DEPENDENCIES: "waited for its parents",
    Kind.TIME: "waited for its time",
    Kind.PAUSE: "waited for the end of a pause",
    Kind.SIGNAL: "waited for a signal",
    Kind.PROGRAM: "waited for a worker with its program",
    Kind.LIMIT: "waited at its limits",
    Kind.SLOT: "waited for a slot",
    Kind.RUNNING: "ran",
    Kind.ATTEMPT: "ran in an earlier attempt",
}


_LEGEND = (
    *((kind.value, words) for kind, words in _WORDS.items() if kind != Kind.RUNNING),
    ("running", "runs"),
    ("running finish", "ran, and finished"),
    ("running failed", "ran, and failed"),
)


@dataclass(frozen=True, slots=True)
class Stretch:
    """What a task did from *start* to *end*."""

    kind: Kind
    start: datetime
    end: datetime

    @property
    def words(self) -> str:
        """What it did, and for how long."""
        return f"{_WORDS[self.kind]}: {duration((self.end - self.start).total_seconds())}"


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch in pixels."""

    x: float
    width: float
    classes: str
    title: str


@dataclass(frozen=True, slots=True)
class Bar:
    """A task. *y*: the top of its row."""

    id: str
    y: int
    href: str
    classes: str
    symbol: str
    name: str
    title: str
    label: str
    current: bool
    segments: tuple[Segment, ...]


@dataclass(frozen=True, slots=True)
class Tick:
    """A line of the axis. *label*: how long after its beginning."""

    x: float
    label: str


@dataclass(frozen=True, slots=True)
class Link:
    """A way to look at the same otherwise. *href* is None where there is no further way."""

    label: str
    href: str | None
    current: bool = False


@dataclass(frozen=True, slots=True)
class Timeline:
    """All of it in pixels. *begin*: when the axis begins, None if there is nothing. *now*: where this moment is, if something runs.

    *legend*: the kinds of segments, and what each means.
    """

    width: int
    height: int
    label: str
    begin: datetime | None
    ticks: tuple[Tick, ...]
    bars: tuple[Bar, ...]
    now: float | None
    zooms: tuple[Link, ...]
    earlier: Link
    later: Link
    legend: tuple[tuple[str, str], ...] = _LEGEND


@dataclass(frozen=True, slots=True)
class _Axis:
    """From *begin* on, *seconds* long."""

    begin: datetime
    seconds: float

    def x(self, moment: datetime) -> float:
        return LEFT + (moment - self.begin).total_seconds() / self.seconds * _PLOT


def stretches(row: Row, past: Past | None, now: datetime) -> tuple[Stretch, ...]:
    """Return what a task did, in order, from its registration to its end or *now*. *past*: what was before its current attempt, if that is known."""
    runs = [Stretch(Kind.ATTEMPT, start, end) for start, end in (past.attempts if past else ())]
    if row.started_at is not None:
        end = row.ended_at or (now if row.status == Status.RUNNING.word else row.started_at)
        runs.append(Stretch(Kind.SIGNAL if row.program == WAIT_FOR_SIGNAL else Kind.RUNNING, row.started_at, end))
    begin = row.registered_at or (runs[0].start if runs else None)
    if begin is None:
        return ()
    done = list(_before(row, past, begin, runs[0].start if runs else row.ended_at or now))
    for one, other in pairwise(runs):
        done += [one, Stretch(Kind.TIME, one.end, other.start)]
    done += runs[-1:]
    if runs and row.status == Status.WAIT.word:  # it was tried, and waits again
        done += _until_now(row, runs[-1].end, now)
    return tuple(stretch for stretch in done if stretch.end > stretch.start or (stretch.end == stretch.start and stretch in runs))


def _before(row: Row, past: Past | None, begin: datetime, first: datetime) -> Iterator[Stretch]:
    """Yield what a task waited for from *begin* until *first*, when it first ran, or came to its end without that, or has not yet."""
    never = row.started_at is None and not (past and past.attempts)
    parents = past.parents_ended_at if past else None
    free = first if never and row.gate in {Gate.DEPENDENCIES, None} else min(max(parents or begin, begin), first)
    yield Stretch(Kind.DEPENDENCIES, begin, free)
    if never and row.status == Status.WAIT.word:
        yield from _until_now(row, free, first)
        return
    # Once it was tried, run_after is when it was to be tried again.
    due = free if past and past.attempts else min(max(row.run_after or free, free), first)
    yield Stretch(Kind.TIME, free, due)
    yield Stretch(Kind.LIMIT if row.limited else Kind.SLOT, due, first)


def _until_now(row: Row, begin: datetime, now: datetime) -> Iterator[Stretch]:
    """Yield what a task that waits has waited for since *begin*: first for its time, then where it stands."""
    kind = Kind(row.gate) if row.gate in set(Kind) else Kind.SLOT
    due = now if kind == Kind.TIME else min(max(row.run_after or begin, begin), now)
    yield Stretch(Kind.TIME, begin, due)
    yield Stretch(kind, due, now)


def draw(
    rows: Sequence[Row],
    pasts: Iterable[Past],
    now: datetime,
    *,
    selected: Decimal | None = None,
    zoom: int = 1,
    at: float = 0,
    query: Mapping[str, str] | None = None,
) -> Timeline:
    """Return *rows* as bars, the task *selected* marked: *zoom* times as wide, from *at* seconds after the beginning on. Links keep *query*."""
    query = query or {}
    known = {str(past.seq): past for past in pasts}  # as text: a seq may be NaN
    done = [(row, stretches(row, known.get(str(row.seq)), now)) for row in rows]
    whole = _axis(done, now)
    axis, at = _zoomed(whole, max(zoom, 1), at)
    bars = tuple(_bar(n, row, found, axis, selected, query) for n, (row, found) in enumerate(done))
    is_live = any(row.status == Status.RUNNING.word for row in rows) and LEFT <= axis.x(now) <= LEFT + _PLOT
    half = axis.seconds / 2
    return Timeline(
        width=WIDTH,
        height=TOP + ROW * len(rows) + 6,
        label=f"{len(rows)} tasks over {duration(whole.seconds)}",
        begin=whole.begin if done else None,
        ticks=tuple(_ticks(axis, at)),
        bars=bars,
        now=round(axis.x(now), 1) if is_live else None,
        zooms=tuple(_zooms(whole, axis, at, query, zoom)),
        earlier=Link("earlier", _moved(query, zoom, max(at - half, 0)) if at > 0 else None),
        later=Link("later", _moved(query, zoom, at + half) if at + axis.seconds < whole.seconds * 0.9999 else None),
    )


def _axis(done: Sequence[tuple[Row, Sequence[Stretch]]], now: datetime) -> _Axis:
    """Return the axis of all that is drawn. What waits only for its parents does not make it longer: a flow may stand still for weeks."""
    begins = [stretch.start for _, found in done for stretch in found[:1]]
    ends = [stretch.end for _, found in done for stretch in found if stretch.end < now or stretch.kind != Kind.DEPENDENCIES]
    begin = min(begins, default=now)
    return _Axis(begin, max((max(ends, default=now) - begin).total_seconds(), _SHORTEST))


def _zoomed(whole: _Axis, zoom: int, at: float) -> tuple[_Axis, float]:
    seconds = whole.seconds / zoom
    at = min(max(at, 0.0), whole.seconds - seconds) if at == at else 0.0  # noqa: PLR0124 - NaN is not itself
    return _Axis(whole.begin + timedelta(seconds=at), seconds), at


def _bar(n: int, row: Row, done: Sequence[Stretch], axis: _Axis, selected: Decimal | None, query: Mapping[str, str]) -> Bar:
    found, seq = mark(row.status, row.outcome), number(row.seq)
    words = found.told(row.attempt)
    return Bar(
        id=f"bar-{seq}",
        y=TOP + n * ROW,
        href=link(query, task=seq),
        classes=f"row {found.kind}" + (" selected" if row.seq == selected else ""),
        symbol=found.symbol,
        name=fit(row.name, _COLUMNS),
        title=f"{row.name} · {words}",
        label=", ".join([f"{row.name}, {words}", *(stretch.words for stretch in done)]),
        current=row.seq == selected,
        segments=tuple(segment for stretch in done if (segment := _segment(stretch, axis, found.kind))),
    )


def _segment(stretch: Stretch, axis: _Axis, drawn: str) -> Segment | None:
    begin, end = axis.x(stretch.start), axis.x(stretch.end)
    if end < LEFT or begin > LEFT + _PLOT:
        return None
    begin, end = max(begin, LEFT), min(end, LEFT + _PLOT)
    width = max(end - begin, _LEAST)
    classes = f"segment {stretch.kind}" + (f" {drawn}" if stretch.kind == Kind.RUNNING else "")
    return Segment(round(min(begin, LEFT + _PLOT - width), 1), round(width, 1), classes, stretch.words)


def _ticks(axis: _Axis, at: float) -> Iterator[Tick]:
    step = next((step for step in _STEPS if axis.seconds / step <= _MOST_TICKS), _STEPS[-1])
    n = -int(-at // step)
    while n * step <= at + axis.seconds and n * step < at + axis.seconds * 2:
        yield Tick(round(LEFT + (n * step - at) / axis.seconds * _PLOT, 1), duration(n * step).replace(".0 s", " s") if n else "0")
        n += 1


def _zooms(whole: _Axis, axis: _Axis, at: float, query: Mapping[str, str], zoom: int) -> Iterator[Link]:
    middle = at + axis.seconds / 2
    for wanted in ZOOMS:
        begin = min(max(middle - whole.seconds / wanted / 2, 0), whole.seconds - whole.seconds / wanted)
        yield Link(f"{wanted}×", _moved(query, wanted, begin), current=wanted == zoom)


def _moved(query: Mapping[str, str], zoom: int, at: float) -> str:
    return link(query, zoom=zoom, at=f"{at:.3f}".rstrip("0").rstrip("."))
