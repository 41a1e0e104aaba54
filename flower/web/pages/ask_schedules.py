"""/ask/schedule and /ask/schedule/{verb}: the forms that write schedules, and what would follow if a verb were sent to one. Change nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final

from aiohttp import web
from pydantic import BaseModel, Field

from flower.core import shapes
from flower.core.errors import FieldError, Invalid
from flower.core.masks import mask
from flower.core.schedule import Schedule, backfill_times
from flower.database.store import Store
from flower.web.api.schedules import MOST_TIMES
from flower.web.keys import PLANS, STORE
from flower.web.pages.ask import REASON, Asked, Follows
from flower.web.pages.fields import Box
from flower.web.pages.flows import Moment
from flower.web.pages.schedules import every_of
from flower.web.rendering import show
from flower.web.requests import query
from flower.web.words import in_path

routes = web.RouteTableDef()

_LONGEST = 256
_MOST_KNOWN = 200
_SEND: Final = "/api/schedules/"
_PRIORITIES: Final = {"min": "-20", "max": "19", "step": "1"}
_CATCH_UP: Final = (("last", "the last of them"), ("all", "all of them"), ("none", "none of them"))
_OVERLAP: Final = (("queue", "it waits for its turn"), ("skip", "it is passed over"), ("cancel", "it cancels that flow"))
_ON_FAILURE: Final = (("go-on", "it is over: the next one comes"), ("hold", "it counts as in progress until somebody sees to it"))


class Which(BaseModel, extra="forbid", frozen=True):
    """Which schedule; without a name a new one, of *workflow*."""

    name: str | None = Field(default=None, min_length=1, max_length=_LONGEST)
    workflow: str = Field(default="", max_length=_LONGEST)


class Named(BaseModel, extra="forbid", frozen=True):
    """One schedule that is there."""

    name: str = Field(min_length=1, max_length=_LONGEST)


class Range(Named, frozen=True):
    """A schedule, and from when to when flows are to be made of its times."""

    from_: Moment = Field(default=None, alias="from")
    to: Moment = None


@routes.get("/ask/schedule")
async def form(request: web.Request) -> web.Response:
    """Show the form that makes a schedule, or changes one."""
    which, store = query(request, Which), request.app[STORE]
    found = None if which.name is None else await store.schedules.get(which.name)
    boxes = await _boxes(store, found, which.workflow)
    if found is None:
        name = Box("name", "text", "text", "Name", is_required=True, names=True, hint="one that is there is written anew")
        return show(request, "ask.html", asked=Asked("A new schedule", "Add the schedule", (), (name, *boxes), "PUT"), send=_SEND)
    follows = [Follows("It counts from its next time on. Flows that it has made go on.")]
    if found.by_code:
        follows.append(Follows("A module has written it, and writes it again when that changes."))
    return show(
        request,
        "ask.html",
        asked=Asked(f"Change the schedule {found.name}", "Change the schedule", follows, boxes, "PUT"),
        send=_SEND + in_path(found.name),
    )


async def _boxes(store: Store, found: Schedule | None, workflow: str) -> tuple[Box, ...]:
    """Return the fields of a schedule, with what is *found* in them."""
    known = [(name, name) for name in (await store.workflows.names())[:_MOST_KNOWN]]
    cron, every, zone = (found.cron or "", found.every, found.zone if found.cron else "") if found else ("", None, "")
    parameters = json.dumps(mask(found.parameters), ensure_ascii=False, indent=2) if found and found.parameters else ""
    priority = "" if found is None or found.priority is None else str(found.priority)
    return (
        Box("workflow", "text", "text", "Workflow", value=found.workflow if found else workflow, is_required=True, choices=known),
        Box("cron", "text", "text", "Cron", value=cron, hint="minute, hour, day of the month, month, weekday; like 30 2 * * *"),
        Box("zone", "text", "text", "Zone", value=zone, hint="whose clock cron goes by, like Europe/Paris; empty: UTC"),
        Box("every", "text", "text", "Every", value=every_of(every) if every else "", hint="in place of cron: 10s, 15m, 2h, 1d"),
        Box("parameters", "area", "json", "Parameters", value=parameters, hint='of each flow, a JSON object like {"name": "value"}'),
        Box("priority", "number", "number", "Priority", value=priority, hint="-20 to 19; empty: the workflow's", limits=_PRIORITIES),
        Box("catchUp", "choice", "text", "Of times that were missed", value=found.catch_up if found else "last", choices=_CATCH_UP),
        Box(
            "catchUpMost",
            "number",
            "number",
            "At most, of all",
            value=str(found.catch_up_most) if found else "100",
            limits={"min": "1", "max": "1000", "step": "1"},
        ),
        Box(
            "overlap",
            "choice",
            "text",
            "A time that comes while a flow of it goes on",
            value=found.overlap if found else "queue",
            choices=_OVERLAP,
        ),
        Box("onFailure", "choice", "text", "A flow that has failed", value=found.on_failure if found else "go-on", choices=_ON_FAILURE),
    )


def _fire(found: Schedule) -> Asked:
    boxes = (
        Box("parameters", "area", "json", "Parameters", hint="on top of the schedule's own, a JSON object"),
        Box("priority", "number", "number", "Priority", hint="-20 to 19; empty: the schedule's", limits=_PRIORITIES),
        REASON,
    )
    return Asked(f"Fire {found.name} now?", "Fire", [Follows(f"{found.workflow} starts at once. The schedule's own times stay as they are.")], boxes)


def _pause(found: Schedule) -> Asked:
    return Asked(f"Pause the schedule {found.name}?", "Pause", [Follows("It makes no flow until it is unpaused. Flows that it has made go on.")])


def _unpause(found: Schedule) -> Asked:
    missed = dict(_CATCH_UP).get(found.catch_up, found.catch_up)
    most = f", up to {found.catch_up_most} of the latest" if found.catch_up == "all" else ""
    return Asked(
        f"Let the schedule {found.name} go on?", "Unpause", [Follows(f"Of the times that were missed meanwhile a flow is made for {missed}{most}.")]
    )


def _remove(found: Schedule) -> Asked:
    follows = [Follows("Its flows stay, and go on.")]
    if found.waiting:
        follows.append(Follows(f"Times that wait for their turn are dropped: {found.waiting}"))
    if found.by_code:
        follows.append(Follows("A module has written it, and writes it again when that changes."))
    return Asked(f"Remove the schedule {found.name}?", "Remove the schedule", follows, (), "DELETE", then="/schedules")


_VERBS: Final[Mapping[str, Callable[[Schedule], Asked]]] = {"fire": _fire, "pause": _pause, "unpause": _unpause, "remove": _remove}


@routes.get("/ask/schedule/{verb:" + "|".join(_VERBS) + "}")
async def verb(request: web.Request) -> web.Response:
    """Show what a verb would do to a schedule."""
    found, verb = await request.app[STORE].schedules.get(query(request, Named).name), request.match_info["verb"]
    asked = _VERBS[verb](found)
    return show(request, "ask.html", asked=asked, send=_SEND + in_path(found.name) + ("" if asked.method == "DELETE" else f"/{verb}"))


@routes.get("/ask/schedule/backfill")
async def backfill(request: web.Request) -> web.Response:
    """Show for which times of a range no flow was made, and the form that makes them."""
    wanted, store = query(request, Range), request.app[STORE].schedules
    found = await store.get(wanted.name)
    planned, errors = None, []
    if wanted.from_ or wanted.to:
        try:
            async with request.app[PLANS]:
                times = backfill_times(found, *_range(wanted.from_, wanted.to), MOST_TIMES)
                planned = await store.backfill(found.name, times, dry_run=True)
        except Invalid as error:
            errors = [f"{item.path}: {item.message}" if item.path else item.message for item in error.errors]
    return show(
        request,
        "ask_backfill.html",
        schedule=found,
        lacks=None if planned is None else planned.times,
        there=0 if planned is None else planned.there,
        errors=errors,
        range={"from": shapes.moment(wanted.from_), "to": shapes.moment(wanted.to)},
        send=f"{_SEND}{in_path(found.name)}/backfill",
    )


def _range(begin: datetime | None, end: datetime | None) -> tuple[datetime, datetime]:
    if begin is None or end is None:
        raise Invalid([FieldError(name, "is needed") for name, at in (("from", begin), ("to", end)) if at is None])
    return begin, end
