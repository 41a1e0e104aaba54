"""`schedule`: workflows that start by the clock."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Annotated, TypeAlias, TypeVar

import typer

from flower.cli.options import AsJson, Database, read_parameters, read_time
from flower.cli.output import console, print_json, print_table, say
from flower.cli.schedule_words import flow_row, on_both_clocks, print_times, row, told
from flower.cli.surroundings import opened, run
from flower.cli.verbs import DryRun, Reason, options_of, tell
from flower.core import shapes
from flower.core.cron import read_cron, zone_named
from flower.core.errors import Invalid
from flower.core.escape import escape
from flower.core.model import Flow, Json
from flower.core.quantities import counted
from flower.core.schedule import Backfilled, Cron, Schedule, backfill_times, read_every, timetable_of

if TYPE_CHECKING:
    from flower.database.store.schedules import Schedules

app = typer.Typer(help="Workflows that start by the clock.", no_args_is_help=True, rich_markup_mode=None)

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of a schedule")]
Zone = Annotated[str, typer.Option(metavar="ZONE", help="Whose clock --cron goes by, like Europe/Paris")]
_T = TypeVar("_T")
_Done: TypeAlias = "Callable[[Schedules], Awaitable[Json]]"
_SHOWN_TIMES = 20
_MOST_TIMES = 100_000
_PAGE = 200


@app.command("add")
def add(  # noqa: PLR0913 - one per thing that a schedule says
    name: Name,
    *,
    workflow: Annotated[str, typer.Option(help="The workflow to start")],
    cron: Annotated[str | None, typer.Option(metavar="CRON", help='Five fields, like "30 2 * * *"')] = None,
    every: Annotated[str | None, typer.Option(metavar="TIME", help="Instead of --cron: every 10s, 15m, 2h, 1d")] = None,
    zone: Zone | None = None,
    param: Annotated[list[str] | None, typer.Option(metavar="K=V", help="A parameter; may be repeated")] = None,
    params: Annotated[str | None, typer.Option(metavar="JSON|@FILE", help="Parameters as a JSON object, or @file.json")] = None,
    priority: Annotated[int | None, typer.Option(min=-20, max=19, help="Lower goes first")] = None,
    catch_up: Annotated[str | None, typer.Option(help="Of the times missed for over a minute: none, last or all make a flow")] = None,
    catch_up_most: Annotated[int | None, typer.Option(min=1, max=1000, help="How many, of all")] = None,
    overlap: Annotated[str | None, typer.Option(help="While a flow of it is in progress: skip, queue or cancel")] = None,
    on_failure: Annotated[str | None, typer.Option(help="go-on, or hold: a flow that has failed counts as in progress")] = None,
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """Write a schedule, new or in place of the one of this name. Whether it is paused stays."""
    given = {
        **_timetable(cron, every, zone),
        "workflow": workflow,
        "parameters": read_parameters(param or (), params) or None,
        "priority": priority,
        "catchUp": catch_up,
        "catchUpMost": catch_up_most,
        "overlap": overlap,
        "onFailure": on_failure,
    }

    async def write() -> tuple[Json, Schedule, bool]:
        async with opened(database) as store:
            done = await store.schedules.put(name, {key: value for key, value in given.items() if value is not None})
            return done, await store.schedules.get(name), bool(await store.workers.alive())

    done, found, is_worked = run(write())
    if as_json:
        print_json(shapes.schedule(found))
        return
    first = next(iter(found.upcoming(1)), None)
    typer.echo(escape(f"{name} is {done['became']}; it starts {workflow}, next {on_both_clocks(first, found.zone)}"))
    for obstacle in found.obstacles:
        say(escape(f"Now {obstacle}"))
    if not is_worked:
        say("No worker is alive: schedules fire while one is: python -m flower serve")


@app.command("list")
def list_(*, database: Database = None, as_json: AsJson = False) -> None:
    """List the schedules, with their next times."""

    async def find() -> list[Schedule]:
        async with opened(database) as store:
            found: list[Schedule] = []
            while part := await store.schedules.list(limit=_PAGE, after=found[-1].name if found else None):
                found += part
            return found

    found = run(find())
    if as_json:
        print_json(shapes.whole([shapes.schedule(item) for item in found]))
        return
    if not found:
        say('No schedule is there: python -m flower schedule add NAME --workflow W --cron "30 2 * * *"')
        return
    print_table(("schedule", "workflow", "when", "next", "last", "state"), [row(item) for item in found], flexible=("schedule", "workflow", "state"))


@app.command("show")
def show(name: Name, *, database: Database = None, as_json: AsJson = False) -> None:
    """Show a schedule: its next five times, its latest flows, and why it makes none, if it makes none."""

    async def find() -> tuple[Schedule, tuple[Flow, ...], bool]:
        async with opened(database) as store:
            return await store.schedules.get(name), await store.schedules.flows(name), bool(await store.workers.alive())

    found, flows, is_worked = run(find())
    if as_json:
        print_json({**shapes.schedule(found), "flows": [shapes.flow(flow) for flow in flows]})
        return
    for line in told(found, is_worked=is_worked):
        typer.echo(escape(line))
    print_times(found.upcoming(), found.zone)
    if flows:
        typer.echo("")
        print_table(("flow", "status", "for", "registered"), [flow_row(flow) for flow in flows])


@app.command("pause")
def pause(name: Name, *, reason: Reason = None, database: Database = None, as_json: AsJson = False) -> None:
    """Let a schedule make nothing until it is unpaused."""
    _do(
        database,
        lambda store: store.pause(name, options_of(reason)),
        f"{name} makes nothing until: python -m flower schedule unpause {name}",
        as_json=as_json,
    )


@app.command("unpause")
def unpause(name: Name, *, reason: Reason = None, database: Database = None, as_json: AsJson = False) -> None:
    """Let a schedule go on, also where it had stopped itself. What it has missed is made up for as its catch-up says."""
    _do(database, lambda store: store.unpause(name, options_of(reason)), f"{name} goes on", as_json=as_json)


@app.command("fire")
def fire(
    name: Name,
    *,
    param: Annotated[list[str] | None, typer.Option(metavar="K=V", help="A parameter, on top of the schedule's; may be repeated")] = None,
    priority: Annotated[int | None, typer.Option(min=-20, max=19, help="Lower goes first")] = None,
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """Start the workflow of a schedule now. Its own times stay as they are."""
    options = options_of(None, parameters=read_parameters(param, None) if param else None, priority=priority)
    _do(database, lambda store: store.fire(name, options), None, as_json=as_json)


@app.command("remove")
def remove(name: Name, *, database: Database = None, as_json: AsJson = False) -> None:
    """Remove a schedule. Its flows stay and run on."""
    _do(database, lambda store: store.remove(name), f"{name} is removed", as_json=as_json)


@app.command("backfill")
def backfill(
    name: Name,
    *,
    from_: Annotated[str, typer.Option("--from", metavar="TIME", help="The first time: -2d, 14:00, or ISO 8601 with a zone")],
    to: Annotated[str | None, typer.Option("--to", metavar="TIME", help="The last; now without it")] = None,
    dry_run: DryRun = False,
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """Make a flow for each time of a schedule in a range that has none yet. They run at once, whatever its overlap."""
    from rich.progress import track

    since, until = read_time(from_, "--from"), read_time(to, "--to")
    watched = partial(track, description="backfill", transient=True, console=console(on_stderr=True))

    async def make() -> Backfilled:
        async with opened(database) as store:
            found = await store.schedules.get(name)
            try:
                times = backfill_times(found, since or found.now, until or found.now, _MOST_TIMES)
            except Invalid as error:
                raise typer.BadParameter(error.errors[0].message, param_hint=f"--{error.errors[0].path}".rstrip("-") or "NAME") from None
            return await store.schedules.backfill(name, times, dry_run=dry_run, watched=watched)

    done = run(make())
    what = f"would make {counted(len(done.times), 'flow')}" if dry_run else f"{counted(done.made, 'flow')} made"
    tell(shapes.backfilled(done), f"{name}: {what}; {counted(done.there, 'time')} had one before", as_json=as_json)
    if dry_run and not as_json:
        for at in done.times[:_SHOWN_TIMES]:
            typer.echo(f"  {shapes.moment(at)}")
        if len(done.times) > _SHOWN_TIMES:
            typer.echo(f"  and {len(done.times) - _SHOWN_TIMES} more")


@app.command("preview")
def preview(
    cron: Annotated[str, typer.Argument(metavar="CRON", help='Five fields, like "30 2 * * *", or a time like 15m')],
    *,
    zone: Zone = "UTC",
    count: Annotated[int, typer.Option(min=1, max=1000, help="How many times")] = 5,
    as_json: AsJson = False,
) -> None:
    """Print the next times of a cron expression, on its clock and in UTC. Needs no database."""
    _checked(lambda: zone_named(zone), "--zone")
    timetable = _checked(
        lambda: timetable_of(None, read_every(cron), zone) if len(cron.split()) == 1 and cron[:1].isdigit() else Cron(cron, zone), "CRON"
    )
    times = tuple(islice(timetable.times(datetime.now(UTC)), count))
    if as_json:
        print_json({"upcoming": [shapes.upcoming_time(at, zone) for at in times]})
    else:
        print_times(times, zone)


def _timetable(cron: str | None, every: str | None, zone: str | None) -> dict[str, Json]:
    """Return what says when, as `flower_schedule` takes it; refuse it by its option."""
    if (cron is None) == (every is None):
        raise typer.BadParameter("give --cron or --every, one of them", param_hint="--cron")
    if every is not None:
        if zone is not None:
            raise typer.BadParameter("it is for --cron: --every counts in UTC", param_hint="--zone")
        return {"every": _checked(lambda: read_every(every).total_seconds(), "--every")}
    _checked(lambda: zone_named(zone or "UTC"), "--zone")
    _checked(lambda: read_cron(cron or ""), "--cron")
    return {"cron": cron, "zone": zone}


def _checked(read: Callable[[], _T], option: str) -> _T:
    try:
        return read()
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None


def _do(database: str | None, verb: _Done, text: str | None, *, as_json: bool) -> None:
    async def do() -> Json:
        async with opened(database) as store:
            return await verb(store.schedules)

    done = run(do())
    tell(done, text or str(done["flowId"]), as_json=as_json)
