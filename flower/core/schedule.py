"""When a workflow starts by the clock: `Cron`, `Every`, and which of a schedule's times make a flow. Pure: what time it is, the database says."""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Iterator
from dataclasses import InitVar, dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile
from typing import Literal, TypeAlias

from flower.core.cron import cron_times, read_cron, zone_named
from flower.core.errors import FieldError, Invalid
from flower.core.model import Json
from flower.core.quantities import span

# What is late by no more was no downtime: whoever makes flows was busy.
GRACE = timedelta(minutes=1)
# So many times of one schedule make a flow in one transaction; the rest follow in the next.
MOST_AT_ONCE = 100
# Why code does not write its schedule.
LEFT_ALONE = "a schedule of this name is there that no code has written; remove it (python -m flower schedule remove), or let it be"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SHORTEST, _LONGEST = timedelta(seconds=1), timedelta(days=3650)

CatchUp: TypeAlias = Literal["none", "last", "all"]
Overlap: TypeAlias = Literal["skip", "queue", "cancel"]
OnFailure: TypeAlias = Literal["go-on", "hold"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rules:
    """What holds however the times are given.

    *parameters*: of each flow. *priority*: as the workflow's, if None. *catch_up*: which of the times that were missed for longer than a minute make
    a flow: none, the last, or all, up to *catch_up_most* of the latest. *overlap*: what happens while a flow that the schedule made is in progress:
    the time is skipped, waits in a queue, or cancels the flow. *on_failure*: `hold`, and a flow that has failed counts as in progress until somebody
    sees to it.
    """

    parameters: dict[str, Json] | None = None
    priority: int | None = None
    catch_up: CatchUp = "last"
    catch_up_most: int = 100
    overlap: Overlap = "queue"
    on_failure: OnFailure = "go-on"

    def _options(self, workflow: str) -> dict[str, Json]:
        return {
            "workflow": workflow,
            "parameters": self.parameters,
            "priority": self.priority,
            "catchUp": self.catch_up,
            "catchUpMost": self.catch_up_most,
            "overlap": self.overlap,
            "onFailure": self.on_failure,
        }


@dataclass(frozen=True, slots=True)
class Cron(_Rules):
    """Starts a workflow at the times of a cron expression of five fields, on the clock of a *zone* (`Europe/Paris`).

    A fixed time fires once, whatever the clock does: where it jumps over the time, at the first instant after it; where it shows it twice, at the
    first. Raises ValueError for what makes no sense.
    """

    expression: str
    zone: str = "UTC"

    def __post_init__(self) -> None:
        read_cron(self.expression)
        zone_named(self.zone)

    def times(self, after: datetime) -> Iterator[datetime]:
        """Yield its times behind *after*, in UTC and in order."""
        return cron_times(self.expression, zone_named(self.zone), after)

    def options(self, workflow: str) -> dict[str, Json]:
        """Return it as `flower_schedule` takes it."""
        return self._options(workflow) | {"cron": self.expression, "zone": self.zone}


@dataclass(frozen=True, slots=True)
class Every(_Rules):
    """Starts a workflow every so long (`"15m"`, or a timedelta), at multiples of it since 1970 in UTC. Raises ValueError for less than a second."""

    every: InitVar[timedelta | str]
    period: timedelta = field(init=False)

    def __post_init__(self, every: timedelta | str) -> None:
        object.__setattr__(self, "period", read_every(every) if isinstance(every, str) else _bounded(every, str(every)))

    def times(self, after: datetime) -> Iterator[datetime]:
        """Yield its times behind *after*, in UTC and in order."""
        try:
            at = _EPOCH + self.period * ((after - _EPOCH) // self.period + 1)
            while True:
                yield at
                at += self.period
        except OverflowError:
            return

    def options(self, workflow: str) -> dict[str, Json]:
        """Return it as `flower_schedule` takes it."""
        return self._options(workflow) | {"every": self.period.total_seconds()}


Timetable: TypeAlias = Cron | Every


def read_every(text: str) -> timedelta:
    """Return how long *text* (`10s`, `15m`, `2h`, `1d`) is. Raises ValueError for what is no such text, and for less than a second."""
    try:
        return _bounded(span(text), text)
    except OverflowError:
        raise ValueError(_bounds(text)) from None


def _bounded(every: timedelta, text: str) -> timedelta:
    if not _SHORTEST <= every <= _LONGEST:
        raise ValueError(_bounds(text))
    return every


def _bounds(text: str) -> str:
    return f"every {text}: at least a second and at most 3650 days are possible"


def hash_of(timetable: Timetable, workflow: str) -> str:
    """Return what tells whether code says the same as before."""
    return hashlib.sha256(json.dumps(timetable.options(workflow), sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Schedule:
    """One row of `ms_schedule`, as anybody may have written it.

    *next_at*: its first time that was not handled, None: nobody has worked it out yet. *last_at*: its latest that was. *passed_at*: the latest that
    made no flow, and *passed_why*. *error*: why it has stopped itself. *waiting*: how many times wait for one of the flows *in_progress* to end.
    *now*: when it was read.
    """

    name: str
    workflow: str
    cron: str | None
    every: timedelta | None
    zone: str
    parameters: Json
    priority: int | None
    catch_up: str
    catch_up_most: int
    overlap: str
    on_failure: str
    paused: bool
    reason: str | None
    error: str | None
    since_at: datetime
    next_at: datetime | None
    last_at: datetime | None
    passed_at: datetime | None
    passed_why: str | None
    by_code: bool
    waiting: int
    in_progress: tuple[str, ...]
    now: datetime

    @property
    def timetable(self) -> Timetable:
        """When it fires. Raises ValueError if that makes no sense."""
        return timetable_of(self.cron, self.every, self.zone)

    def upcoming(self, count: int = 5) -> tuple[datetime, ...]:
        """Return its next times, none if what is written makes no sense."""
        try:
            return tuple(islice(self.timetable.times(max(self.now, self.since_at)), count))
        except ValueError:
            return ()

    @property
    def obstacles(self) -> tuple[str, ...]:
        """Why it makes no flow although its time comes, in sentences."""
        told = []
        if self.paused:
            told.append("it is paused" + (f": {self.reason}" if self.reason else ""))
        if self.error is not None:
            told.append(f"it has stopped itself: {self.error}")
        if self.waiting:
            told.append(
                f"{self.waiting} of its times wait for a flow to end (overlap {self.overlap}): {', '.join(self.in_progress) or 'it begins at once'}"
            )
        return tuple(told)


def timetable_of(cron: str | None, every: timedelta | None, zone: str) -> Timetable:
    """Return what a row says. Raises ValueError if that makes no sense."""
    if cron is not None:
        return Cron(cron, zone)
    if every is None:
        raise ValueError("it has neither cron nor every")
    return Every(every)


@dataclass(frozen=True, slots=True)
class Due:
    """What becomes of a schedule whose row was looked at: *times* make a flow, *next_at* (None: never again) is the first that is not handled.

    *passed*: the latest of those that make none, if there are any.
    """

    times: tuple[datetime, ...]
    next_at: datetime | None
    passed: datetime | None = None


def due(timetable: Timetable, catch_up: str, most: int, *, after: datetime, now: datetime) -> Due:
    """Return which of the times behind *after*, up to *now*, make a flow.

    All of them, if none is late by more than `GRACE`. After a longer pause *catch_up* decides: all, up to *most* of the latest; or one, the last; or
    none, unless the last is not late.
    """
    first = next(timetable.times(after), None)
    if first is None or first > now:
        return Due((), first)
    if first > now - GRACE:
        missed = list(takewhile(lambda at: at <= now, timetable.times(after)))
        chosen = missed
    else:
        wanted = most if catch_up == "all" else 1
        missed = _latest(timetable, after, now, wanted + 1)
        chosen = [at for at in missed[-wanted:] if catch_up != "none" or at > now - GRACE]
    times = tuple(chosen[:MOST_AT_ONCE])
    next_at = chosen[MOST_AT_ONCE] if len(chosen) > MOST_AT_ONCE else next(timetable.times(now), None)
    if first not in chosen:
        before = [at for at in (first, *missed) if not chosen or at < chosen[0]]
        return Due(times, next_at, before[-1])
    return Due(times, next_at)


@dataclass(frozen=True, slots=True)
class Backfilled:
    """What became of a range of a schedule's times: *times* had no flow yet, *there* had one; *made*: for how many of *times* one was made."""

    schedule: str
    times: tuple[datetime, ...]
    made: int
    there: int
    is_planned: bool = False


def backfill_times(found: Schedule, since: datetime, until: datetime, most: int) -> tuple[datetime, ...]:
    """Return the times of *found* from *since* to *until*, both included. Raises Invalid, by from and to, for a range that cannot be filled.

    That is one whose end lies in the future, or before its begin, or that has more than *most* times.
    """
    if until > found.now:
        raise Invalid([FieldError("to", "lies in the future: what comes then comes by itself")])
    if since > until:
        raise Invalid([FieldError("from", "lies behind the end of the range")])
    try:
        coming = takewhile(lambda at: at <= until, found.timetable.times(since - timedelta(microseconds=1)))
        times = tuple(islice(coming, most + 1))
    except OverflowError:
        raise Invalid([FieldError("from", "lies too far back: no time of this schedule can be told there")]) from None
    except ValueError as error:
        raise Invalid([FieldError("", f"the schedule makes no sense: {error}")]) from None
    if len(times) > most:
        raise Invalid([FieldError("to", f"the range has more than {most:,} times: ask for one part after the other")])
    return times


def _latest(timetable: Timetable, after: datetime, until: datetime, most: int) -> list[datetime]:
    """Return the last *most* times behind *after*, up to *until*: looked for from the end, in ever longer stretches."""
    reach = GRACE
    while True:
        start = after if until - after <= reach else until - reach
        found = deque(takewhile(lambda at: at <= until, timetable.times(start)), maxlen=most)
        if len(found) >= most or start == after:
            return list(found)
        reach *= 4
