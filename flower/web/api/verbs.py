"""What a person does to a flow: POST /api/flows/{flowId}/rerun and its kin."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Literal, TypeAlias

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, StrictFloat, StrictInt, StrictStr
from pydantic.alias_generators import to_camel

from flower.core.model import Json
from flower.database.store.verbs import Options, Verbs
from flower.web.answers import answer
from flower.web.keys import SESSION, STORE
from flower.web.requests import NoQuery, body, part, query, valid

routes = web.RouteTableDef()

_FLOW = "/api/flows/{flowId}"
_TASK = "/api/flows/{flowId}/tasks/{step}"


_Step: TypeAlias = StrictInt | StrictFloat | StrictStr


class Said(BaseModel):
    """The body of a verb, which may be left out."""

    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel)

    reason: str | None = Field(default=None, description="why; kept, and shown")


class Skipping(Said):
    """The body of `ignore`."""

    dry_run: bool = Field(default=False, description="only say what follows from it: who runs, and who is ignored in turn")


class HandedIn(Said):
    """The body of `complete`."""

    result: Any = Field(default=None, description="the result, as JSON")


class Rerun(Said):
    """The body of `rerun`."""

    from_: _Step | None = Field(
        default=None, alias="from", description="the task to begin from, and all that depends on it: a seq as a number, a name as a text"
    )
    only: _Step | None = Field(default=None, description="this task alone")
    whole: bool = Field(default=False, description="everything that has run")
    parameters: dict[str, Any] | None = Field(default=None, description="new values for parameters of the flow, for the tasks that run")
    definition: Literal["same", "latest"] = Field(default="same", description="latest: as the workflow is defined now")
    dry_run: bool = Field(default=False, description="only answer the plan")
    if_unchanged: str | None = Field(default=None, description="the version of a plan; refused if the flow has moved on since")
    cancel_running: bool = Field(default=False, description="take away what runs, and run it again")


class Urgency(Said):
    """The body of `priority`."""

    priority: StrictInt = Field(ge=-20, le=19, description="lower is more urgent; one point is worth four hours of waiting")


_OfFlow: TypeAlias = Callable[[Verbs, str, Options], Awaitable[Json]]
_OfTask: TypeAlias = Callable[[Verbs, str, str, Options], Awaitable[Json]]


@routes.post(_FLOW + "/rerun")
async def rerun(request: web.Request) -> web.Response:
    """Run a flow again: what failed and what depends on it, or from a task on."""
    return await _of_flow(request, Rerun, Verbs.rerun)


@routes.post(_FLOW + "/cancel")
async def cancel(request: web.Request) -> web.Response:
    """Make everything unfinished of a flow ignored; what runs is told to stop."""
    return await _of_flow(request, Said, Verbs.cancel)


@routes.post(_FLOW + "/suspend")
async def suspend(request: web.Request) -> web.Response:
    """Have nothing new of a flow start; what runs goes on."""
    return await _of_flow(request, Said, Verbs.suspend)


@routes.post(_FLOW + "/resume")
async def resume(request: web.Request) -> web.Response:
    """Let a suspended flow go on."""
    return await _of_flow(request, Said, Verbs.resume)


@routes.post(_FLOW + "/priority")
async def priority(request: web.Request) -> web.Response:
    """Make a flow more or less urgent; it counts at once for whatever of it has not ended."""
    return await _of_flow(request, Urgency, Verbs.priority)


@routes.post(_TASK + "/ignore")
async def ignore(request: web.Request) -> web.Response:
    """Skip a task: whatever depends on it goes on."""
    return await _of_task(request, Skipping, Verbs.ignore)


@routes.post(_TASK + "/complete")
async def complete(request: web.Request) -> web.Response:
    """Hand in the result of a task in place of its function."""
    return await _of_task(request, HandedIn, Verbs.complete, checked=True)


@routes.post(_TASK + "/retry")
async def retry(request: web.Request) -> web.Response:
    """Run a suspended task again, or have one that waits for its next attempt begin it now."""
    return await _of_task(request, Said, Verbs.retry)


def caller(request: web.Request) -> str:
    """Return who does it, as it is kept in kr_audit."""
    return "http, with the token" if request.app[SESSION] else "http, on this machine"


async def _of_flow(request: web.Request, model: type[Said], verb: _OfFlow) -> web.Response:
    query(request, NoQuery)
    options = await _options(request, model)
    return answer(await verb(request.app[STORE].verbs, part(request, "flowId"), options))


async def _of_task(request: web.Request, model: type[Said], verb: _OfTask, **more: Json) -> web.Response:
    query(request, NoQuery)
    options = await _options(request, model)
    return answer(await verb(request.app[STORE].verbs, part(request, "flowId"), part(request, "step"), {**options, **more}))


async def _options(request: web.Request, model: type[Said]) -> dict[str, Json]:
    said = valid(model, await body(request) or {})
    return {**said.model_dump(by_alias=True, exclude_unset=True, exclude_none=model is not HandedIn), "by": caller(request)}
