"""/workflows and /workflows/{workflow}: what can be started, how it went lately, how it is made, and a form to start it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from aiohttp import web
from pydantic import BaseModel, Field

from flower.core.model import Json, Program, Workflow
from flower.web.keys import STORE
from flower.web.pages.fields import Box, box_of, boxes_of
from flower.web.pages.rendering import show
from flower.web.pages.words import address
from flower.web.requests import NoQuery, query, tail

routes = web.RouteTableDef()

_PREFIX = "/workflows/"
_ORDER: Final = (
    Box("priority", "number", "number", "Priority", hint="-20 to 19; lower is more urgent", limits={"min": "-20", "max": "19", "step": "1"}),
    Box("runAt", "moment", "moment", "Not before", hint="in your time zone; empty: at once"),
    Box("idempotencyKey", "text", "text", "Idempotency key", hint="the same key starts one flow, however often it is sent"),
)


@routes.get("/workflows")
async def workflows(request: web.Request) -> web.Response:
    """List all workflows."""
    query(request, NoQuery)
    return show(request, "workflows.html", workflows=await request.app[STORE].workflows.list(), watch="")


class Part(BaseModel, extra="forbid", frozen=True):
    """Which part of a workflow's page is wanted."""

    show: Literal["steps", "start", "revisions"] = "steps"
    revision: int | None = Field(default=None, ge=1)


@routes.get(_PREFIX + r"{workflow:[\s\S]+}")
async def workflow(request: web.Request) -> web.Response:
    """Show one workflow."""
    part, store = query(request, Part), request.app[STORE]
    found = await store.workflows.get(tail(request, _PREFIX))
    programs = await store.workflows.programs([step.program for step in found.steps])
    return show(
        request,
        "workflow.html",
        workflow=found,
        part=part,
        boxes=taken(found, programs),
        order=_ORDER,
        send=f"/register/{address(found.workflow)}",
        watch="",
    )


def taken(workflow: Workflow, programs: Mapping[str, Program]) -> tuple[Box, ...]:
    """Return the fields of a form that starts *workflow*: what it says that it takes, else what its steps take."""
    if workflow.takes is not None:
        return boxes_of(workflow.takes, "parameters")
    boxes: dict[str, Box] = {}
    for step in workflow.steps:
        program, own = programs.get(step.program), step.parameters if isinstance(step.parameters, dict) else {}
        for name in dict.fromkeys([*own, *((program and program.takes) or ())]):
            schema: Json = ((program and program.accepts) or {}).get(name) or {}
            default = own.get(name, ... if program and name in program.requires else None)
            boxes.setdefault(name, box_of(name, schema, within="parameters", default=default))
    more = Box("more", "area", "json", "More parameters", within="parameters", hint='a JSON object, like {"name": "value"}', spread=True)
    return (*boxes.values(), more)
