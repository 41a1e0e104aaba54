"""Says whether this process lives, whether it can work, and where to look. Health needs no token and no known Host."""

from __future__ import annotations

from dataclasses import asdict

from aiohttp import web

from flower.web.answers import answer
from flower.web.keys import READY
from flower.web.requests import NoQuery, query

routes = web.RouteTableDef()

_WHERE_TO_LOOK = {
    "name": "Flower",
    "description": "a workflow engine that lives in PostgreSQL",
    "entryPoints": {
        "start a workflow": "POST /register/{workflow}",
        "workflows": "GET /api/workflows",
        "one workflow": "GET /api/workflows/{workflow}",
        "flows": "GET /api/flows",
        "one flow with its tasks": "GET /api/flows/{flowId}",
        "one task": "GET /api/flows/{flowId}/tasks/{seq or name}",
        "why tasks wait": "GET /api/flows/{flowId}/why",
        "this interface as OpenAPI": "GET /openapi.json",
        "alive": "GET /healthz",
        "ready": "GET /readyz",
    },
}


@routes.get("/")
async def entry(request: web.Request) -> web.Response:
    """Say what this is and where to look."""
    query(request, NoQuery)
    return answer(_WHERE_TO_LOOK)


@routes.get("/healthz")
async def alive(_request: web.Request) -> web.Response:
    """Answer 200 as long as the process answers at all."""
    return answer({"status": "ok"})


@routes.get("/readyz")
async def ready(request: web.Request) -> web.Response:
    """Answer 200 if flows that are started now will run, else 503 and why."""
    found = await request.app[READY]()
    return answer({"status": "ready" if found.ok else "not ready", "checks": asdict(found)}, 200 if found.ok else 503)
