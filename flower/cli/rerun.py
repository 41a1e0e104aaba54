"""`rerun`: one flow, with its plan, or many."""

from __future__ import annotations

import shlex
from collections.abc import AsyncIterator
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from flower.cli.options import AsJson, Database, read_parameters, read_time
from flower.cli.output import console, print_json, say
from flower.cli.surroundings import opened, run
from flower.cli.verbs import DryRun, Reason, done_to, options_of, tell
from flower.core.errors import UsageError
from flower.core.escape import escape
from flower.core.model import Json
from flower.core.quantities import counted
from flower.core.steps import reused, seq_or_name

if TYPE_CHECKING:
    from flower.database.store import Store

_PAGE = 200


def rerun(  # noqa: PLR0913 - the options that product.md promises
    flow: Annotated[str | None, typer.Argument(metavar="FLOW", help="Id of a flow, a unique beginning of one, or 'last'")] = None,
    *,
    from_: Annotated[str | None, typer.Option("--from", metavar="STEP", help="From this task on, and all that depends on it")] = None,
    only: Annotated[str | None, typer.Option("--only", metavar="STEP", help="This task alone")] = None,
    whole: Annotated[bool, typer.Option("--whole", help="All that has run")] = False,
    param: Annotated[list[str] | None, typer.Option(metavar="K=V", help="A new value for a parameter of the flow; may be repeated")] = None,
    definition: Annotated[str, typer.Option(help="same, or latest: as the workflow is defined now")] = "same",
    dry_run: DryRun = False,
    if_unchanged: Annotated[str | None, typer.Option(metavar="VERSION", help="Of a plan: refuse if the flow has moved on since")] = None,
    cancel_running: Annotated[bool, typer.Option("--cancel-running", help="Take away what runs, and run it again")] = False,
    all_: Annotated[bool, typer.Option("--all", help="All flows that --status, --workflow and --since name")] = False,
    status: Annotated[str | None, typer.Option(help="With --all: flows in this state; failed without it")] = None,
    workflow: Annotated[str | None, typer.Option(help="With --all: flows of this workflow")] = None,
    since: Annotated[str | None, typer.Option(metavar="TIME", help="With --all: registered since then (-2h, 14:00, ISO 8601)")] = None,
    incident: Annotated[str | None, typer.Option(metavar="INCIDENT", help="All flows of this incident")] = None,
    reason: Reason = None,
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """Run a flow again: what failed or was cancelled and what depends on it, or from a task on. Other results are kept and reused."""
    options = options_of(
        reason,
        **{"from": None if from_ is None else seq_or_name(from_), "only": None if only is None else seq_or_name(only)},
        whole=whole or None,
        parameters=read_parameters(param, None) if param else None,
        definition=definition,
        dryRun=dry_run or None,
        ifUnchanged=if_unchanged,
        cancelRunning=cancel_running or None,
    )
    if (flow is not None) + all_ + (incident is not None) != 1:
        raise typer.BadParameter("name a flow, or say --all or --incident: one of them", param_hint="FLOW")
    if flow is None:
        raise typer.Exit(run(_rerun_many(options, incident, status or "failed", workflow, read_time(since, "--since"), database, as_json=as_json)))
    if status or workflow or since:
        raise typer.BadParameter("--status, --workflow and --since choose among --all flows", param_hint="FLOW")
    plan = done_to(flow, database, lambda store, flow_id: store.verbs.rerun(flow_id, options))
    if as_json:
        print_json(plan)
    else:
        _print_plan(plan, options, param or [])


def _print_plan(plan: Json, options: Json, param: list[str]) -> None:
    dry_run = "dryRun" in options
    typer.echo(f"flow {escape(plan['flowId'])}: {'would run' if dry_run else 'runs again'}: {_names(plan['run'])}")
    if plan["reused"]:
        kept = (escape(reused(task)) for task in plan["reused"])
        typer.echo(f"reused: {', '.join(kept)}")
    if plan["changed"] and options["definition"] == "same":
        typer.echo(f"defined in another way since: {', '.join(map(escape, plan['changed']))} (--definition latest takes that)")
    if plan["gone"]:
        typer.echo(f"{'would go' if dry_run else 'gone'}, with what is known of them: {', '.join(map(escape, plan['gone']))}")
    if dry_run and plan.get("running"):
        typer.echo(f"runs at this moment: {', '.join(map(escape, plan['running']))} (--cancel-running takes it away)")
    if plan.get("suspended"):
        typer.echo(f"the flow is suspended: nothing of it starts before python -m flower resume {escape(shlex.quote(plan['flowId']))}")
    if dry_run:
        typer.echo(f"do exactly this with: {escape(_command(plan, options, param))}")


def _command(plan: Json, options: Json, param: list[str]) -> str:
    """Return the command line that carries out *plan*, which was made with *options*."""
    words = ["python", "-m", "flower", "rerun", plan["flowId"]]
    for name, option in (("from", "--from"), ("only", "--only")):
        if name in options:
            words += [option, str(options[name])]
    if "whole" in options:
        words.append("--whole")
    for pair in param:
        words += ["--param", pair]
    if options["definition"] != "same":
        words += ["--definition", options["definition"]]
    if "cancelRunning" in options or plan.get("running"):
        words.append("--cancel-running")
    if "reason" in options:
        words += ["--reason", options["reason"]]
    return shlex.join([*words, "--if-unchanged", plan["version"]])


def _names(tasks: list[Json]) -> str:
    return escape(", ".join(f"{task['seq']} {task['name']} ({task['was']})" for task in tasks)) or "nothing"


async def _rerun_many(
    options: dict[str, Json],
    incident: str | None,
    status: str,
    workflow: str | None,
    since: datetime | None,
    database: str | None,
    *,
    as_json: bool,
) -> int:
    async with opened(database) as store:
        if incident is not None:
            chosen = list(await store.incidents.flows(incident))
        else:
            chosen = [flow_id async for flow_id in _all(store, status, workflow, since)]
        plans = await _rerun_each(store, chosen, options)
    flows, refused = len(plans), len(chosen) - len(plans)
    if "dryRun" in options:
        tasks = sum(len(plan["run"]) for plan in plans)
        told = f"would run: {counted(flows, 'flow')}, {counted(tasks, 'task')}" + (f"; would be refused: {refused}" if refused else "")
        tell({"flows": flows, "tasks": tasks, "refused": refused, "dryRun": True}, told, as_json=as_json)
        return 0
    told = f"run again: {counted(flows, 'flow')}" + (f"; refused: {refused}" if refused else "")
    tell({"flows": flows, "refused": refused}, told, as_json=as_json)
    return 1 if refused else 0


async def _rerun_each(store: Store, chosen: list[str], options: dict[str, Json]) -> list[Json]:
    """Return the plans of those that were not refused; the others are said."""
    from rich.progress import track

    plans = []
    for flow_id in track(chosen, description="rerun", transient=True, console=console(on_stderr=True)):
        try:
            plans.append(await store.verbs.rerun(flow_id, options))
        except UsageError as error:
            say(escape(f"{flow_id}: {error}"))
    return plans


async def _all(store: Store, status: str, workflow: str | None, since: datetime | None) -> AsyncIterator[str]:
    after: str | None = None
    while True:
        page = await store.flows.list(status=status, workflow=workflow, since=since, limit=_PAGE, after=after)
        for flow in page.items:
            yield flow.flow_id
        if page.next is None:
            return
        after = page.next
