"""GET /api/flows and what lies below it: what happened, what happens, and why something waits."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from aiohttp import web
from pydantic import BaseModel, BeforeValidator, Field

from flower.core import shapes
from flower.core.errors import UnknownTask
from flower.core.model import Task
from flower.web.answers import answer
from flower.web.keys import STORE
from flower.web.requests import NoQuery, moment, part, query

MOST = 500
# A cursor holds the id of a flow, which a hand may have made 256 characters of any kind long.
LONGEST_CURSOR = 6000
# As long as an id may be.
LONGEST_TEXT = 256

_Moment = Annotated[datetime, BeforeValidator(moment)]

routes = web.RouteTableDef()


class FlowsQuery(BaseModel, extra="forbid", frozen=True):
    """Which flows are wanted. The words of *status* and *outcome* are the store's to know."""

    status: str | None = Field(default=None, description="flows in this status (wait, running, suspend, finish, ignore), or with this outcome")
    outcome: str | None = Field(default=None, description="flows that have a task with this outcome, like failed or approval")
    workflow: str | None = Field(default=None, description="flows of this workflow")
    text: str | None = Field(
        default=None,
        max_length=LONGEST_TEXT,
        description="what stands in the flow's id or parameters, or in parameters or errors of its tasks; in capitals or not",
    )
    since: _Moment | None = Field(default=None, description="registered then or later: ISO 8601 with its zone")
    until: _Moment | None = Field(default=None, description="registered before: ISO 8601 with its zone")
    limit: int = Field(default=50, ge=1, le=MOST, description="how many at most")
    after: str | None = Field(default=None, max_length=LONGEST_CURSOR, description="`next` of the part before")


@routes.get("/api/flows")
async def flows(request: web.Request) -> web.Response:
    """List flows, newest first, in parts."""
    wanted = query(request, FlowsQuery)
    return answer(shapes.page(await request.app[STORE].flows.list(**wanted.model_dump())))


@routes.get("/api/flows/{flowId}")
async def flow(request: web.Request) -> web.Response:
    """Show one flow: which task failed, then all of them."""
    query(request, NoQuery)
    store, flow_id = request.app[STORE], part(request, "flowId")
    found, tasks = await store.flows.get(flow_id), await store.flows.tasks(flow_id)
    return answer(shapes.flow_with_tasks(found, tasks, await store.logs.before_failure(tasks), await store.flows.given(flow_id)))


@routes.get("/api/flows/{flowId}/tasks/{step}")
async def task(request: web.Request) -> web.Response:
    """Show one task, by its seq or its name."""
    query(request, NoQuery)
    return answer(shapes.task(await _task(request)))


@routes.get("/api/flows/{flowId}/tasks/{step}/attempts")
async def attempts(request: web.Request) -> web.Response:
    """List earlier attempts of one task, the latest first."""
    query(request, NoQuery)
    found = await _task(request)
    return answer(shapes.whole([shapes.attempt(item) for item in await request.app[STORE].tasks.attempts(found.flow_id, found.seq)]))


@routes.get("/api/flows/{flowId}/why")
async def why(request: web.Request) -> web.Response:
    """Say for each task that waits what it waits for."""
    query(request, NoQuery)
    store, flow_id = request.app[STORE], part(request, "flowId")
    waiting = await store.flows.why(flow_id) or await _none_of(request, flow_id)
    return answer(shapes.whole([shapes.waiting(item) for item in waiting]))


async def _task(request: web.Request) -> Task:
    store, flow_id = request.app[STORE], part(request, "flowId")
    try:
        return await store.tasks.find(flow_id, part(request, "step"))
    except UnknownTask:
        await _none_of(request, flow_id)
        raise


async def _none_of(request: web.Request, flow_id: str) -> tuple[()]:
    # Nothing found below a flow: is it the flow that is not there?
    await request.app[STORE].flows.get(flow_id)
    return ()


class LogsQuery(BaseModel, extra="forbid", frozen=True):
    """Which lines are wanted."""

    limit: int = Field(default=1000, ge=1, le=10_000, description="how many at most")
    after: str | None = Field(default=None, max_length=20, description="the id of the last line that was seen")


@routes.get("/api/flows/{flowId}/logs")
async def logs(request: web.Request) -> web.Response:
    """List what the tasks of a flow have said, in order."""
    wanted = query(request, LogsQuery)
    flow_id = part(request, "flowId")
    lines = await request.app[STORE].logs.read(flow_id, after=wanted.after, limit=wanted.limit) or await _none_of(request, flow_id)
    return answer(shapes.log_lines(lines, wanted.limit))


@routes.get("/api/flows/{flowId}/tasks/{step}/logs")
async def task_logs(request: web.Request) -> web.Response:
    """List what one task has said in all its attempts, in order."""
    wanted = query(request, LogsQuery)
    found = await _task(request)
    lines = await request.app[STORE].logs.read(found.flow_id, seq=found.seq, after=wanted.after, limit=wanted.limit)
    return answer(shapes.log_lines(lines, wanted.limit))


@routes.get("/api/flows/{flowId}/audit")
async def audit(request: web.Request) -> web.Response:
    """List what people did to a flow by verbs, in order."""
    query(request, NoQuery)
    flow_id = part(request, "flowId")
    deeds = await request.app[STORE].verbs.done(flow_id) or await _none_of(request, flow_id)
    return answer(shapes.whole([shapes.deed(item) for item in deeds]))
