"""GET /api/history, /api/revisions and /api/differences: how the flows of a workflow went, and how it was defined.

They do not lie below /api/workflows/{workflow}: the id of a workflow may hold slashes, and end in whatever would be said there.
"""

from __future__ import annotations

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from flower.core import figure_shapes, shapes
from flower.core.errors import FieldError, Invalid
from flower.core.revisions import difference
from flower.web.answers import answer
from flower.web.keys import STORE
from flower.web.requests import NoQuery, query, tail

_MOST = 50
HIGHEST = 2_147_483_646

routes = web.RouteTableDef()


class HistoriesQuery(BaseModel, extra="forbid", frozen=True):
    """Which histories are wanted."""

    limit: int = Field(default=20, ge=1, le=_MOST, description="how many workflows at most")
    after: str | None = Field(default=None, max_length=256, description="`next` of the part before")


class RevisionsQuery(BaseModel, extra="forbid", frozen=True):
    """Which revisions are wanted."""

    limit: int = Field(default=20, ge=1, le=_MOST, description="how many at most")
    after: int | None = Field(default=None, ge=1, le=HIGHEST, description="`next` of the part before")


class DifferenceQuery(BaseModel):
    """Which two revisions are compared."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    old: int | None = Field(default=None, ge=1, le=HIGHEST, description="this revision; without it the one before the new one")
    new: int | None = Field(default=None, ge=1, le=HIGHEST, description="and this one; without it the newest")


@routes.get("/api/history")
async def histories(request: web.Request) -> web.Response:
    """List how the latest flows of each workflow went, in order of name, in parts."""
    wanted, store = query(request, HistoriesQuery), request.app[STORE].workflows
    names = await store.names(wanted.after)
    items = [figure_shapes.history(item) for item in await store.histories(names[: wanted.limit])]
    return answer({"items": items, "next": names[wanted.limit - 1] if len(names) > wanted.limit else None})


@routes.get(r"/api/history/{workflow:[\s\S]+}")
async def history(request: web.Request) -> web.Response:
    """Say how the latest flows of one workflow went."""
    query(request, NoQuery)
    return answer(figure_shapes.history(await request.app[STORE].workflows.history(tail(request, "/api/history/"))))


@routes.get(r"/api/revisions/{workflow:[\s\S]+}")
async def revisions(request: web.Request) -> web.Response:
    """List how one workflow was defined, the newest first, in parts."""
    wanted, store = query(request, RevisionsQuery), request.app[STORE].workflows
    found = await store.revisions(tail(request, "/api/revisions/"), before=wanted.after, limit=wanted.limit + 1)
    shown = found[: wanted.limit]
    return answer(
        {**shapes.whole([figure_shapes.revision(item) for item in shown]), "next": str(shown[-1].revision) if len(found) > wanted.limit else None}
    )


@routes.get(r"/api/differences/{workflow:[\s\S]+}")
async def differences(request: web.Request) -> web.Response:
    """Say what changed from one revision of a workflow to another."""
    wanted, store, name = query(request, DifferenceQuery), request.app[STORE].workflows, tail(request, "/api/differences/")
    new = (await store.revisions(name, limit=1))[0] if wanted.new is None else await store.revision(name, wanted.new)
    old = await store.revision_before(new) if wanted.old is None else await store.revision(name, wanted.old)
    if old is None:
        raise Invalid([FieldError("old", f"{new.revision} is the first revision: there is none before it")])
    return answer(figure_shapes.difference(difference(old, new)))
