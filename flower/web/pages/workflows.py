"""/workflows and /workflows/{workflow}: what can be started, how it went lately, how it is made, and a form to start it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice
from typing import Any, Final, Literal

from aiohttp import web
from pydantic import BaseModel, Field

from flower.core.figures import History
from flower.core.model import Json, Program, Step, Workflow
from flower.core.picture import Edge, Node, Picture
from flower.core.revisions import difference
from flower.core.steps import number
from flower.database.store import Store
from flower.web.api.history import HIGHEST
from flower.web.drawing import graph
from flower.web.drawing.charts import Square, strip
from flower.web.keys import STORE
from flower.web.pages.fields import Box, box_of, boxes_of
from flower.web.pages.schedules import row_of
from flower.web.rendering import EVERYTHING, show
from flower.web.requests import query, tail
from flower.web.words import address

routes = web.RouteTableDef()

_PREFIX = "/workflows/"
_ORDER: Final = (
    Box("priority", "number", "number", "Priority", hint="-20 to 19; lower is more urgent", limits={"min": "-20", "max": "19", "step": "1"}),
    Box("runAt", "datetime-local", "moment", "Not before", hint="in your time zone; empty: at once"),
    Box("idempotencyKey", "text", "text", "Idempotency key", hint="the same key starts one flow, however often it is sent"),
)


_MOST = 50
# A picture of more steps than these is no help.
_DRAWN = 150
_ROWS = 100
_FIELDS = 300
_STRIP = 20
_REVISIONS = 50
_SCHEDULES = 5


@dataclass(frozen=True, slots=True)
class Went:
    """How the latest flows of one workflow went. Durations in seconds, *success* in percent, None where nothing is known."""

    workflow: str
    strip: Sequence[Square]
    p50: float | None
    p95: float | None
    success: float | None


class Names(BaseModel, extra="forbid", frozen=True):
    """Which workflows are listed: those behind the name *after*."""

    after: str | None = Field(default=None, max_length=256)


@routes.get("/workflows")
async def workflows(request: web.Request) -> web.Response:
    """List all workflows, by name, in parts."""
    after, store = query(request, Names).after, request.app[STORE].workflows
    names = await store.names(after)
    went = [_went(history) for history in await store.histories(names[:_MOST])]
    return show(request, "workflows.html", workflows=went, next=names[_MOST - 1] if len(names) > _MOST else None, after=after, watch=EVERYTHING)


def _went(history: History) -> Went:
    success = None if history.success_rate is None else 100 * history.success_rate
    return Went(
        history.workflow,
        strip(history.flows[-_STRIP:]),
        history.percentile(0.5),
        history.percentile(0.95),
        success,
    )


class Part(BaseModel, extra="forbid", frozen=True):
    """Which part of a workflow's page is wanted, and which *step* of it.

    *revision*: compared with the one before it. *after*: the step behind which the table begins. *flow*: whose parameters stand in the form at first.
    """

    show: Literal["steps", "start", "revisions"] = "steps"
    flow: str | None = Field(default=None, max_length=256)
    step: Decimal | None = Field(default=None, allow_inf_nan=False, max_digits=200)
    after: Decimal | None = Field(default=None, allow_inf_nan=False, max_digits=200)
    revision: int | None = Field(default=None, ge=1, le=HIGHEST)


@routes.get(_PREFIX + r"{workflow:[\s\S]+}")
async def workflow(request: web.Request) -> web.Response:
    """Show one workflow."""
    part, store = query(request, Part), request.app[STORE].workflows
    found = await store.get(tail(request, _PREFIX))
    filled = await _FILLED[part.show](request.app[STORE], found, part)
    (history,) = await store.histories([found.workflow])
    schedules = await request.app[STORE].schedules.list(limit=_SCHEDULES + 1, workflow=found.workflow)
    return show(
        request,
        "workflow.html",
        workflow=found,
        part=part,
        went=_went(history),
        schedules=[row_of(schedule) for schedule in schedules[:_SCHEDULES]],
        are_more_schedules=len(schedules) > _SCHEDULES,
        watch=EVERYTHING,
        **filled,
    )


async def _steps(store: Store, found: Workflow, part: Part) -> dict[str, Any]:
    programs = await store.workflows.programs([step.program for step in found.steps])
    drawn = graph.draw(_picture(found.steps), part.step, noun="step") if len(found.steps) <= _DRAWN else None
    shown = [step for step in found.steps if part.after is None or step.seq > part.after]
    following = shown[_ROWS - 1].seq if len(shown) > _ROWS else None
    return {"steps": shown[:_ROWS], "next": following, "graph": drawn, "chosen": part.step, "parameters": taken(found, programs, {})}


def _picture(steps: Sequence[Step]) -> Picture:
    nodes = tuple(Node(number(step.seq), step.seq, step.name, step.program, 0, None, None, 0) for step in steps)
    before = (None, *(step.seq for step in steps))
    parents = [(one,) if step.depends_on is None and one is not None else step.depends_on or () for step, one in zip(steps, before, strict=False)]
    known = {step.seq for step in steps}
    edges = [Edge(number(parent), number(step.seq)) for step, above in zip(steps, parents, strict=True) for parent in above if parent in known]
    return Picture(None, nodes, tuple(edges))


async def _start(store: Store, found: Workflow, part: Part) -> dict[str, Any]:
    programs = await store.workflows.programs([step.program for step in found.steps])
    given = (await store.flows.given(part.flow)).parameters if part.flow else None
    return {
        "boxes": taken(found, programs, given if isinstance(given, dict) else {}),
        "order": _ORDER,
        "send": f"/register/{address(found.workflow)}",
    }


async def _revisions(store: Store, found: Workflow, part: Part) -> dict[str, Any]:
    listed = await store.workflows.revisions(found.workflow, limit=_REVISIONS)
    chosen = await store.workflows.revision(found.workflow, part.revision or listed[0].revision)
    before = await store.workflows.revision_before(chosen)
    return {"revisions": listed, "chosen": chosen, "difference": None if before is None else difference(before, chosen)}


_FILLED: Final = {"steps": _steps, "start": _start, "revisions": _revisions}


def taken(workflow: Workflow, programs: Mapping[str, Program], given: Mapping[str, Json]) -> tuple[Box, ...]:
    """Return the fields of a form that starts *workflow*: what it says that it takes, else what its steps take. What is *given* stands in them."""
    if isinstance(workflow.takes, dict):
        return boxes_of(dict(islice(workflow.takes.items(), _FIELDS)), "parameters", given)
    boxes: dict[str, Box] = {}
    for step in workflow.steps[:_ROWS]:
        program, own = programs.get(step.program), step.parameters if isinstance(step.parameters, dict) else {}
        for name in dict.fromkeys([*own, *((program and program.takes) or ())]):
            schema: Json = ((program and program.accepts) or {}).get(name) or {}
            default = given.get(name, own.get(name, ... if program and name in program.requires else None))
            boxes.setdefault(name, box_of(name, schema, within="parameters", default=default))
    more = Box("more", "area", "json", "More parameters", within="parameters", hint='a JSON object, like {"name": "value"}', spread=True)
    return (*boxes.values(), more)
