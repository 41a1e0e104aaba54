"""Starts workflows by the clock: looks at the schedules whose time has come, works out which times make a flow, and has them made.

Every worker does so, without a leader: whoever comes second finds nothing. Between two times it sends nothing: it sleeps until the next one, or until
somebody changes a schedule.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from time import monotonic

import asyncpg

from flower.core import log
from flower.core.errors import ConfigurationError, DatabaseLost
from flower.core.schedule import Due, due, timetable_of
from flower.database.errors import refusal
from flower.database.store.clockwork import Candidate, DueSchedules, Event, Planned
from flower.engine.patience import Patience

_log = log.get()

_AT_ONCE = 200
# While another worker, or somebody's session, holds what is due.
_LOOK_AGAIN_SECONDS = 0.05
_LONGEST_REST_SECONDS = 86_400.0
_MICROSECOND = timedelta(microseconds=1)
_EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
_NO_TIME = "since_ts, next_ts or last_ts lies before 1970: correct it, and unpause the schedule"


class Clockwork:
    """Makes the flows of all schedules in time."""

    def __init__(self, schedules: DueSchedules) -> None:
        self._schedules = schedules
        self._bell = asyncio.Event()
        self._look_at: float | None = None
        self._waiting = False

    def ring(self) -> None:
        """Look: somebody has changed a schedule."""
        self._bell.set()

    def ring_end(self) -> None:
        """Look, if a time waits for a flow to end: some flow has ended."""
        if self._waiting:
            self._bell.set()

    def expect(self, seconds: float | None) -> None:
        """Take the word of a probe, that a schedule's time comes in *seconds*: the bell that would have said so may be lost."""
        if seconds is not None and (self._look_at is None or monotonic() + seconds < self._look_at - _LOOK_AGAIN_SECONDS):
            self._bell.set()

    async def run(self) -> None:
        """Work until cancelled. Stays while the database is away."""
        patience = Patience(longest_seconds=5)
        while True:
            self._bell.clear()
            try:
                seconds = await self._turn()
            except (DatabaseLost, ConfigurationError, asyncpg.PostgresError) as error:
                _log.warning("schedules.failed", message=refusal(error) if isinstance(error, asyncpg.PostgresError) else str(error))
                await patience.wait()
                continue
            patience.reset()
            self._look_at = None if seconds is None else monotonic() + seconds
            try:
                async with asyncio.timeout(seconds):
                    await self._bell.wait()
            except TimeoutError:
                continue

    async def _turn(self) -> float | None:
        """Make what is due; return in how many seconds to look again, None: when the bell rings."""
        while candidates := await self._schedules.candidates(_AT_ONCE):
            events = await self._schedules.settle([plan(candidate) for candidate in candidates])
            _tell(events)
            if not events:
                return _LOOK_AGAIN_SECONDS
        # Once more after the last that went on: only then has whoever ends heard that somebody waits for him.
        while events := await self._schedules.advance():
            _tell(events)
        alarm = await self._schedules.alarm()
        self._waiting = alarm.waiting
        return None if alarm.seconds is None else min(max(alarm.seconds, 0), _LONGEST_REST_SECONDS)


def plan(candidate: Candidate) -> Planned:
    """Work out what becomes of *candidate*. What a hand has spoilt stops itself, with a message."""
    try:
        timetable = timetable_of(candidate.cron, candidate.every, candidate.zone)
    except ValueError as error:
        return Planned(candidate, Due((), None), error=str(error))
    if min(at for at in (candidate.since_at, candidate.next_at, candidate.last_at) if at is not None) < _EARLIEST:
        return Planned(candidate, Due((), None), error=_NO_TIME)
    if candidate.next_at is None:
        after = max(at for at in (candidate.since_at, candidate.last_at) if at is not None)
    else:
        after = candidate.next_at - _MICROSECOND
    found = due(timetable, candidate.catch_up, candidate.catch_up_most, after=after, now=candidate.now)
    why = None if found.passed is None else f"it was missed for longer than a minute (catch_up {candidate.catch_up})"
    return Planned(candidate, found, why)


def _tell(events: tuple[Event, ...]) -> None:
    for event in events:
        at = event.at and event.at.isoformat()
        if event.what == "fired":
            _log.debug("schedule.fired", schedule=event.schedule, at=at, flow=event.flow_id)
        elif event.what == "passed over":
            _log.info("schedule.passed_over", schedule=event.schedule, at=at, why=event.message)
        elif event.what == "stopped":
            _log.error("schedule.stopped", schedule=event.schedule, at=at, message=event.message)
