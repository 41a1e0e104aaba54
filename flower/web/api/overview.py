"""GET /api/overview and GET /api/workers: how it goes as a whole, and who is at work."""

from __future__ import annotations

from aiohttp import web

from flower.core import figure_shapes, shapes
from flower.core.notices import Standing, notices
from flower.web.answers import answer
from flower.web.keys import READY, STORE
from flower.web.requests import NoQuery, query

routes = web.RouteTableDef()

# So many schedules that have stopped themselves, and limits without a slot, are worth a notice each.
_MOST_STOPPED = 10


@routes.get("/api/overview")
async def overview(request: web.Request) -> web.Response:
    """Say what is not over, what was recorded of late, and what an operator should know."""
    query(request, NoQuery)
    return answer(figure_shapes.overview(await standing(request.app)))


async def standing(app: web.Application) -> Standing:
    """Return how it goes as a whole, as this process and its database see it."""
    store, ready = app[STORE], await app[READY]()
    counts, alive, noticed = await store.overview.open(), await store.workers.list(), await store.workers.noticed()
    return Standing(
        ready=ready,
        counts=counts,
        lag=await store.overview.lag(),
        minutes=await store.overview.throughput(),
        workers=alive,
        notices=notices(
            ready,
            await store.overview.oldest_snapshot(),
            alive,
            noticed,
            counts.tasks["wait"],
            await store.schedules.list(limit=_MOST_STOPPED, stopped=True),
            await store.limits.shut(_MOST_STOPPED),
        ),
        sizes=await store.overview.sizes(),
    )


@routes.get("/api/workers")
async def workers(request: web.Request) -> web.Response:
    """List the workers that are alive, with what each runs, the oldest first."""
    query(request, NoQuery)
    store = request.app[STORE].workers
    alive, noticed = await store.list(), await store.noticed()
    return answer(shapes.whole([figure_shapes.worker(item, noticed) for item in alive]))
