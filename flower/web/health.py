"""Says whether this process lives, and whether it can work. Health needs no token and no known Host."""

from __future__ import annotations

from dataclasses import asdict

from aiohttp import web

from flower.web.answers import answer
from flower.web.keys import READY

routes = web.RouteTableDef()


@routes.get("/healthz")
async def alive(_request: web.Request) -> web.Response:
    """Answer 200 as long as the process answers at all."""
    return answer({"status": "ok"})


@routes.get("/readyz")
async def ready(request: web.Request) -> web.Response:
    """Answer 200 if flows that are started now will run, else 503 and why."""
    found = await request.app[READY]()
    return answer({"status": "ready" if found.ok else "not ready", "checks": asdict(found)}, 200 if found.ok else 503)
