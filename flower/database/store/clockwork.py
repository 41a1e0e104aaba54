"""What the engine asks and writes of schedules: which time has come, and what became of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import asyncpg

from flower.core.schedule import Due
from flower.database.pool import Pool
from flower.database.queries import query

_NEVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A schedule that is to be looked at, as its row said at *now*. *version* is another one after every change of the row."""

    name: str
    cron: str | None
    every: timedelta | None
    zone: str
    catch_up: str
    catch_up_most: int
    since_at: datetime
    next_at: datetime | None
    last_at: datetime | None
    version: str
    now: datetime


@dataclass(frozen=True, slots=True)
class Planned:
    """What was worked out of a candidate: what is *due*, or the *error* for which it stops itself. *why*: for what is passed over."""

    candidate: Candidate
    due: Due
    why: str | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """What became of a time of a schedule: *what* is taken, fired, passed over or stopped."""

    what: str
    schedule: str
    at: datetime | None
    flow_id: str | None
    message: str | None


@dataclass(frozen=True, slots=True)
class Alarm:
    """In how many *seconds* a schedule's time comes, None: none will. *waiting*: a time of some schedule waits for a flow to end."""

    seconds: float | None
    waiting: bool


class DueSchedules:
    """Sends the statements by which schedules go on."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def candidates(self, most: int) -> tuple[Candidate, ...]:
        """Return schedules that are to be looked at: those whose time has come, and those that nobody has worked out yet; up to *most* of each."""
        rows = await self._pool.fetch(query("due_schedules"), most)
        return tuple(
            Candidate(
                name=row["name"],
                cron=row["cron"],
                every=row["every"],
                zone=row["zone"],
                catch_up=row["catch_up"],
                catch_up_most=row["catch_up_most"],
                since_at=row["since_ts"],
                next_at=row["next_ts"],
                last_at=row["last_ts"],
                version=row["version"],
                now=row["now"],
            )
            for row in rows
        )

    async def settle(self, plans: Sequence[Planned]) -> tuple[Event, ...]:
        """Make the flows that are planned, and advance the schedules, all or none. What has changed meanwhile, or is locked, is left as it is."""
        rows = await self._pool.fetch(
            query("fire_schedules"),
            [plan.candidate.name for plan in plans],
            [plan.candidate.version for plan in plans],
            [None if plan.error else plan.due.next_at or _NEVER for plan in plans],
            [plan.error for plan in plans],
            [plan.due.passed for plan in plans],
            [plan.why for plan in plans],
            [plan.candidate.name for plan in plans for _ in plan.due.times],
            [at for plan in plans for at in plan.due.times],
        )
        return tuple(_event(row) for row in rows)

    async def advance(self) -> tuple[Event, ...]:
        """Let times go on that wait for a flow which is over."""
        return tuple(_event(row) for row in await self._pool.fetch(query("advance_schedules")))

    async def alarm(self) -> Alarm:
        """Return when to look next."""
        (row,) = await self._pool.fetch(query("next_schedule"))
        return Alarm(row["seconds"], row["waiting"])


def _event(row: asyncpg.Record) -> Event:
    return Event(row["event"], row["schedule"], row["nominal"], row["flow_id"], row["message"])
