"""`start` (and `register`, its other name): start a workflow and, if asked to, wait for its end."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer

from flower.cli.options import AsJson, Database, read_coming, read_parameters
from flower.cli.output import print_json, say
from flower.cli.surroundings import place, read, run, store_of
from flower.cli.times import local
from flower.core import shapes
from flower.core.escape import escape
from flower.core.model import Json, Order, Registered, UniquePolicy


def start(  # noqa: PLR0913 - the options that product.md promises
    workflow: Annotated[str, typer.Argument(metavar="WORKFLOW", help="The workflow to start")],
    *,
    param: Annotated[list[str] | None, typer.Option(metavar="K=V", help="A parameter; may be repeated")] = None,
    params: Annotated[str | None, typer.Option(metavar="JSON|@FILE", help="Parameters as a JSON object, or @file.json")] = None,
    priority: Annotated[int | None, typer.Option(min=-20, max=19, help="Lower goes first")] = None,
    at: Annotated[str | None, typer.Option(metavar="TIME", help="When: +10m, 14:00, or ISO 8601 with a zone")] = None,
    key: Annotated[str | None, typer.Option(help="Idempotency key: the same key and parameters give the same flow")] = None,
    unique: Annotated[str | None, typer.Option(metavar="KEY", help="Only one flow with this key at a time")] = None,
    unique_policy: Annotated[
        UniquePolicy | None, typer.Option(help="While one is in progress: skip (start nothing), or queue; skip without it")
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Show the progress and wait for the end")] = False,
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """Start a workflow.

    With --wait the exit status is 0 if the flow finished, 1 if a task failed or the flow was cancelled, 3 if it waits for a person.
    """
    order = Order(workflow, read_parameters(param or (), params), {**_options(priority, at, key), **_unique(unique, unique_policy)})
    raise typer.Exit(run(_start(order, database, wait=wait, as_json=as_json)))


def _options(priority: int | None, at: str | None, key: str | None) -> dict[str, Json]:
    given = {"priority": priority, "runAt": read_coming(at, "--at"), "idempotencyKey": key}
    return {name: value for name, value in given.items() if value is not None}


def _unique(key: str | None, policy: UniquePolicy | None) -> dict[str, Json]:
    if key is None and policy is not None:
        raise typer.BadParameter("is for --unique KEY, which is not given", param_hint="--unique-policy")
    return {} if key is None else {"unique": {"key": key, "policy": policy or "skip"}}


async def _start(order: Order, database: str | None, *, wait: bool, as_json: bool) -> int:
    async with place(read(database_url=database)) as found, store_of(found) as store:
        registered = await store.flows.register(order)
        if not wait:
            _print_registered(order, registered, as_json=as_json)
            if not as_json and not await store.workers.alive():
                say("No worker is alive: its tasks run as soon as one is started with: python -m flower serve")
            return 0
        from flower.cli.waiting import wait_for_end

        _say_registered(order, registered)
        return await wait_for_end(found, store, registered.flow_id, as_json=as_json)


def _print_registered(order: Order, registered: Registered, *, as_json: bool) -> None:
    if as_json:
        print_json(shapes.registered(order.workflow, registered))
        return
    typer.echo(registered.flow_id)
    _say_registered(order, registered)


def _say_registered(order: Order, registered: Registered) -> None:
    when = f", for {local(datetime.fromisoformat(order.options['runAt']))}" if "runAt" in order.options and not registered.note else ""
    what = f"started{when}"
    if registered.duplicate:
        what = "was started before with this key and is not started again"
    if registered.skipped:
        what = "is in progress with this unique key, so nothing is started"
    if registered.note:
        say(f"Note: {registered.note}")
    say(f"{escape(order.workflow)} {what}; see it with: python -m flower show {registered.flow_id}")
