"""`incidents` and `notify`: failures that look alike, and whoever is told of them."""

from __future__ import annotations

from typing import Annotated

import typer

from flower.cli.options import AsJson, Database
from flower.cli.output import print_json, print_table, say
from flower.cli.surroundings import opened, read, run
from flower.cli.times import local
from flower.core import shapes
from flower.core.errors import ConfigurationError, UsageError
from flower.core.model import Incident


def incidents(*, database: Database = None, as_json: AsJson = False) -> None:
    """List what went wrong: failures that look alike are one incident."""

    async def find() -> tuple[Incident, ...]:
        async with opened(database) as store:
            return await store.incidents.list()

    found = run(find())
    if as_json:
        print_json(shapes.whole([shapes.incident(item) for item in found]))
        return
    if not found:
        say("Nothing has failed.")
        return
    rows = [(item.id, str(item.flows), item.program or "", _told(item), local(item.since), item.example[0]) for item in found]
    print_table(("incident", "flows", "program", "error", "since", "for example"), rows, ("error",))
    say("Run the flows of one again: python -m flower rerun --incident INCIDENT")


def notify(*, test: Annotated[bool, typer.Option("--test", help="Send an example to FLOWER_ON_FAILURE now")] = False) -> None:
    """Say who is told of failures, or try it."""
    url = read().on_failure
    if url is None:
        raise ConfigurationError("nobody is told of failures: set FLOWER_ON_FAILURE to a URL that takes POST")
    if not test:
        typer.echo(f"{url} is told of each new incident, and when it is over; try it with --test")
        return
    run(_try(url))
    typer.echo(f"{url} took it")


async def _try(url: str) -> None:
    from flower.engine import notifier

    try:
        await notifier.post(url, notifier.example())
    except OSError as error:
        raise UsageError(f"{url}: {error}") from None


def _told(item: Incident) -> str:
    return ": ".join(filter(None, (item.type, item.message)))
