"""/schedules and /schedules/{name}: what starts by the clock, when it comes next, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import MAXYEAR, UTC, datetime, timedelta, tzinfo

from aiohttp import web
from pydantic import BaseModel, Field

from flower.core.cron import zone_named
from flower.core.model import Flow
from flower.core.schedule import Schedule
from flower.web.drawing.marks import Mark, mark_of
from flower.web.keys import STORE
from flower.web.pages.flows import rows_of
from flower.web.rendering import EVERYTHING, show
from flower.web.requests import NoQuery, part, query

routes = web.RouteTableDef()

_MOST = 50
_FLOWS = 10
_UNITS = (("d", timedelta(days=1)), ("h", timedelta(hours=1)), ("m", timedelta(minutes=1)), ("s", timedelta(seconds=1)))
_ON, _PAUSED, _STOPPED = Mark("finish", "✓", "on"), Mark("suspend", "‖", "paused"), Mark("failed", "✕", "stopped itself")


class Parts(BaseModel, extra="forbid", frozen=True):
    """Which schedules are listed: those behind the name *after*."""

    after: str | None = Field(default=None, max_length=256)


@dataclass(frozen=True, slots=True)
class Time:
    """One time of a schedule. *local*: in words, on its own clock."""

    at: datetime
    local: str


@dataclass(frozen=True, slots=True)
class Row:
    """One schedule as it is shown. *told*: why it is not on. *next*: None where it will not come by itself. *last*: its latest flow."""

    schedule: Schedule
    mark: Mark
    told: str
    when: str
    next: Time | None
    last: Flow | None = None

    @property
    def last_mark(self) -> Mark | None:
        """How its latest flow stands."""
        return None if self.last is None else mark_of(self.last)

    @property
    def ended_at(self) -> datetime | None:
        """When its latest flow was over, or came to a stop; None: there is none, or it goes on."""
        return None if self.last is None else self.last.finished_at or self.last.stopped_at


@routes.get("/schedules")
async def schedules(request: web.Request) -> web.Response:
    """List schedules in order of their names, in parts."""
    after, store = query(request, Parts).after, request.app[STORE].schedules
    found = await store.list(limit=_MOST + 1, after=after)
    latest = await store.latest([schedule.name for schedule in found[:_MOST]])
    rows = [row_of(schedule, latest.get(schedule.name)) for schedule in found[:_MOST]]
    return show(request, "schedules.html", rows=rows, next=found[_MOST - 1].name if len(found) > _MOST else None, after=after, watch=EVERYTHING)


@routes.get(r"/schedules/{name:[^/]+}")
async def schedule(request: web.Request) -> web.Response:
    """Show one schedule: its next times and its latest flows."""
    query(request, NoQuery)
    store = request.app[STORE].schedules
    found = await store.get(part(request, "name"))
    flows = await store.flows(found.name, _FLOWS)
    return show(
        request,
        "schedule.html",
        row=row_of(found, flows[0] if flows else None),
        times=[_time(found, at) for at in found.upcoming()],
        flows=rows_of(flows, datetime.now(UTC)),
        watch=EVERYTHING,
    )


def row_of(schedule: Schedule, last: Flow | None = None) -> Row:
    """Return *schedule* as it is shown."""
    mark, told = _ON, ""
    if schedule.error is not None:
        mark, told = _STOPPED, schedule.error
    elif schedule.paused:
        mark, told = _PAUSED, schedule.reason or ""
    coming = None if mark is not _ON else schedule.next_at or next(iter(schedule.upcoming(1)), None)
    # What lies at the end of all time never comes.
    is_coming = coming is not None and coming.year < MAXYEAR
    return Row(schedule, mark, told, when_of(schedule), _time(schedule, coming) if coming and is_coming else None, last)


def when_of(schedule: Schedule) -> str:
    """Return in words when it fires."""
    if schedule.cron is not None:
        return f"{schedule.cron} {schedule.zone}"
    return "never" if schedule.every is None else f"every {every_of(schedule.every)}"


def every_of(every: timedelta) -> str:
    """Return how long *every* is as the interface reads it: in the largest unit of which it is a whole number, else in seconds."""
    for unit, one in _UNITS:
        if every % one == timedelta():
            return f"{every // one}{unit}"
    return f"{every.total_seconds():f}s"


def _time(schedule: Schedule, at: datetime) -> Time:
    zone = _zone(schedule)
    local = at.astimezone(zone)
    clock = f"{local:%H:%M:%S}".removesuffix(":00")
    return Time(at, f"{local:%a %-d %b}, {clock} {'UTC' if zone is UTC else schedule.zone}")


def _zone(schedule: Schedule) -> tzinfo:
    if schedule.cron is None:
        return UTC
    try:
        return zone_named(schedule.zone)
    except ValueError:
        return UTC  # a hand may have written any
