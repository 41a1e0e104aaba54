"""/api/limits: how many tasks that name a limit may run at once, and how fast they may start."""

from __future__ import annotations

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, StrictInt, StrictStr

from flower.core import shapes
from flower.web.answers import answer
from flower.web.api.verbs import caller
from flower.web.keys import STORE
from flower.web.requests import NoQuery, body, query, tail, valid

_PREFIX = "/api/limits/"
ONE_LIMIT = r"/api/limits/{name:[\s\S]+}"

routes = web.RouteTableDef()


class SetLimit(BaseModel):
    """The body of `PUT /api/limits/{name}`. What is left out stays as it is."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    slots: StrictInt | None = Field(default=None, description="how many may run at once; 0: nothing may start; null: any number")
    rate: StrictStr | None = Field(default=None, description="how many may start in what time, as 10/min (s, min, h, day); null: as fast as they can")


@routes.get("/api/limits")
async def limits(request: web.Request) -> web.Response:
    """List every limit and how it stands with it, in order of name."""
    query(request, NoQuery)
    return answer(shapes.whole([shapes.limit(item) for item in await request.app[STORE].limits.list()]))


@routes.get(ONE_LIMIT)
async def limit(request: web.Request) -> web.Response:
    """Show one limit or pattern."""
    query(request, NoQuery)
    return answer(shapes.limit(await request.app[STORE].limits.get(tail(request, _PREFIX))))


@routes.put(ONE_LIMIT)
async def set_limit(request: web.Request) -> web.Response:
    """Make a limit, or change one, and answer it. It counts at once; what runs goes on."""
    query(request, NoQuery)
    name, store = tail(request, _PREFIX), request.app[STORE].limits
    wanted = valid(SetLimit, await body(request) or {})
    await store.set(name, {**wanted.model_dump(exclude_unset=True), "by": caller(request)})
    return answer(shapes.limit(await store.get(name)))


@routes.delete(ONE_LIMIT)
async def remove_limit(request: web.Request) -> web.Response:
    """Remove a limit: whatever waited for it goes on."""
    query(request, NoQuery)
    return answer(await request.app[STORE].limits.set(tail(request, _PREFIX), {"remove": True, "by": caller(request)}))
