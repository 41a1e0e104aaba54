"""`signal`: sends a signal to the steps that wait for it."""

from __future__ import annotations

from typing import Annotated

import typer

from flower.cli.options import AsJson, Database, read_json
from flower.cli.output import print_json, say
from flower.cli.surroundings import opened, run
from flower.core import shapes
from flower.core.escape import escape
from flower.core.signals import MOST_COUNTED, Sent, Signal


def signal(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The name of the signal")],
    *,
    key: Annotated[str, typer.Option(help="Its key, as the step that waits has it")] = "",
    payload: Annotated[str, typer.Option(metavar="JSON|@FILE", help="What the step results in, as JSON, or @file.json")] = "null",
    idempotency_key: Annotated[str | None, typer.Option("--idempotency-key", help="The same again is the same signal")] = None,
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """Send a signal: every step that waits for it goes on, or else the first that comes to wait."""
    sent, is_anybody_there = run(_send(Signal(name, key, read_json(payload, "--payload"), idempotency_key), database))
    if as_json:
        print_json(shapes.sent(sent))
        return
    what = f"the signal {escape(sent.name)!r}" + (f" with key {escape(sent.key)!r}" if sent.key else "")
    if sent.duplicate:
        typer.echo(f"{what} was sent before with this idempotency key, and is not sent again")
    else:
        typer.echo(f"{what} is sent: {_heard(sent.waiting or 0)}")
    if not is_anybody_there:
        say("No worker is alive: it is taken up as soon as one is started with: python -m flower serve")


def _heard(waiting: int) -> str:
    if not waiting:
        return "nobody waits for it yet, so it is kept for the first step that comes to wait for it"
    if waiting == 1:
        return "one step waits for it, and goes on"
    return f"{waiting}{' or more' if waiting == MOST_COUNTED else ''} steps wait for it, and go on"


async def _send(signal: Signal, database: str | None) -> tuple[Sent, bool]:
    async with opened(database) as store:
        return await store.signals.send(signal), bool(await store.workers.alive())
