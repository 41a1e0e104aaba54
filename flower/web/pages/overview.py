"""/: what needs a person first, then what goes on."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from aiohttp import web

from flower.web.api.overview import standing
from flower.web.drawing.charts import bars
from flower.web.keys import STORE
from flower.web.pages.flows import rows_of
from flower.web.rendering import EVERYTHING, show
from flower.web.requests import NoQuery, query

routes = web.RouteTableDef()

_MOST_INCIDENTS = 50
_MOST_APPROVALS = 10
_MOST_RUNNING = 10
_MOST_TABLES = 3
_GATES: Final = {
    "dependencies": "for other tasks",
    "time": "for their time",
    "pause": "because of a pause",
    "signal": "for a signal",
    "program": "for a worker that has their program",
    "limit": "for room in a limit",
    "slot": "for a slot",
    "new": "written just now",
}


@routes.get("/")
async def page(request: web.Request) -> web.Response:
    """Show how things stand."""
    query(request, NoQuery)
    store, now, found = request.app[STORE], datetime.now(UTC), await standing(request.app)
    incidents = await store.incidents.list(_MOST_INCIDENTS + 1)
    waiting = await store.flows.list(outcome="approval", limit=_MOST_APPROVALS)
    approvals = await store.tasks.approvals([flow.flow_id for flow in waiting.items])
    running = await store.flows.list(status="running", limit=_MOST_RUNNING)
    return show(
        request,
        "overview.html",
        incidents=incidents[:_MOST_INCIDENTS],
        are_more_incidents=len(incidents) > _MOST_INCIDENTS,
        approvals=approvals[:_MOST_APPROVALS],
        are_more_approvals=waiting.next is not None or len(approvals) > _MOST_APPROVALS,
        running=rows_of(running.items, now),
        standing=found,
        gates=[(words, found.counts.gates[gate]) for gate, words in _GATES.items() if found.counts.gates[gate].value],
        largest=list(found.sizes.tables.items())[:_MOST_TABLES],
        slots=sum(worker.slots for worker in found.workers),
        charts=(
            ("finished", "Tasks finished in the last hour", bars([(minute.at, minute.counted.finished) for minute in found.minutes])),
            ("failed", "Tasks failed in the last hour", bars([(minute.at, minute.counted.failed) for minute in found.minutes])),
        ),
        watch=EVERYTHING,
    )
