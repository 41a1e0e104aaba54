"""/workers: the processes that run tasks."""

from __future__ import annotations

from aiohttp import web

from flower.web.keys import STORE
from flower.web.rendering import EVERYTHING, show
from flower.web.requests import NoQuery, query

routes = web.RouteTableDef()


@routes.get("/workers")
async def page(request: web.Request) -> web.Response:
    """List the workers that are alive."""
    query(request, NoQuery)
    store = request.app[STORE].workers
    return show(request, "workers.html", workers=await store.list(), noticed=await store.noticed(), watch=EVERYTHING)
