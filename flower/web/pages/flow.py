"""/flows/{flowId}: one flow as a graph, a timeline or a table, and beside it one of its tasks: the one that stopped it, unless another is chosen."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final, Literal

from aiohttp import web
from pydantic import BaseModel, Field

from flower.core.errors import UnknownFlow
from flower.core.model import Flow
from flower.core.picture import Rows
from flower.core.quantities import between
from flower.core.status import Status
from flower.core.steps import number
from flower.database.store import Store
from flower.web.drawing import graph, table, timeline
from flower.web.drawing.marks import mark, mark_of
from flower.web.keys import STORE
from flower.web.pages.task import shown_task
from flower.web.rendering import show
from flower.web.requests import part, query
from flower.web.words import in_path

routes = web.RouteTableDef()

_ROWS = 100
_DEEDS = 50


class View(BaseModel, extra="forbid", frozen=True):
    """What of a flow is looked at. It stands in the address, so that it can be handed on."""

    view: Literal["graph", "timeline", "table"] = "graph"
    task: str | None = Field(default=None, max_length=256)
    status: str | None = Field(default=None, max_length=20)
    program: str | None = Field(default=None, max_length=256)
    after: Decimal | None = Field(default=None, allow_inf_nan=False, max_digits=200)
    from_: Decimal | None = Field(default=None, alias="from", allow_inf_nan=False, max_digits=200)
    zoom: int = Field(default=1, ge=1, le=64)
    at: float = Field(default=0, ge=0, allow_inf_nan=False)

    def kept(self) -> dict[str, str]:
        """Return the query that a link within the page keeps."""
        given = self.model_dump(by_alias=True, exclude_defaults=True, exclude={"task"})
        return {name: number(value) if isinstance(value, Decimal) else str(value) for name, value in given.items()}


@routes.get("/flows/{flowId}")
async def page(request: web.Request) -> web.Response:
    """Show one flow."""
    view, store, flow_id = query(request, View), request.app[STORE], part(request, "flowId")
    flow = await _flow(store, flow_id)
    chosen = view.task or await store.tasks.focus(flow_id)
    shown = None if chosen is None else await shown_task(store, flow_id, str(chosen))
    seq = None if shown is None else shown.task.seq
    filled = await _DRAWN[view.view](store, view, flow_id, seq)
    return show(
        request,
        "flow.html",
        flow=flow,
        mark=mark_of(flow),
        took=between(flow.registered_at, flow.finished_at or flow.stopped_at),
        counts=[(word, count, mark(word, flow.outcome if word == Status.SUSPEND.word else None)) for word, count in flow.counts.items() if count],
        verbs=_flow_verbs(flow),
        view=view.view,
        chosen={"task": view.task} if view.task else {},
        only={"status": view.status, "program": view.program},
        is_first=view.after is None and view.from_ is None,
        shown=shown,
        given=await store.flows.given(flow_id),
        deeds=await store.verbs.done(flow_id, _DEEDS),
        watch=flow_id,
        **filled,
    )


async def _flow(store: Store, flow_id: str) -> Flow:
    """Return the flow. Leads to its page if *flow_id* is only the beginning of its id, or `last`; raises UnknownFlow."""
    try:
        return await store.flows.get(flow_id)
    except UnknownFlow:
        found = await store.flows.find(flow_id)
    raise web.HTTPSeeOther(f"/flows/{in_path(found)}")


def _flow_verbs(flow: Flow) -> Sequence[tuple[str, str]]:
    is_open = flow.status not in {Status.FINISH, Status.IGNORE}
    verbs = [("rerun", "Rerun")]
    if is_open:
        verbs += [("resume", "Resume") if flow.suspended else ("suspend", "Suspend"), ("priority", "Priority"), ("cancel", "Cancel")]
    return verbs


async def _graph(store: Store, view: View, flow_id: str, seq: Decimal | None) -> dict[str, Any]:
    picture = await store.pictures.of(flow_id, seq)
    return {"graph": graph.draw(picture, seq, view.kept())}


async def _timeline(store: Store, view: View, flow_id: str, seq: Decimal | None) -> dict[str, Any]:
    rows = await _rows(store, view, flow_id)
    pasts = await store.tasks.pasts(flow_id, [row.seq for row in rows.items])
    drawn = timeline.draw(rows.items, pasts, datetime.now(UTC), selected=seq, zoom=view.zoom, at=view.at, query=view.kept())
    return {"timeline": drawn, "next": rows.next}


async def _table(store: Store, view: View, flow_id: str, seq: Decimal | None) -> dict[str, Any]:
    rows = await _rows(store, view, flow_id)
    return {"lines": table.lines(rows.items, seq, view.kept()), "next": rows.next}


async def _rows(store: Store, view: View, flow_id: str) -> Rows:
    return await store.tasks.rows(flow_id, after=view.after, begin=view.from_, status=view.status or None, program=view.program or None, limit=_ROWS)


_DRAWN: Final = {"graph": _graph, "timeline": _timeline, "table": _table}
