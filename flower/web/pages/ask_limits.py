"""/ask/limit, /ask/pause and what undoes them: the forms that change limits and pauses. Change nothing."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, Literal

from aiohttp import web
from pydantic import BaseModel, Field

from flower.core.errors import UnknownLimit
from flower.core.limits import Limit
from flower.core.model import Json
from flower.core.pauses import called
from flower.core.quantities import counted
from flower.database.store import Store
from flower.web.keys import STORE
from flower.web.pages.ask import REASON, Asked, Follows
from flower.web.pages.fields import Box
from flower.web.rendering import show
from flower.web.requests import query
from flower.web.words import in_path, link

routes = web.RouteTableDef()

_LONGEST = 512
_MOST_KNOWN = 200
_MOST_SLOTS: Final = "2147483647"
_SEND: Final = "/api/limits/"
_FLOWS: Final = "workflow:"
KINDS: Final = {"workflow": "a workflow", "program": "a program", "limit": "a limit", "all": "everything"}

_Kind = Literal["workflow", "program", "limit", "all"]


class Which(BaseModel, extra="forbid", frozen=True):
    """Which limit. One that is not there is a new one."""

    name: str = Field(default="", max_length=_LONGEST)


class Held(BaseModel, extra="forbid", frozen=True):
    """What is paused, or is to be."""

    kind: _Kind = "workflow"
    name: str = Field(default="", max_length=_LONGEST)


class Named(BaseModel, extra="forbid", frozen=True):
    """One limit that is there."""

    name: str = Field(min_length=1, max_length=_LONGEST)


@routes.get("/ask/limit")
async def limit(request: web.Request) -> web.Response:
    """Show the form that makes a limit, or changes one."""
    name, store = query(request, Which).name, request.app[STORE]
    try:
        found = await store.limits.get(name)
    except UnknownLimit:
        known = [re.sub(r"\{.*", "*", name) for name in await store.pauses.names("limit")]
        names = Box("name", "text", "text", "Name", value=name, is_required=True, names=True, choices=_choices(known), hint=_NAMES)
        return show(
            request,
            "ask.html",
            asked=Asked("A new limit", "Set the limit", (), (names, *_boxes(None, of_flows=name.startswith(_FLOWS))), "PUT"),
            send=_SEND,
        )
    asked = Asked(
        f"Change the limit {found.name}",
        "Set the limit",
        _follows(found),
        _boxes(found, of_flows=found.of_flows),
        "PUT",
        others=[(f"/ask/limit/remove{link({'name': found.name})}", "Remove the limit")],
    )
    return show(request, "ask.html", asked=asked, send=_SEND + in_path(found.name))


_NAMES: Final = (
    "as tasks name it; tenant:* is a pattern, by which each name that begins so has slots of its own; workflow:digest counts flows of digest"
)


def _boxes(found: Limit | None, *, of_flows: bool) -> tuple[Box, ...]:
    slots, rate = (None, None) if found is None else (found.slots, found.rate)
    boxes = (
        Box(
            "slots",
            "number",
            "number",
            "Slots",
            value="" if slots is None else str(slots),
            hint="how many may run at once; 0: nothing may start; empty: any number",
            limits={"min": "0", "max": _MOST_SLOTS, "step": "1"},
            clears=True,
        ),
        Box(
            "rate",
            "text",
            "text",
            "Rate",
            value=rate or "",
            hint="how many may start in what time, as 10/min (s, min, h, day); empty: at once",
            clears=True,
        ),
    )
    # A rate is for tasks.
    return boxes[:1] if of_flows else boxes


def _follows(found: Limit) -> Sequence[Follows]:
    noun = "flow" if found.of_flows else "task"
    follows = [Follows(f"It counts at once. What runs goes on: {counted(found.running, noun)}")]
    if found.name.endswith("*"):
        follows.append(Follows("Each name that begins so has slots and a rate of its own."))
    return follows


@routes.get("/ask/limit/remove")
async def remove(request: web.Request) -> web.Response:
    """Show what follows when a limit is removed."""
    found = await request.app[STORE].limits.get(query(request, Named).name)
    waiting = counted(found.waiting, "flow" if found.of_flows else "task") + (" or more" if found.and_more else "")
    follows = [Follows(f"What waits for it goes on: {waiting}. A limit that is not set holds nothing.")]
    return show(
        request,
        "ask.html",
        asked=Asked(f"Remove the limit {found.name}?", "Remove the limit", follows, (), "DELETE"),
        send=_SEND + in_path(found.name),
    )


@routes.get("/ask/pause")
async def pause(request: web.Request) -> web.Response:
    """Show the form that pauses something."""
    held = query(request, Held)
    fixed, boxes = await _named(request.app[STORE], held)
    until = Box("until", "datetime-local", "moment", "Until", hint="in your time zone; it ends by itself then; empty: when somebody unpauses")
    asked = Asked("Pause", "Pause", _PAUSED, (*boxes, until, REASON), fixed=fixed)
    return show(request, "ask_pause.html", asked=asked, held=held, kinds=KINDS, send="/api/pause")


_PAUSED: Final = (Follows("Nothing new of it starts. What runs goes on to its end."),)


async def _named(store: Store, held: Held) -> tuple[dict[str, Json], tuple[Box, ...]]:
    """Return what names the thing: sent as it is, or the field for its name."""
    if held.kind == "all":
        return {"all": True}, ()
    known = await store.workflows.names() if held.kind == "workflow" else await store.pauses.names(held.kind)
    hint = "or the beginning of such and a star: tenant:*" if held.kind == "limit" else ""
    box = Box(held.kind, "text", "text", held.kind.capitalize(), value=held.name, hint=hint, is_required=True, choices=_choices(known))
    return {}, (box,)


def _choices(names: Sequence[str]) -> Sequence[tuple[str, str]]:
    return [(name, name) for name in dict.fromkeys(names)][:_MOST_KNOWN]


@routes.get("/ask/unpause")
async def unpause(request: web.Request) -> web.Response:
    """Show what follows when something goes on."""
    held = query(request, Held)
    what = called(held.kind, held.name)
    fixed: dict[str, Json] = {"all": True} if held.kind == "all" else {held.kind: held.name}
    follows = [Follows("Its tasks start again as soon as they may.")]
    return show(request, "ask.html", asked=Asked(f"Let {what} go on?", "Unpause", follows, fixed=fixed), send="/api/unpause")
