"""GET /api/workflows: what can be started, and of which steps it is made."""

from __future__ import annotations

from aiohttp import web

from flower.core import shapes
from flower.web.answers import answer
from flower.web.keys import STORE
from flower.web.requests import NoQuery, query, tail

routes = web.RouteTableDef()


@routes.get("/api/workflows")
async def workflows(request: web.Request) -> web.Response:
    """List every workflow, in order of name."""
    query(request, NoQuery)
    found = await request.app[STORE].workflows.list()
    return answer(shapes.whole([shapes.workflow(item) for item in found]))


@routes.get(r"/api/workflows/{workflow:[\s\S]+}")
async def workflow(request: web.Request) -> web.Response:
    """Show one workflow."""
    query(request, NoQuery)
    return answer(shapes.workflow(await request.app[STORE].workflows.get(tail(request, "/api/workflows/"))))
