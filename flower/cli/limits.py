"""`limit` and `limits`: how many tasks that name a limit may run at once, and how fast they may start."""

from __future__ import annotations

import shlex
from datetime import UTC, datetime
from typing import Annotated

import typer

from flower.cli.options import AsJson, Database
from flower.cli.output import print_json, print_table, say
from flower.cli.surroundings import opened, run
from flower.cli.verbs import options_of
from flower.core import shapes
from flower.core.escape import escape
from flower.core.limits import Limit
from flower.core.model import Json
from flower.core.quantities import between, counted


def limit(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Name of a limit, or a pattern: tenant:* gives each name that begins so as many of its own")
    ],
    slots: Annotated[int | None, typer.Argument(metavar="SLOTS", help="How many tasks that name it may run at once; 0: nothing may start")] = None,
    *,
    rate: Annotated[str | None, typer.Option(help="How many may start in what time: 10/min, 2.5/s, 100/h, 1000/day")] = None,
    no_rate: Annotated[bool, typer.Option("--no-rate", help="Let them start as fast as they can")] = False,
    any_number: Annotated[bool, typer.Option("--any-number", help="Let any number run at once: only the rate holds")] = False,
    remove: Annotated[bool, typer.Option("--remove", help="Remove the limit: whatever waited for it goes on")] = False,
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """Show a limit, set it, or remove it. It counts at once; what runs goes on to its end."""
    options, said = _options(slots, rate, no_rate=no_rate, any_number=any_number, remove=remove), options_of(None)

    async def do() -> Limit | None:
        async with opened(database) as store:
            if remove:
                await store.limits.remove(name, by=said["by"])
                return None
            return await (store.limits.set(name, {**options, **said}) if options else store.limits.get(name))

    found = run(do())
    if as_json:
        print_json(shapes.removed_limit(name) if found is None else shapes.limit(found))
        return
    for line in [f"the limit {name} is removed: whatever waited for it goes on"] if found is None else _told(found):
        typer.echo(escape(line))


def limits(*, database: Database = None, as_json: AsJson = False) -> None:
    """List the limits, and how it stands with them."""

    async def find() -> tuple[Limit, ...]:
        async with opened(database) as store:
            return await store.limits.list()

    found = run(find())
    if as_json:
        print_json(shapes.whole([shapes.limit(item) for item in found]))
        return
    if not found:
        say("there are no limits; set one with: python -m flower limit NAME SLOTS")
    else:
        rows = [
            (item.name, _slots(item), item.rate or "", str(item.running), str(item.ready), _waiting(item), ", ".join(item.holders)) for item in found
        ]
        print_table(("name", "slots", "rate", "running", "ready", "waiting", "held by"), rows, flexible=("name", "held by"))


def _options(slots: int | None, rate: str | None, *, no_rate: bool, any_number: bool, remove: bool) -> dict[str, Json]:
    for one, other, names in (
        (slots is not None, any_number, "SLOTS and --any-number"),
        (rate is not None, no_rate, "--rate and --no-rate"),
        (remove, slots is not None or any_number or rate is not None or no_rate, "--remove and a new value"),
    ):
        if one and other:
            raise typer.BadParameter(f"{names} contradict each other")
    given: dict[str, Json] = {}
    if slots is not None or any_number:
        given["slots"] = slots
    if rate is not None or no_rate:
        given["rate"] = rate
    return given


def _slots(value: Limit) -> str:
    slots = "any" if value.slots is None else str(value.slots)
    return slots if value.paused is None else f"{slots}, paused"


def _waiting(value: Limit) -> str:
    return f"{value.waiting}+" if value.and_more else str(value.waiting)


def _told(value: Limit) -> list[str]:
    each = "each " if value.name.endswith("*") else ""
    lines = [
        f"{value.name}: {each}{'any number' if value.slots is None else counted(value.slots, 'slot')}{f', {each}{value.rate}' if value.rate else ''}"
    ]
    if value.slots == 0:
        lines.append("nothing that it counts may start")
    if value.paused is not None:
        lines.append(f"it is paused; let it go on with: {shlex.join(['python', '-m', 'flower', 'unpause', '--limit', value.paused])}")
    ready = "" if value.of_flows else f" {value.ready} ready for a worker,"
    lines.append(f"{value.running} running,{ready} {_waiting(value)} waiting for it")
    if value.holders:
        lines.append(f"held by {', '.join(value.holders)}")
    if value.next_at is not None:
        lines.append(f"the next may start in {between(datetime.now(UTC), value.next_at)}")
    if not (value.running or value.ready or value.waiting):
        lines.append("nothing that is under way counts for it")
    return lines
