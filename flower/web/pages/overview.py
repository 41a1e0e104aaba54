"""/: what needs a person first, then what goes on."""

from __future__ import annotations

from datetime import UTC, datetime

from aiohttp import web

from flower.web.keys import STORE
from flower.web.pages.flows import rows_of
from flower.web.pages.rendering import show
from flower.web.requests import NoQuery, query

routes = web.RouteTableDef()

_MOST_APPROVALS = 10
_MOST_RUNNING = 10


@routes.get("/")
async def page(request: web.Request) -> web.Response:
    """Show how things stand."""
    query(request, NoQuery)
    store, now = request.app[STORE], datetime.now(UTC)
    approvals = await store.flows.list(outcome="approval", limit=_MOST_APPROVALS)
    running = await store.flows.list(status="running", limit=_MOST_RUNNING)
    return show(
        request,
        "overview.html",
        incidents=await store.incidents.list(),
        approvals=rows_of(approvals.items, now),
        are_more_approvals=approvals.next is not None,
        running=rows_of(running.items, now),
        workers=await store.workers.alive(),
        watch="",
    )
