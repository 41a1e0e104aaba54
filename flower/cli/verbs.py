"""`cancel`, `suspend`, `resume`, `priority`, `ignore`, `complete`, `retry`: what a person does to a flow."""

from __future__ import annotations

import getpass
import os
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from flower.cli.options import AsJson, Database, FlowReference, read_json
from flower.cli.output import print_json
from flower.cli.surroundings import opened, run
from flower.core.escape import escape
from flower.core.model import Json
from flower.core.quantities import counted

if TYPE_CHECKING:
    from flower.database.store import Store

Reason = Annotated[str | None, typer.Option("--reason", help="Why; kept, and shown")]
StepReference = Annotated[str, typer.Argument(metavar="STEP", help="Seq or name of a task")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only show what would happen")]

_Verb: TypeAlias = "Callable[[Store, str], Awaitable[Json]]"


def cancel(flow: FlowReference, *, reason: Reason = None, database: Database = None, as_json: AsJson = False) -> None:
    """Make everything unfinished of a flow ignored; what runs is told to stop."""
    done = done_to(flow, database, lambda store, flow_id: store.verbs.cancel(flow_id, options_of(reason)))
    resumed = "; the flow is not suspended any more" if done["resumed"] else ""
    tell(done, as_json=as_json, text=f"cancelled: {counted(len(done['cancelled']), 'task')} will not run{resumed}")


def suspend(flow: FlowReference, *, reason: Reason = None, database: Database = None, as_json: AsJson = False) -> None:
    """Have nothing new of a flow start; what runs goes on to its end."""
    done = done_to(flow, database, lambda store, flow_id: store.verbs.suspend(flow_id, options_of(reason)))
    tell(done, as_json=as_json, text=f"nothing new of flow {done['flowId']} starts; let it go on with: python -m flower resume {done['flowId']}")


def resume(flow: FlowReference, *, reason: Reason = None, database: Database = None, as_json: AsJson = False) -> None:
    """Let a suspended flow go on."""
    done = done_to(flow, database, lambda store, flow_id: store.verbs.resume(flow_id, options_of(reason)))
    tell(done, as_json=as_json, text=f"flow {done['flowId']} goes on")


def priority(
    flow: FlowReference,
    priority: Annotated[int, typer.Argument(metavar="N", min=-20, max=19, help="Lower is more urgent; one point is worth four hours of waiting")],
    *,
    reason: Reason = None,
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """Make a flow more or less urgent: it counts at once for whatever of it has not ended."""
    done = done_to(flow, database, lambda store, flow_id: store.verbs.priority(flow_id, options_of(reason, priority=priority)))
    tell(done, as_json=as_json, text=f"flow {done['flowId']} has the priority {done['priority']}")


def ignore(
    flow: FlowReference, step: StepReference, *, reason: Reason = None, dry_run: DryRun = False, database: Database = None, as_json: AsJson = False
) -> None:
    """Skip a task: whatever depends on it goes on, and what cannot do without its result is ignored, too."""
    done = done_to(flow, database, lambda store, flow_id: store.verbs.ignore(flow_id, step, options_of(reason, dryRun=dry_run or None)))
    follows = [f"{word}: {', '.join(done[name])}" for name, word in (("runs", "runs next"), ("ignored", "ignored in turn")) if done[name]]
    what = f"{done['name']} would be ignored" if dry_run else f"{done['name']} is ignored"
    tell(done, as_json=as_json, text="; ".join([what, *follows]))


def complete(
    flow: FlowReference,
    step: StepReference,
    *,
    result: Annotated[str, typer.Option(metavar="JSON|@FILE", help="The result, as JSON, or @file.json")] = "null",
    reason: Reason = None,
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """Hand in the result of a task in place of its function: whatever depends on it gets it."""
    options = options_of(reason, checked=True) | {"result": read_json(result, "--result")}
    done = done_to(flow, database, lambda store, flow_id: store.verbs.complete(flow_id, step, options))
    tell(done, as_json=as_json, text=f"{done['name']} is finished with that result")


def retry(flow: FlowReference, step: StepReference, *, reason: Reason = None, database: Database = None, as_json: AsJson = False) -> None:
    """Run a suspended task again, or have one that waits for its next attempt begin it now."""
    done = done_to(flow, database, lambda store, flow_id: store.verbs.retry(flow_id, step, options_of(reason)))
    tell(done, as_json=as_json, text=f"{done['name']} runs again")


def options_of(reason: str | None, **more: Json) -> dict[str, Json]:
    """Return the options of a verb: why, who, and *more*, without what is None."""
    given = {"reason": reason, "by": _user(), **more}
    return {name: value for name, value in given.items() if value is not None}


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container whose user has no name
        return f"uid {os.getuid()}"


def done_to(flow: str, database: str | None, verb: _Verb) -> Json:
    """Return what *verb* has done to the flow that a person means by *flow*."""

    async def do() -> Json:
        async with opened(database) as store:
            return await verb(store, await store.flows.find(flow))

    return run(do())


def tell(done: Json, text: str, *, as_json: bool) -> None:
    """Print what was done, for people or as JSON."""
    if as_json:
        print_json(done)
    else:
        typer.echo(escape(text))
