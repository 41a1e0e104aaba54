"""/flows/{flowId}: one flow as a graph, a timeline or a table, and beside it one of its tasks: the one that stopped it, unless another is chosen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final, Literal

from aiohttp import web
from pydantic import BaseModel, Field

from flower.core.masks import mask
from flower.core.model import Flow, Json, LogLine, Task, Waiting
from flower.core.picture import Attempt, Rows
from flower.core.quantities import between
from flower.core.status import Status, status_word
from flower.core.steps import number
from flower.database.store import Store
from flower.web.drawing import graph, table, timeline
from flower.web.keys import STORE
from flower.web.pages.marks import Mark, mark, mark_of
from flower.web.pages.rendering import show
from flower.web.requests import part, query

routes = web.RouteTableDef()

_LAST_LINES = 200
_ROWS = 100
_ERROR_PARTS: Final = ("type", "message", "where", "traceback", "program")


class View(BaseModel, extra="forbid", frozen=True):
    """What of a flow is looked at. It stands in the address, so that it can be handed on."""

    view: Literal["graph", "timeline", "table"] = "graph"
    task: str | None = Field(default=None, max_length=256)
    status: str | None = Field(default=None, max_length=20)
    after: Decimal | None = Field(default=None, allow_inf_nan=False, max_digits=200)
    from_: Decimal | None = Field(default=None, alias="from", allow_inf_nan=False, max_digits=200)
    zoom: int = Field(default=1, ge=1, le=64)
    at: float = Field(default=0, ge=0, allow_inf_nan=False)

    def kept(self) -> dict[str, str]:
        """Return the query that a link within the page keeps."""
        given = self.model_dump(by_alias=True, exclude_defaults=True, exclude={"task"})
        return {name: number(value) if isinstance(value, Decimal) else str(value) for name, value in given.items()}


@dataclass(frozen=True, slots=True)
class Error:
    """What stands in an error column, in parts. *rest*: whatever else, or all of it where a hand wrote something of its own."""

    type: str
    message: str
    where: str
    traceback: str
    rest: Json


@dataclass(frozen=True, slots=True)
class Earlier:
    """An attempt of before."""

    attempt: Attempt
    mark: Mark
    took: str
    error: Error | None


@dataclass(frozen=True, slots=True)
class Shown:
    """One task as it is shown beside the picture of its flow. *lines*: the last that it said; *is_cut*: there were more. *why* it waits."""

    task: Task
    mark: Mark
    attempt: str
    took: str
    error: Error | None
    progress: tuple[float, float | None] | None
    why: Sequence[str]
    lines: Sequence[LogLine]
    is_cut: bool
    earlier: Sequence[Earlier]
    verbs: Sequence[tuple[str, str]]
    times: Sequence[tuple[str, datetime]]

    @property
    def is_running(self) -> bool:
        """Whether it runs at this moment."""
        return self.task.status == Status.RUNNING

    @property
    def is_finished(self) -> bool:
        """Whether it has a result, be it null."""
        return self.task.status == Status.FINISH

    @property
    def is_fault(self) -> bool:
        """Whether it went wrong."""
        return self.task.is_fault


@routes.get("/flows/{flowId}")
async def page(request: web.Request) -> web.Response:
    """Show one flow."""
    view, store, flow_id = query(request, View), request.app[STORE], part(request, "flowId")
    flow = await store.flows.get(flow_id)
    chosen = view.task or await store.tasks.focus(flow_id)
    shown = None if chosen is None else await _shown(store, flow_id, str(chosen))
    seq = None if shown is None else shown.task.seq
    filled = await _DRAWN[view.view](store, view, flow_id, seq)
    return show(
        request,
        "flow.html",
        flow=flow,
        mark=mark_of(flow),
        took=between(flow.registered_at, flow.finished_at),
        counts=[(word, count, mark(word, flow.outcome if word == Status.SUSPEND.word else None)) for word, count in flow.counts.items() if count],
        verbs=_flow_verbs(flow),
        view=view.view,
        chosen={"task": view.task} if view.task else {},
        only=view.status,
        is_first=view.after is None and view.from_ is None,
        shown=shown,
        deeds=await store.verbs.done(flow_id),
        watch=flow_id,
        **filled,
    )


async def _shown(store: Store, flow_id: str, step: str) -> Shown:
    task = await store.tasks.find(flow_id, step, parents=0)
    lines = await store.logs.last(flow_id, task.seq, limit=_LAST_LINES)
    is_open = task.status not in {Status.RUNNING, Status.FINISH, Status.IGNORE}
    reasons = await store.flows.why(flow_id, task.seq) if is_open and task.status != Status.SUSPEND else ()
    return Shown(
        task=task,
        mark=mark(status_word(task.status), task.outcome),
        attempt=_attempt(task),
        took=between(task.started_at, task.finished_at or task.suspended_at),
        error=error_of(task.error),
        progress=_progress(task),
        why=_reasons(reasons),
        lines=lines,
        is_cut=len(lines) == _LAST_LINES,
        earlier=[_earlier(attempt) for attempt in await store.tasks.attempts(flow_id, task.seq)],
        verbs=_task_verbs(task),
        times=[(word, moment) for word, moment in _times(task) if moment is not None],
    )


def error_of(value: Json) -> Error | None:
    """Return what stands in an error column, its secrets masked."""
    shown = mask(value)
    if shown is None:
        return None
    if not isinstance(shown, dict):
        return Error("Error", "", "", "", shown)
    known = {name: "" if shown.get(name) is None else str(shown[name]) for name in _ERROR_PARTS}
    rest = {name: item for name, item in shown.items() if name not in _ERROR_PARTS}
    return Error(known["type"] or "Error", known["message"], known["where"], known["traceback"], rest or None)


def _attempt(task: Task) -> str:
    again = f", in all {task.attempt}" if task.attempt != task.tries else ""
    return f"{task.tries} of {task.attempts}{again}"


def _progress(task: Task) -> tuple[float, float | None] | None:
    said = task.progress if task.status == Status.RUNNING and isinstance(task.progress, dict) else {}
    done, total = said.get("done"), said.get("total")
    return (done, total if isinstance(total, int | float) else None) if isinstance(done, int | float) else None


def _reasons(waiting: Sequence[Waiting]) -> Sequence[str]:
    return [reason for one in waiting for reason in one.reasons]


def _earlier(attempt: Attempt) -> Earlier:
    return Earlier(attempt, mark(attempt.status, attempt.outcome), between(attempt.started_at, attempt.ended_at), error_of(attempt.error))


def _times(task: Task) -> Sequence[tuple[str, datetime | None]]:
    return (
        ("registered", task.registered_at),
        ("not before", task.run_after),
        ("started", task.started_at),
        ("finished", task.finished_at),
        ("suspended", task.suspended_at),
    )


def _flow_verbs(flow: Flow) -> Sequence[tuple[str, str]]:
    is_open = flow.status not in {Status.FINISH, Status.IGNORE}
    verbs = [("rerun", "Rerun")]
    if is_open:
        verbs += [("resume", "Resume") if flow.suspended else ("suspend", "Suspend"), ("priority", "Priority"), ("cancel", "Cancel")]
    return verbs


def _task_verbs(task: Task) -> Sequence[tuple[str, str]]:
    is_open = task.status not in {Status.FINISH, Status.IGNORE}
    has_run = task.attempt > 0 or not is_open
    verbs = [("rerun", "Rerun from here")] if has_run else []
    if task.status == Status.SUSPEND:
        verbs = [("complete", "Hand in the result"), ("retry", "Retry"), *verbs] if not task.is_fault else [*verbs, ("retry", "Retry")]
    elif task.status == Status.WAIT and task.run_after is not None:
        verbs.append(("retry", "Run it now"))
    if is_open:
        verbs.append(("ignore", "Skip"))
        verbs += [("complete", "Hand in the result")] if ("complete", "Hand in the result") not in verbs else []
    return verbs


async def _graph(store: Store, view: View, flow_id: str, seq: Decimal | None) -> dict[str, Any]:
    picture = await store.pictures.of(flow_id, seq)
    return {"graph": graph.draw(picture, seq, view.kept())}


async def _timeline(store: Store, view: View, flow_id: str, seq: Decimal | None) -> dict[str, Any]:
    rows = await _rows(store, view, flow_id)
    pasts = await store.tasks.pasts(flow_id, [row.seq for row in rows.items])
    drawn = timeline.draw(rows.items, pasts, datetime.now(UTC), selected=seq, zoom=view.zoom, at=view.at, query=view.kept())
    return {"timeline": drawn, "next": rows.next}


async def _table(store: Store, view: View, flow_id: str, seq: Decimal | None) -> dict[str, Any]:
    rows = await _rows(store, view, flow_id)
    return {"lines": table.lines(rows.items, seq, view.kept()), "next": rows.next}


async def _rows(store: Store, view: View, flow_id: str) -> Rows:
    return await store.tasks.rows(flow_id, after=view.after, begin=view.from_, status=view.status or None, limit=_ROWS)


_DRAWN: Final = {"graph": _graph, "timeline": _timeline, "table": _table}
