"""`define` and `check`: the workflows that a module has, written to a database, or looked at before they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flower.cli.options import Database
from flower.cli.output import short
from flower.cli.surroundings import opened, run
from flower.core.definition import LEFT_ALONE, Definition
from flower.core.escape import escape
from flower.core.references import references
from flower.core.schedule import LEFT_ALONE as SCHEDULE_LEFT_ALONE
from flower.core.steps import number

if TYPE_CHECKING:
    from flower.sdk.workflow import Workflow

Modules = Annotated[list[str], typer.Argument(metavar="MODULE…", help="Where the workflows are: dotted names or files (app.py)")]

_LONGEST_VALUE = 60


def define(
    modules: Modules,
    *,
    force: Annotated[bool, typer.Option("--force", help="Also over rows that someone else wrote, and over newer code")] = False,
    database: Database = None,
) -> None:
    """Write the workflows of MODULE to the database, as `serve MODULE` does when it starts.

    The exit status is 1 if one was left alone, because its rows were edited or newer code was defined since.
    """
    workflows, schedules = _loaded(modules), dict[str, str]()

    async def write() -> dict[str, str]:
        async with opened(database) as store:
            became = {item.name: await store.workflows.define(item.definition, origin=item.place, code=True, forced=force) for item in workflows}
            for item in workflows:
                if became[item.name] not in LEFT_ALONE:
                    schedules[item.name] = await store.schedules.declare(item.name, item.schedule)
            return became

    became = run(write())
    for name, how in schedules.items():
        if how != "none":
            typer.echo(f"schedule {escape(name)}: {'left alone: ' + SCHEDULE_LEFT_ALONE if how == 'edited' else how}")
    for name, how in became.items():
        typer.echo(f"{escape(name)}: {'left alone: ' + LEFT_ALONE[how] if how in LEFT_ALONE else how}")
    raise typer.Exit(1 if LEFT_ALONE.keys() & set(became.values()) else 0)


def check(
    modules: Modules,
    *,
    mermaid: Annotated[bool, typer.Option("--mermaid", help="Draw the graphs for Mermaid")] = False,
    database: Annotated[
        str | None, typer.Option("--database", metavar="URL", help="Also say which tasks that wait there would not fit this code")
    ] = None,
) -> None:
    """Build the workflows of MODULE and draw them; nothing is written.

    With --database the exit status is 1 if tasks that wait there do not fit the parameters of this code.
    """
    for workflow in _loaded(modules):
        typer.echo("\n".join(_as_mermaid(workflow.definition) if mermaid else _as_text(workflow.definition)))
    if database is not None:
        misfits = run(_misfits(database))
        for (workflow_id, program, problem), count in sorted(misfits.items()):
            tasks = "1 waiting task" if count == 1 else f"{count} waiting tasks"
            typer.echo(f"{tasks} of {escape(program)} (workflow {escape(workflow_id)}): {escape(problem)}")
        raise typer.Exit(1 if misfits else 0)


def _loaded(modules: list[str]) -> tuple[Workflow[..., Any], ...]:
    from flower.sdk.modules import load
    from flower.sdk.registry import REGISTRY

    load(modules)
    return REGISTRY.workflows()


async def _misfits(database: str) -> Counter[tuple[str, str, str]]:
    from flower.sdk.registry import REGISTRY

    found: Counter[tuple[str, str, str]] = Counter()
    async with opened(database) as store:
        for waiting in await store.flows.not_begun(REGISTRY.names()):
            task = REGISTRY.get(waiting.program)
            problems = task.parameters.misfits(waiting.parameters, waiting.filled) if task else []
            found.update((waiting.workflow, waiting.program, str(problem)) for problem in problems)
    return found


def _as_text(definition: Definition) -> Iterator[str]:
    names = {step.seq: step.name or step.program for step in definition.steps}
    takes = ", ".join(
        f"{name}={short(what['default'], _LONGEST_VALUE)}" if "default" in what else name for name, what in (definition.takes or {}).items()
    )
    yield f"{escape(definition.workflow)}({escape(takes)})"
    width = max(map(len, names.values()))
    for step in definition.steps:
        parents = ", ".join(names[seq] for seq in step.depends_on or ())
        called = "" if step.program == step.name else f" ({step.program})"
        yield escape(f"  {number(step.seq):>3}  {names[step.seq]:<{width}}{called}{f'  after {parents}' if parents else ''}").rstrip()
    for reference in references(definition.result):
        yield escape(f"       → {reference}")
    yield ""


def _as_mermaid(definition: Definition) -> Iterator[str]:
    yield "flowchart TD"
    yield f"  %% {escape(definition.workflow)}"
    for step in definition.steps:
        yield f'  s{_id(step.seq)}["{_quoted(step.name or step.program)}"]'
        for parent in step.depends_on or ():
            yield f"  s{_id(parent)} --> s{_id(step.seq)}"


def _id(seq: Decimal) -> str:
    return number(seq).replace(".", "_")


def _quoted(text: str) -> str:
    return escape(text).replace('"', "#quot;")
