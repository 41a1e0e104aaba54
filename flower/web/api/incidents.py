"""/api/incidents: what went wrong, alike failures as one."""

from __future__ import annotations

from aiohttp import web

from flower.core import shapes
from flower.web.answers import answer
from flower.web.keys import STORE
from flower.web.requests import NoQuery, query

routes = web.RouteTableDef()


@routes.get("/api/incidents")
async def incidents(request: web.Request) -> web.Response:
    """List the incidents that there are, the latest first."""
    query(request, NoQuery)
    return answer(shapes.whole([shapes.incident(item) for item in await request.app[STORE].incidents.list()]))
