"""`workflows`, `flows` and `why`: look at what there is, change nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from enum import StrEnum
from functools import partial
from time import monotonic
from typing import Annotated, Any

import typer

from flower.cli.options import AsJson, Database, FlowReference, read_time
from flower.cli.output import print_json, print_table, say
from flower.cli.surroundings import opened, run
from flower.cli.times import in_local_time, local
from flower.core import shapes
from flower.core.escape import escape
from flower.core.model import Flow, Page, Step, Waiting, Workflow
from flower.core.quantities import between
from flower.core.status import Status, Why
from flower.core.steps import number

# Through a million flows in seconds; further nobody waits without being asked.
_PATIENCE_SECONDS = 5.0


class _StatusWord(StrEnum):
    """What --status takes: the states, and for convenience the outcomes too."""

    WAIT = "wait"
    RUNNING = "running"
    SUSPEND = "suspend"
    FINISH = "finish"
    IGNORE = "ignore"
    FAILED = "failed"
    APPROVAL = "approval"
    POISON = "poison"
    INVALID = "invalid"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"
    CONDITION = "condition"


def workflows(*, database: Database = None, as_json: AsJson = False) -> None:
    """List the workflows and their steps."""

    async def find() -> tuple[Workflow, ...]:
        async with opened(database) as store:
            return await store.workflows.list()

    found = run(find())
    if as_json:
        print_json(shapes.whole([shapes.workflow(item) for item in found]))
        return
    if not found:
        say("No workflow is defined yet: insert its steps into ms_task_definition (python -m flower psql).")
        return
    rows = [(item.workflow + (" (paused)" if item.paused else ""), _at_most(item) + _steps(item.steps)) for item in found]
    print_table(("workflow", "steps"), rows, flexible=("steps",))
    unknown = sorted({step.program for item in found for step in item.steps if not step.known})
    for pause in dict.fromkeys(item.paused for item in found if item.paused):
        say(in_local_time(escape(pause.sentence)))
    if unknown:
        say(f"(?) no live worker has the program: {', '.join(unknown)}")


def _at_most(item: Workflow) -> str:
    return "" if item.max_flows is None else f"[at most {item.max_flows} {'flow' if item.max_flows == 1 else 'flows'} at once] "


def _steps(steps: tuple[Step, ...]) -> str:
    return ", ".join(step.name + (f" ({step.program})" if step.program != step.name else "") + ("" if step.known else " (?)") for step in steps)


def flows(  # noqa: PLR0913 - one per filter
    *,
    status: Annotated[_StatusWord | None, typer.Option(help="Only these; a reason like failed or cancelled works as well")] = None,
    outcome: Annotated[Why | None, typer.Option(help="Only flows with a task that ended so")] = None,
    workflow: Annotated[str | None, typer.Option(help="Only flows of this workflow")] = None,
    text: Annotated[str | None, typer.Option(help="Only with this in their id or parameters, or in parameters or errors of their tasks")] = None,
    since: Annotated[str | None, typer.Option(metavar="TIME", help="Only registered since then (-2h, 14:00, ISO 8601)")] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help="Only registered before then")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many at most")] = 20,
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """List flows, newest first."""
    wanted: dict[str, Any] = {
        "status": status and status.value,
        "outcome": outcome and outcome.value,
        "workflow": workflow,
        "text": text,
        "since": read_time(since, "--since"),
        "until": read_time(until, "--until"),
    }

    async def find() -> Page:
        async with opened(database) as store:
            return await _listed(partial(store.flows.list, **wanted), limit)

    found = run(find())
    if as_json:
        print_json(shapes.page(found))
        return
    if found.items:
        print_table(
            ("flow", "workflow", "status", "done", "registered", "took", "failing"), [_row(flow) for flow in found.items], ("workflow", "failing")
        )
    if found.searched_to is not None:
        say(f"Looked back to {local(found.searched_to)}, and no further. Go on: --until {shapes.moment(found.searched_to)}")
    elif found.next is not None:
        say(f"There are older ones: --limit {limit * 2}")
    elif not found.items:
        say("No such flow." if any(wanted.values()) else "No flow yet. Start one: python -m flower start hello")


async def _listed(ask: Callable[..., Awaitable[Page]], limit: int) -> Page:
    """Return up to *limit* flows in one part, however many parts they come in: as far as it gets in a few seconds."""
    began = monotonic()
    found: list[Flow] = []
    after: str | None = None
    while True:
        page = await ask(limit=limit - len(found), after=after)
        found += page.items
        if page.next is None or len(found) == limit or monotonic() - began > _PATIENCE_SECONDS:
            return Page(tuple(found), page.next, page.searched_to)
        after = page.next


def _row(flow: Flow) -> tuple[str, ...]:
    done = sum(flow.counts.get(state.word, 0) for state in (Status.FINISH, Status.IGNORE))
    end = flow.finished_at if flow.status in {Status.FINISH, Status.IGNORE} else datetime.now(UTC)
    return (
        flow.flow_id,
        flow.workflow,
        status_of(flow),
        f"{done}/{sum(flow.counts.values())}",
        local(flow.registered_at),
        between(flow.registered_at, end),
        flow.failing or "",
    )


def status_of(flow: Flow) -> str:
    """Return the status of *flow* in words."""
    stalled = " stalled" if flow.stalled and flow.status is not Status.SUSPEND else ""
    return flow.status.word + stalled + (" (suspended)" if flow.suspended and not flow.is_over else "")


def why(flow: FlowReference, *, database: Database = None, as_json: AsJson = False) -> None:
    """Say for each task that neither runs nor is over all reasons why."""

    async def find() -> tuple[str, tuple[Waiting, ...]]:
        async with opened(database) as store:
            flow_id = await store.flows.find(flow)
            return flow_id, await store.flows.why(flow_id)

    flow_id, found = run(find())
    if as_json:
        print_json(shapes.whole([shapes.waiting(item) for item in found]))
        return
    if not found:
        say(f"Nothing waits in flow {flow_id}.")
        return
    rows = [
        (number(item.seq) if first else "", item.name if first else "", in_local_time(reason))
        for item in found
        for first, reason in zip((True, *[False] * len(item.reasons)), item.reasons, strict=False)
    ]
    print_table(("seq", "task", "why"), rows)
