"""POST /api/pause, POST /api/unpause and GET /api/pauses: of what nothing new may start."""

from __future__ import annotations

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictStr, field_validator

from flower.core import shapes
from flower.core.model import Json
from flower.web.answers import answer
from flower.web.api.verbs import caller
from flower.web.keys import STORE
from flower.web.requests import NoQuery, body, moment, query, valid

# A cursor has a name in it, of at most 256 characters of any kind, and as they are.
_LONGEST_CURSOR = 300
_MOST = 500

routes = web.RouteTableDef()


class Unpausing(BaseModel):
    """The body of `POST /api/unpause`: what goes on, one of four."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    workflow: StrictStr | None = Field(default=None, description="a workflow")
    program: StrictStr | None = Field(default=None, description="a program")
    limit: StrictStr | None = Field(default=None, description="a limit, or the beginning of such and a star: tenant:*")
    all: StrictBool | None = Field(default=None, description="true: everything")
    reason: StrictStr | None = Field(default=None, description="why; kept, and shown")


class Pausing(Unpausing):
    """The body of `POST /api/pause`: of what nothing new starts, one of four."""

    until: StrictStr | None = Field(
        default=None, description="it ends by itself then: ISO 8601 with its zone", json_schema_extra={"format": "date-time"}
    )

    @field_validator("until")
    @classmethod
    def _one_moment(cls, value: str | None) -> str | None:
        return None if value is None else moment(value).isoformat()


class PausesQuery(BaseModel, extra="forbid", frozen=True):
    """Which pauses are wanted."""

    limit: int = Field(default=50, ge=1, le=_MOST, description="how many at most")
    after: str | None = Field(default=None, max_length=_LONGEST_CURSOR, description="`next` of the part before")


@routes.get("/api/pauses")
async def pauses(request: web.Request) -> web.Response:
    """List what is paused: everything, workflows, programs, limits, and then flows that are suspended."""
    found = await request.app[STORE].pauses.list(**query(request, PausesQuery).model_dump())
    return answer({"items": [shapes.pause(item) for item in found.items], "next": found.next})


@routes.post("/api/pause")
async def pause(request: web.Request) -> web.Response:
    """Have nothing new of a workflow, program or limit start, or nothing at all; what runs goes on."""
    return answer(shapes.paused(await request.app[STORE].pauses.pause(await _options(request, Pausing))))


@routes.post("/api/unpause")
async def unpause(request: web.Request) -> web.Response:
    """Let what is paused go on."""
    return answer(shapes.unpaused(await request.app[STORE].pauses.unpause(await _options(request, Unpausing))))


async def _options(request: web.Request, model: type[Unpausing]) -> dict[str, Json]:
    query(request, NoQuery)
    said = valid(model, await body(request) or {})
    return {**said.model_dump(exclude_none=True), "by": caller(request)}
