"""`rerun`, `cancel`, `suspend`, `resume`, `ignore`, `complete`, `retry`: what a person does to a flow."""

from __future__ import annotations

import getpass
import os
import shlex
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from flower.cli.options import AsJson, Database, FlowReference, read_json, read_parameters
from flower.cli.output import console, counted, print_json, say
from flower.cli.surroundings import opened, run
from flower.cli.times import duration, read_past
from flower.core.errors import UsageError
from flower.core.escape import escape
from flower.core.model import Json
from flower.core.steps import seq_or_name

if TYPE_CHECKING:
    from flower.database.store import Store

Reason = Annotated[str | None, typer.Option("--reason", help="Why; kept, and shown")]
StepReference = Annotated[str, typer.Argument(metavar="STEP", help="Seq or name of a task")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only show what would happen")]

_Verb: TypeAlias = "Callable[[Store, str], Awaitable[Json]]"
_PAGE = 200


def rerun(  # noqa: PLR0913 - the options that product.md promises
    flow: Annotated[str | None, typer.Argument(metavar="FLOW", help="Id of a flow, a unique beginning of one, or 'last'")] = None,
    *,
    from_: Annotated[str | None, typer.Option("--from", metavar="STEP", help="From this task on, and all that depends on it")] = None,
    only: Annotated[str | None, typer.Option("--only", metavar="STEP", help="This task alone")] = None,
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
    options = _options(
        reason,
        **{"from": None if from_ is None else seq_or_name(from_), "only": None if only is None else seq_or_name(only)},
        parameters=read_parameters(param, None) if param else None,
        definition=definition,
        dryRun=dry_run or None,
        ifUnchanged=if_unchanged,
        cancelRunning=cancel_running or None,
    )
    if (flow is not None) + all_ + (incident is not None) != 1:
        raise typer.BadParameter("name a flow, or say --all or --incident: one of them", param_hint="FLOW")
    if flow is None:
        raise typer.Exit(run(_rerun_many(options, incident, status or "failed", workflow, _moment(since), database, as_json=as_json)))
    if status or workflow or since:
        raise typer.BadParameter("--status, --workflow and --since choose among --all flows", param_hint="FLOW")
    plan = _do(flow, database, lambda store, flow_id: store.verbs.rerun(flow_id, options))
    if as_json:
        print_json(plan)
    else:
        _print_plan(plan, options, param or [])


def cancel(flow: FlowReference, *, reason: Reason = None, database: Database = None, as_json: AsJson = False) -> None:
    """Make everything unfinished of a flow ignored; what runs is told to stop."""
    done = _do(flow, database, lambda store, flow_id: store.verbs.cancel(flow_id, _options(reason)))
    resumed = "; the flow is not suspended any more" if done["resumed"] else ""
    _tell(done, as_json=as_json, text=f"cancelled: {counted(len(done['cancelled']), 'task')} will not run{resumed}")


def suspend(flow: FlowReference, *, reason: Reason = None, database: Database = None, as_json: AsJson = False) -> None:
    """Have nothing new of a flow start; what runs goes on to its end."""
    done = _do(flow, database, lambda store, flow_id: store.verbs.suspend(flow_id, _options(reason)))
    _tell(done, as_json=as_json, text=f"nothing new of flow {done['flowId']} starts; let it go on with: python -m flower resume {done['flowId']}")


def resume(flow: FlowReference, *, reason: Reason = None, database: Database = None, as_json: AsJson = False) -> None:
    """Let a suspended flow go on."""
    done = _do(flow, database, lambda store, flow_id: store.verbs.resume(flow_id, _options(reason)))
    _tell(done, as_json=as_json, text=f"flow {done['flowId']} goes on")


def ignore(
    flow: FlowReference, step: StepReference, *, reason: Reason = None, dry_run: DryRun = False, database: Database = None, as_json: AsJson = False
) -> None:
    """Skip a task: whatever depends on it goes on, and what cannot do without its result is ignored, too."""
    done = _do(flow, database, lambda store, flow_id: store.verbs.ignore(flow_id, step, _options(reason, dryRun=dry_run or None)))
    follows = [f"{word}: {', '.join(done[name])}" for name, word in (("runs", "runs next"), ("ignored", "ignored in turn")) if done[name]]
    what = f"{done['name']} would be ignored" if dry_run else f"{done['name']} is ignored"
    _tell(done, as_json=as_json, text="; ".join([what, *follows]))


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
    options = _options(reason, checked=True) | {"result": read_json(result, "--result")}
    done = _do(flow, database, lambda store, flow_id: store.verbs.complete(flow_id, step, options))
    _tell(done, as_json=as_json, text=f"{done['name']} is finished with that result")


def retry(flow: FlowReference, step: StepReference, *, reason: Reason = None, database: Database = None, as_json: AsJson = False) -> None:
    """Run a suspended task again, or have one that waits for its next attempt begin it now."""
    done = _do(flow, database, lambda store, flow_id: store.verbs.retry(flow_id, step, _options(reason)))
    _tell(done, as_json=as_json, text=f"{done['name']} runs again")


def _options(reason: str | None, **more: Json) -> dict[str, Json]:
    given = {"reason": reason, "by": _user(), **more}
    return {name: value for name, value in given.items() if value is not None}


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container whose user has no name
        return f"uid {os.getuid()}"


def _do(flow: str, database: str | None, verb: _Verb) -> Json:
    async def do() -> Json:
        async with opened(database) as store:
            return await verb(store, await store.flows.find(flow))

    return run(do())


def _tell(done: Json, text: str, *, as_json: bool) -> None:
    if as_json:
        print_json(done)
    else:
        typer.echo(escape(text))


def _print_plan(plan: Json, options: Json, param: list[str]) -> None:
    dry_run = "dryRun" in options
    typer.echo(f"flow {escape(plan['flowId'])}: {'would run' if dry_run else 'runs again'}: {_names(plan['run'])}")
    if plan["reused"]:
        reused = (f"{escape(task['name'])} ({duration(task['ageSeconds'])} old)" for task in plan["reused"])
        typer.echo(f"reused: {', '.join(reused)}")
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


def _moment(since: str | None) -> datetime | None:
    try:
        return None if since is None else read_past(since, datetime.now().astimezone())
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--since") from None


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
    from rich.progress import track

    async with opened(database) as store:
        if incident is not None:
            chosen = list(await store.incidents.flows(incident))
        else:
            chosen = [flow_id async for flow_id in _all(store, status, workflow, since)]
        if "dryRun" in options:
            return await _plan_many(store, chosen, options, as_json=as_json)
        refused = 0
        for flow_id in track(chosen, description="rerun", transient=True, console=console(on_stderr=True)):
            try:
                await store.verbs.rerun(flow_id, options)
            except UsageError as error:
                refused += 1
                say(escape(f"{flow_id}: {error}"))
        told = f"run again: {counted(len(chosen) - refused, 'flow')}" + (f"; refused: {refused}" if refused else "")
        _tell({"flows": len(chosen) - refused, "refused": refused}, told, as_json=as_json)
        return 1 if refused else 0


async def _plan_many(store: Store, chosen: list[str], options: dict[str, Json], *, as_json: bool) -> int:
    tasks, refused = [], 0
    for flow_id in chosen:
        try:
            tasks.append(len((await store.verbs.rerun(flow_id, options))["run"]))
        except UsageError as error:
            refused += 1
            say(escape(f"{flow_id}: {error}"))
    told = f"would run: {counted(len(tasks), 'flow')}, {counted(sum(tasks), 'task')}" + (f"; would be refused: {refused}" if refused else "")
    _tell({"flows": len(tasks), "tasks": sum(tasks), "refused": refused, "dryRun": True}, told, as_json=as_json)
    return 0


async def _all(store: Store, status: str, workflow: str | None, since: datetime | None) -> AsyncIterator[str]:
    after: str | None = None
    while True:
        page = await store.flows.list(status=status, workflow=workflow, limit=_PAGE, after=after)
        for flow in page.items:
            if since is not None and flow.registered_at is not None and flow.registered_at < since:
                return  # the newest come first
            yield flow.flow_id
        if page.next is None:
            return
        after = page.next
