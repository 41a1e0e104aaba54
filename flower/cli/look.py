"""`workflows`, `flows` and `why`: look at what there is, change nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

import typer

from flower.cli.options import AsJson, Database, FlowReference
from flower.cli.output import print_json, print_table, say
from flower.cli.surroundings import opened, run
from flower.cli.times import in_local_time, local
from flower.core import shapes
from flower.core.model import Flow, Page, Step, Waiting, Workflow
from flower.core.quantities import between
from flower.core.status import Status, Why
from flower.core.steps import number


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
    print_table(("workflow", "steps"), [(item.workflow, _steps(item.steps)) for item in found], flexible=("steps",))
    unknown = sorted({step.program for item in found for step in item.steps if not step.known})
    if unknown:
        say(f"(?) no live worker has the program: {', '.join(unknown)}")


def _steps(steps: tuple[Step, ...]) -> str:
    return ", ".join(step.name + (f" ({step.program})" if step.program != step.name else "") + ("" if step.known else " (?)") for step in steps)


def flows(
    *,
    status: Annotated[_StatusWord | None, typer.Option(help="Only these; a reason like failed or cancelled works as well")] = None,
    outcome: Annotated[Why | None, typer.Option(help="Only flows with a task that ended so")] = None,
    workflow: Annotated[str | None, typer.Option(help="Only flows of this workflow")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many at most")] = 20,
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """List flows, newest first."""

    async def find() -> Page:
        async with opened(database) as store:
            return await store.flows.list(status=status and status.value, outcome=outcome and outcome.value, workflow=workflow, limit=limit)

    found = run(find())
    if as_json:
        print_json(shapes.page(found))
        return
    if not found.items:
        say("No such flow." if status or outcome or workflow else "No flow yet. Start one: python -m flower start hello")
        return
    print_table(
        ("flow", "workflow", "status", "done", "registered", "took", "failing"), [_row(flow) for flow in found.items], ("workflow", "failing")
    )
    if found.next is not None:
        say(f"There are older ones: --limit {limit * 2}")


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
