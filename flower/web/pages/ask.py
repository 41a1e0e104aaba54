"""/ask/{verb}: what would follow if a verb were sent to a flow or to one of its tasks, and the form that sends it. Changes nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from aiohttp import web
from pydantic import BaseModel, Field

from flower.core import shapes
from flower.core.model import Flow, Json, Task
from flower.core.quantities import counted
from flower.core.status import Status
from flower.core.steps import reused
from flower.database.store import Store
from flower.web.keys import PLANS, STORE
from flower.web.pages.fields import Box, box_of
from flower.web.rendering import show
from flower.web.requests import query
from flower.web.words import in_path

routes = web.RouteTableDef()

REASON: Final = Box("reason", "text", "text", "Reason", hint="kept, and shown to whoever looks at the flow")


class About(BaseModel, extra="forbid", frozen=True):
    """To which flow, or to which of its tasks. *what*, *definition*: which tasks a rerun begins from, and by which definition."""

    flow: str = Field(max_length=256)
    task: str | None = Field(default=None, max_length=256)
    what: Literal["failed", "from", "only", "whole"] | None = None
    definition: Literal["same", "latest"] = "same"


@dataclass(frozen=True, slots=True)
class Follows:
    """One consequence. *names*: of tasks."""

    sentence: str
    names: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Asked:
    """What a verb would do, and what is asked before. *fixed*: what is sent beside what is filled in.

    *others*: what else may be asked for in its place, as address and words. *then*: the page that is shown after it.
    """

    title: str
    button: str
    follows: Sequence[Follows] = ()
    boxes: Sequence[Box] = (REASON,)
    method: Literal["POST", "PUT", "DELETE"] = "POST"
    fixed: Mapping[str, Json] = field(default_factory=dict)
    others: Sequence[tuple[str, str]] = ()
    then: str = ""


_OfFlow: TypeAlias = Callable[[Flow], Asked]
_OfTask: TypeAlias = Callable[[Store, Task], Awaitable[Asked]]


def _cancel(flow: Flow) -> Asked:
    follows = []
    if running := flow.counts["running"]:
        follows.append(Follows(f"{counted(running, 'running task')} told to stop; what still comes of it is refused"))
    if waiting := flow.counts["wait"] + flow.counts["suspend"]:
        follows.append(Follows(f"{counted(waiting, 'task')} will not run"))
    return Asked("Cancel this flow?", "Cancel the flow", follows or [Follows("Nothing of this flow is left to cancel.")])


def _suspend(flow: Flow) -> Asked:
    running = flow.counts["running"]
    follows = [Follows("Nothing new of this flow starts, until it is resumed.")]
    if running:
        follows.append(Follows(f"What runs goes on to its end: {counted(running, 'task')}"))
    return Asked("Suspend this flow?", "Suspend the flow", follows)


def _resume(_flow: Flow) -> Asked:
    return Asked("Resume this flow?", "Resume the flow", [Follows("Its tasks start again as soon as they may.")])


def _priority(flow: Flow) -> Asked:
    box = Box(
        "priority",
        "number",
        "number",
        "Priority",
        value=str(shapes.number(flow.priority)),
        hint="-20 to 19; lower is more urgent, and one point is worth four hours of waiting",
        is_required=True,
        limits={"min": "-20", "max": "19", "step": "1"},
    )
    follows = [Follows("It counts at once for all of its tasks that have not ended.")]
    return Asked("How urgent is this flow?", "Set the priority", follows, [box, REASON])


async def _ignore(store: Store, task: Task) -> Asked:
    plan = await store.verbs.ignore(task.flow_id, str(task.seq), {"dryRun": True})
    follows = [Follows("Runs next", plan["runs"])] if plan["runs"] else []
    if plan["ignored"]:
        follows.append(Follows("Is skipped in turn, because it needs the result", plan["ignored"]))
    return Asked(f"Skip {task.name}?", "Skip the task", follows or [Follows("Nothing else waits for it.")])


async def _complete(store: Store, task: Task) -> Asked:
    program = (await store.workflows.programs([task.program or ""])).get(task.program or "")
    box = box_of("result", (program and program.result) or {}, label="Result")
    follows = [Follows("Whatever depends on it gets this result, and its function is not run.")]
    return Asked(f"Hand in the result of {task.name}", "Hand in", follows, [box, REASON])


async def _retry(_store: Store, task: Task) -> Asked:
    if task.status == Status.SUSPEND:
        return Asked(f"Run {task.name} again?", "Run it again", [Follows("Only this task; its attempts are counted anew.")])
    return Asked(f"Run {task.name} now?", "Run it now", [Follows("It does not wait for the time of its next attempt.")])


_FLOW_VERBS: Final[Mapping[str, _OfFlow]] = {"cancel": _cancel, "suspend": _suspend, "resume": _resume, "priority": _priority}
_TASK_VERBS: Final[Mapping[str, _OfTask]] = {"ignore": _ignore, "complete": _complete, "retry": _retry}


@routes.get("/ask/rerun")
async def rerun(request: web.Request) -> web.Response:
    """Show what would run again, and what would be kept."""
    about, store = query(request, About), request.app[STORE]
    flow = await store.flows.get(about.flow)
    task = None if about.task is None else await _task(store, about)
    what = about.what or ("from" if task else "failed" if flow.failing or flow.status == Status.IGNORE else "whole")
    options = _rerun_options(what, task, about.definition)
    async with request.app[PLANS]:
        plan = await store.verbs.rerun(flow.flow_id, {**options, "dryRun": True})
    return show(
        request,
        "ask_rerun.html",
        flow=flow,
        task=task,
        what=what,
        definition=about.definition,
        plan=plan,
        runs=[f"{item['name']} ({item['was']})" for item in plan["run"]],
        reused=[reused(item) for item in plan["reused"]],
        send=f"/api/flows/{in_path(flow.flow_id)}/rerun",
        fixed={**options, "ifUnchanged": plan["version"], **({"cancelRunning": True} if plan.get("running") else {})},
        boxes=[REASON],
    )


async def _task(store: Store, about: About) -> Task:
    return await store.tasks.find(about.flow, about.task or "", parents=0)


def _rerun_options(what: str, task: Task | None, definition: str) -> dict[str, Json]:
    options: dict[str, Json] = {"whole": True} if what == "whole" else {}
    if task is not None and what in {"from", "only"}:
        options[what] = shapes.number(task.seq)
    return options | ({"definition": definition} if definition != "same" else {})


@routes.get("/ask/{verb:" + "|".join(_FLOW_VERBS) + "}")
async def of_flow(request: web.Request) -> web.Response:
    """Show what a verb would do to a flow."""
    about, verb = query(request, About), request.match_info["verb"]
    flow = await request.app[STORE].flows.get(about.flow)
    return show(request, "ask.html", flow=flow, asked=_FLOW_VERBS[verb](flow), send=f"/api/flows/{in_path(flow.flow_id)}/{verb}")


@routes.get("/ask/{verb:" + "|".join(_TASK_VERBS) + "}")
async def of_task(request: web.Request) -> web.Response:
    """Show what a verb would do to a task."""
    about, verb, store = query(request, About), request.match_info["verb"], request.app[STORE]
    flow, task = await store.flows.get(about.flow), await _task(store, about)
    send = f"/api/flows/{in_path(flow.flow_id)}/tasks/{in_path(task.seq)}/{verb}"
    async with request.app[PLANS]:
        asked = await _TASK_VERBS[verb](store, task)
    return show(request, "ask.html", flow=flow, asked=asked, send=send)
