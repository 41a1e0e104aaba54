"""/api/schedules: workflows that start by the clock."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated, Any, TypeAlias

from aiohttp import web
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StrictBool, StrictFloat, StrictInt, StrictStr
from pydantic.alias_generators import to_camel

from flower.core import shapes
from flower.core.cron import read_cron, zone_named
from flower.core.errors import FieldError, Invalid
from flower.core.masks import HIDDEN, is_masked
from flower.core.model import Json
from flower.core.schedule import CatchUp, OnFailure, Overlap, backfill_times, read_every
from flower.database.store.schedules import Options, Schedules
from flower.web.answers import answer
from flower.web.api.verbs import Said, caller
from flower.web.keys import STORE
from flower.web.requests import NoQuery, body, moment, part, query, valid

routes = web.RouteTableDef()

# Braces may stand in a name, which aiohttp would not take by itself.
_ONE = r"/api/schedules/{name:[^/]+}"
MOST_TIMES = 1_000
# What GET says beyond what PUT takes: it may be sent back.
_SAID = frozenset({
    "schedule", "paused", "reason", "error", "since", "nextAt", "lastAt", "passedOver", "waiting", "inProgress", "byCode", "upcoming",
})  # fmt: skip


def _cron(text: str) -> str:
    read_cron(text)
    return text


def _zone(name: str) -> str:
    zone_named(name)
    return name


def _every(value: float | str) -> float:
    return read_every(value).total_seconds() if isinstance(value, str) else value


def _moment(value: object) -> datetime:
    if not isinstance(value, str):
        raise ValueError("must be a text, like 2026-11-24T14:00:00+01:00")  # noqa: TRY004 - pydantic takes ValueErrors
    return moment(value)


_Time = Annotated[datetime, BeforeValidator(_moment)]


class Scheduled(BaseModel):
    """The body of `PUT /api/schedules/{name}`."""

    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel)

    workflow: StrictStr = Field(description="what it starts")
    cron: Annotated[StrictStr, AfterValidator(_cron)] | None = Field(default=None, description="five fields, like 30 2 * * *; this or `every`")
    zone: Annotated[StrictStr, AfterValidator(_zone)] | None = Field(default=None, description="whose clock `cron` goes by, like Europe/Paris; UTC")
    every: Annotated[StrictInt | StrictFloat | StrictStr, AfterValidator(_every)] | None = Field(
        default=None, description="seconds, or a text like 15m (s, m, h, d)"
    )
    parameters: dict[str, Any] | None = Field(default=None, description="of each flow")
    priority: StrictInt | None = Field(default=None, ge=-20, le=19, description="of each flow; without it the workflow's")
    catch_up: CatchUp = Field(default="last", description="which of the times make a flow that were missed for over a minute")
    catch_up_most: StrictInt = Field(default=100, ge=1, le=1000, description="how many, of all")
    overlap: Overlap = Field(default="queue", description="what a time does while a flow of the schedule is in progress")
    on_failure: OnFailure = Field(default="go-on", description="hold: a flow that has failed counts as in progress")


class Firing(Said):
    """The body of `fire`."""

    parameters: dict[str, Any] | None = Field(default=None, description="on top of the schedule's own")
    priority: StrictInt | None = Field(default=None, ge=-20, le=19, description="lower is more urgent")


class Backfill(BaseModel):
    """The body of `backfill`."""

    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel)

    from_: _Time = Field(alias="from", description="the first time, with its zone")
    to: _Time = Field(description="the last; not in the future")
    dry_run: StrictBool = Field(default=False, description="only say which times have no flow yet")


class SchedulesQuery(BaseModel, extra="forbid", frozen=True):
    """Which schedules are wanted."""

    limit: int = Field(default=50, ge=1, le=200, description="how many at most")
    after: str | None = Field(default=None, max_length=256, description="`next` of the part before")


_Verb: TypeAlias = Callable[[Schedules, str, Options], Awaitable[Json]]


@routes.get("/api/schedules")
async def schedules(request: web.Request) -> web.Response:
    """List the schedules in order of their names, in parts."""
    wanted = query(request, SchedulesQuery)
    found = await request.app[STORE].schedules.list(limit=wanted.limit + 1, after=wanted.after)
    items = found[: wanted.limit]
    return answer({"items": [shapes.schedule(item) for item in items], "next": items[-1].name if len(found) > wanted.limit else None})


@routes.get(_ONE)
async def schedule(request: web.Request) -> web.Response:
    """Show one schedule."""
    query(request, NoQuery)
    return answer(shapes.schedule(await request.app[STORE].schedules.get(part(request, "name"))))


@routes.put(_ONE)
async def put_schedule(request: web.Request) -> web.Response:
    """Write one schedule as a whole, new or in place of what is there, and answer it. Whether it is paused stays."""
    query(request, NoQuery)
    name, store = part(request, "name"), request.app[STORE].schedules
    given = await body(request) or {}
    wish = valid(Scheduled, {key: value for key, value in given.items() if key not in _SAID})
    if is_masked(wish.parameters):
        raise Invalid([FieldError("parameters", f'"{HIDDEN}" stands for a secret that was hidden when it was shown: send the value')])
    await store.put(name, wish.model_dump(by_alias=True, exclude_none=True))
    return answer(shapes.schedule(await store.get(name)))


@routes.delete(_ONE)
async def remove_schedule(request: web.Request) -> web.Response:
    """Remove one schedule. Its flows stay and run on."""
    query(request, NoQuery)
    return answer(await request.app[STORE].schedules.remove(part(request, "name")))


@routes.post(_ONE + "/fire")
async def fire(request: web.Request) -> web.Response:
    """Start the workflow of a schedule now; its own times stay as they are."""
    return await _do(request, Firing, Schedules.fire)


@routes.post(_ONE + "/pause")
async def pause_schedule(request: web.Request) -> web.Response:
    """Let a schedule make nothing until it is unpaused."""
    return await _do(request, Said, Schedules.pause)


@routes.post(_ONE + "/unpause")
async def unpause_schedule(request: web.Request) -> web.Response:
    """Let a schedule go on, also where it had stopped itself; what it has missed is made up for as its `catchUp` says."""
    return await _do(request, Said, Schedules.unpause)


@routes.post(_ONE + "/backfill")
async def backfill(request: web.Request) -> web.Response:
    """Make a flow for each time of a schedule in a range that has none yet; up to 1,000 times of it."""
    query(request, NoQuery)
    name, store = part(request, "name"), request.app[STORE].schedules
    wish = valid(Backfill, await body(request) or {})
    times = backfill_times(await store.get(name), wish.from_, wish.to, MOST_TIMES)
    return answer(shapes.backfilled(await store.backfill(name, times, dry_run=wish.dry_run)))


async def _do(request: web.Request, model: type[Said], verb: _Verb) -> web.Response:
    query(request, NoQuery)
    said = valid(model, await body(request) or {})
    options = {**said.model_dump(by_alias=True, exclude_unset=True, exclude_none=True), "by": caller(request)}
    return answer(await verb(request.app[STORE].schedules, part(request, "name"), options))
