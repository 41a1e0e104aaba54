"""`pause`, `unpause` and `pauses`: of what nothing new may start."""

from __future__ import annotations

import shlex
from typing import Annotated

import typer

from flower.cli.options import AsJson, Database, read_coming
from flower.cli.output import print_json, print_table, say
from flower.cli.surroundings import opened, run
from flower.cli.times import local
from flower.cli.verbs import Reason, options_of
from flower.core import shapes
from flower.core.escape import escape
from flower.core.model import Json
from flower.core.pauses import EVERYTHING, Pause, Paused, PausePage, Unpaused, called

_Workflow = Annotated[str | None, typer.Argument(metavar="WORKFLOW", help="A workflow")]
_Program = Annotated[str | None, typer.Option("--program", help="A program")]
_Limit = Annotated[str | None, typer.Option("--limit", help="A limit, or the beginning of such and a star: 'tenant:*'")]
_All = Annotated[bool, typer.Option("--all", help="Everything")]


def pause(
    workflow: _Workflow = None,
    *,
    program: _Program = None,
    limit: _Limit = None,
    all_: _All = False,
    until: Annotated[str | None, typer.Option("--until", metavar="TIME", help="It ends by itself: +10m, 14:00, or ISO 8601 with a zone")] = None,
    reason: Reason = None,
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """Have nothing new of a workflow, a program or a limit start, or nothing at all; what runs goes on to its end."""
    options = options_of(reason, until=read_coming(until, "--until"), **_named(workflow, program, limit, all_=all_))

    async def do() -> Paused:
        async with opened(database) as store:
            return await store.pauses.pause(options)

    done = run(do())
    if as_json:
        print_json(shapes.paused(done))
        return
    item = done.pause
    what = "nothing new starts" if item.kind == "all" else f"nothing new of {called(item.kind, item.name)} starts"
    when = f" until {local(item.until)}" if item.until else ""
    typer.echo(escape(f"{what}{when}; let it go on with: python -m flower unpause {_arguments(item.kind, item.name)}"))
    if done.hint:
        say(escape(f"By now {done.hint}"))


def unpause(
    workflow: _Workflow = None,
    *,
    program: _Program = None,
    limit: _Limit = None,
    all_: _All = False,
    reason: Reason = None,
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """Let what is paused go on."""
    options = options_of(reason, **_named(workflow, program, limit, all_=all_))

    async def do() -> Unpaused:
        async with opened(database) as store:
            return await store.pauses.unpause(options)

    done = run(do())
    if as_json:
        print_json(shapes.unpaused(done))
    elif done.everything_paused:
        typer.echo(escape(f"{called(done.kind, done.name)} is not paused by itself any more, but everything is: python -m flower unpause --all"))
    else:
        typer.echo(escape(f"{called(done.kind, done.name)} goes on"))


def pauses(
    *,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many at most")] = 100,
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """List what is paused: everything, workflows, programs, limits, and then flows that are suspended."""

    async def find() -> PausePage:
        async with opened(database) as store:
            return await store.pauses.list(limit=limit)

    found = run(find())
    if as_json:
        print_json({"items": [shapes.pause(item) for item in found.items], "next": found.next})
        return
    if not found.items:
        say("Nothing is paused.")
        return
    rows = [(item.kind, _name(item), local(item.since), local(item.until), item.by or "", item.reason or "") for item in found.items]
    print_table(("paused", "name", "since", "until", "by", "reason"), rows, ("name", "reason"))
    if found.next is not None:
        say(f"There are more: --limit {limit * 2}")


def _named(workflow: str | None, program: str | None, limit: str | None, *, all_: bool) -> dict[str, Json]:
    named = {"workflow": workflow, "program": program, "limit": limit, "all": all_ or None}
    if sum(value is not None for value in named.values()) != 1:
        raise typer.BadParameter("give one: WORKFLOW, --program, --limit or --all")
    return named


def _arguments(kind: str, name: str) -> str:
    if kind == "all":
        return "--all"
    written = shlex.quote(name)
    return f"--{kind} {written}" if kind != "workflow" else f"-- {written}" if name.startswith("-") else written


def _name(item: Pause) -> str:
    return "" if item.name == EVERYTHING and item.kind == "all" else item.name
