"""/limits: how many of what may run at once and how fast they may start, and what is paused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aiohttp import web
from pydantic import BaseModel, Field

from flower.core.limits import Limit
from flower.core.pauses import Pause
from flower.web.keys import STORE
from flower.web.rendering import EVERYTHING, show
from flower.web.requests import query
from flower.web.words import address, in_path, link, short_id

routes = web.RouteTableDef()

_MOST = 40
_LONGEST_NAME, _LONGEST_CURSOR = 512, 300


class Parts(BaseModel, extra="forbid", frozen=True):
    """Which limits are listed, those behind the name *after*; and which pauses, those behind *paused*."""

    after: str | None = Field(default=None, max_length=_LONGEST_NAME)
    paused: str | None = Field(default=None, max_length=_LONGEST_CURSOR)


@dataclass(frozen=True, slots=True)
class Holder:
    """Who is inside: a task, or a flow where flows are counted."""

    href: str
    words: str


@dataclass(frozen=True, slots=True)
class LimitRow:
    """One limit as it is shown."""

    limit: Limit
    holders: Sequence[Holder]

    @property
    def is_pattern(self) -> bool:
        """Whether it stands for all limits that begin so."""
        return self.limit.name.endswith("*")

    @property
    def noun(self) -> str:
        """What is inside."""
        return "flow" if self.limit.of_flows else "task"

    @property
    def most(self) -> int | None:
        """How many may be inside; None: any number, or each of the names of a pattern has its own."""
        return None if self.is_pattern or not self.limit.slots else self.limit.slots


@dataclass(frozen=True, slots=True)
class PauseRow:
    """One pause as it is shown. *href*: of what is held, if it has a page; *ask*: where it is let go on, and *word* for that."""

    pause: Pause
    what: str
    href: str
    ask: str
    word: str


@routes.get("/limits")
async def page(request: web.Request) -> web.Response:
    """List limits and pauses, in parts."""
    parts, store = query(request, Parts), request.app[STORE]
    limits = await store.limits.list(limit=_MOST + 1, after=parts.after)
    paused = await store.pauses.list(limit=_MOST, after=parts.paused)
    return show(
        request,
        "limits.html",
        limits=[_row(limit) for limit in limits[:_MOST]],
        next=limits[_MOST - 1].name if len(limits) > _MOST else None,
        pauses=[pause_row(pause) for pause in paused.items],
        next_pauses=paused.next,
        parts=parts,
        watch=EVERYTHING,
    )


def _row(limit: Limit) -> LimitRow:
    return LimitRow(limit, [_holder(holder, of_flows=limit.of_flows) for holder in limit.holders])


def _holder(text: str, *, of_flows: bool) -> Holder:
    flow_id, _, seq = (text, "", "") if of_flows else text.rpartition("/")
    href = f"/flows/{in_path(flow_id)}" + (link({"task": seq}) if seq else "")
    return Holder(href, short_id(flow_id) + (f" task {seq}" if seq else ""))


def pause_row(pause: Pause) -> PauseRow:
    """Return *pause* as it is shown."""
    if pause.kind == "flow":
        ask, word = f"/ask/resume{link({'flow': pause.name})}", "Resume"
        return PauseRow(pause, "flow", f"/flows/{in_path(pause.name)}", ask, word)
    ask = f"/ask/unpause{link({'kind': pause.kind, 'name': '' if pause.kind == 'all' else pause.name})}"
    href = f"/workflows/{address(pause.name)}" if pause.kind == "workflow" else ""
    return PauseRow(pause, "everything" if pause.kind == "all" else pause.kind, href, ask, "Unpause")
