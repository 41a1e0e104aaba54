"""`logs`: what the tasks of a flow have said, also while they run."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated

import typer

from flower.cli.options import AsJson, Database, FlowReference
from flower.cli.output import print_json, say
from flower.cli.surroundings import opened, run
from flower.cli.times import local
from flower.core import shapes
from flower.core.escape import escape
from flower.core.model import LogLine
from flower.core.steps import find_task

_PART = 5_000
_LOOK_SECONDS = 0.5


def logs(
    flow: FlowReference,
    step: Annotated[str | None, typer.Argument(metavar="[STEP]", help="Only this task: its seq or name")] = None,
    *,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the flow is over")] = False,
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """Print what the tasks of a flow have said: structlog, logging and print, in order."""
    run(_logs(flow, step, database, follow=follow, as_json=as_json))


async def _logs(reference: str, step: str | None, database: str | None, *, follow: bool, as_json: bool) -> None:
    async with opened(database) as store:
        flow_id = await store.flows.find(reference)
        tasks = await store.flows.tasks(flow_id)
        seq = None if step is None else find_task(flow_id, tasks, step).seq
        names = {task.seq: task.name for task in tasks}
        is_over, last = False, None
        while True:
            lines = await store.logs.read(flow_id, seq=seq, after=last, limit=_PART)
            _print(lines, names, as_json=as_json)
            last = lines[-1].id if lines else last
            if len(lines) == _PART:
                continue
            if is_over or not follow:
                break
            # Once more after the end: the last lines are written a moment later.
            is_over = (await store.flows.get(flow_id)).is_over
            await asyncio.sleep(_LOOK_SECONDS)
        if last is None and not as_json:
            say("Nothing was said.")


def _print(lines: Sequence[LogLine], names: dict[Decimal, str], *, as_json: bool) -> None:
    for line in lines:
        if as_json:
            print_json(shapes.log_line(line), in_one_line=True)
        else:
            typer.echo(text(line, names.get(line.seq, str(line.seq))))


def text(line: LogLine, name: str) -> str:
    """Return *line* of the task called *name* for people."""
    level = "" if line.level == "info" else f"{line.level} "
    again = "" if line.attempt == 1 else f"#{line.attempt}"
    return escape(f"{local(line.at)} {name}{again}  {level}{line.message}", keep_lines=True)
