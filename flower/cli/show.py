"""`show`: one flow, the task that failed first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import typer

from flower.cli.logs import text
from flower.cli.look import status_of
from flower.cli.options import AsJson, Database, FlowReference
from flower.cli.output import console, print_json, print_table, short
from flower.cli.surroundings import opened, run
from flower.cli.times import local
from flower.core import shapes
from flower.core.escape import escape
from flower.core.masks import mask
from flower.core.model import Deed, Flow, Given, Json, LogLine, Task
from flower.core.quantities import between
from flower.core.status import Status, status_word
from flower.core.steps import commands, failing_of, number, which_attempt

_LONGEST_VALUE = 1000
_LAST_DEEDS = 5
_FLEXIBLE = ("task", "program", "parameters", "result")


def show(flow: FlowReference, *, database: Database = None, as_json: AsJson = False) -> None:
    """Show a flow: what failed and why, then all tasks."""

    async def find() -> tuple[Flow, tuple[Task, ...], tuple[LogLine, ...], tuple[Deed, ...], Given]:
        async with opened(database) as store:
            flow_id = await store.flows.find(flow)
            tasks = await store.flows.tasks(flow_id)
            said, deeds = await store.logs.before_failure(tasks), await store.verbs.done(flow_id)
            return await store.flows.get(flow_id), tasks, said, deeds, await store.flows.given(flow_id)

    found, tasks, said, deeds, given = run(find())
    print_flow(found, tasks, said, deeds, given, as_json=as_json)


def print_flow(
    flow: Flow,
    tasks: Sequence[Task],
    said: Sequence[LogLine] = (),
    deeds: Sequence[Deed] = (),
    given: Given = Given(None, None),  # noqa: B008 - frozen
    *,
    as_json: bool,
) -> None:
    """Print *flow* for people, or as `GET /api/flows/{flowId}` answers it.

    *said*: the last lines of the failing task. *deeds*: what people did to the flow.
    """
    if as_json:
        print_json(shapes.flow_with_tasks(flow, tasks, said, given))
        return
    failing = failing_of(tasks)
    typer.echo(f"flow {escape(flow.flow_id)} of workflow {escape(flow.workflow)}: {status_of(flow)}{_when(flow)}{_revision(flow)}")
    if flow.schedule is not None:
        typer.echo(f"by the schedule {escape(flow.schedule)}{f' for {local(flow.scheduled_for)}' if flow.scheduled_for else ', by hand'}")
    if flow.suspended is not None and flow.status not in {Status.FINISH, Status.IGNORE}:
        typer.echo(f"suspended at {local(flow.suspended.at)}: nothing new of it starts" + _because(flow.suspended.reason))
    for deed in deeds[-_LAST_DEEDS:]:
        step = "" if deed.seq is None else f" {number(deed.seq)}"
        typer.echo(f"{local(deed.at)} {escape(deed.who or deed.role)}: {deed.verb}{step}{_because(deed.reason)}")
    if failing is not None:
        _print_failing(failing, said, others=[task for task in tasks if task.is_fault and task is not failing])
    for task in tasks:
        if task.status == Status.SUSPEND and not task.is_fault:
            _print_asking(task)
    for task in tasks:
        if task.notice is not None:
            typer.echo(f"\nTask {number(task.seq)} ({escape(task.name)}), attempt {task.attempt}: {_noticed(task)}")
    typer.echo("")
    print_table(
        ("seq", "task", "status", "try", "program", "started", "took", "parameters", "result"), [_row(task) for task in tasks], flexible=_FLEXIBLE
    )


def _because(reason: str | None) -> str:
    return f" ({escape(reason)})" if reason else ""


def _when(flow: Flow) -> str:
    if flow.finished_at is not None and flow.status in {Status.FINISH, Status.IGNORE}:
        return f" at {local(flow.finished_at)}, after {between(flow.registered_at, flow.finished_at)}"
    return f", registered at {local(flow.registered_at)}"


def _revision(flow: Flow) -> str:
    return "" if flow.revision is None else f" (revision {flow.revision})"


def _print_failing(task: Task, said: Sequence[LogLine], others: Sequence[Task]) -> None:
    lines = list(_failure(task, said))
    out = console()
    out.print(f"\nTask {number(task.seq)} ({escape(task.name)}) {task.outcome}", style="bold red" if out.is_terminal else "")
    _print_aligned(lines)
    if others:
        typer.echo(f"\nAlso suspended: {', '.join(f'{number(task.seq)} ({escape(task.name)}) {task.outcome}' for task in others)}")


def _print_aligned(lines: Sequence[tuple[str, str]]) -> None:
    width = max(len(name) for name, _ in lines)
    for name, words in lines:
        first, *rest = words.split("\n")
        typer.echo(f"  {name:<{width}}  {first}")
        for line in rest:
            typer.echo(f"  {'':<{width}}  {line}".rstrip())


def _print_asking(task: Task) -> None:
    told = _told(task)
    typer.echo(f"\nTask {number(task.seq)} ({escape(task.name)}) waits for a person" + (f": {told}" if told else ""))
    _print_aligned(list(_ways_on(task)))


def _failure(task: Task, said: Sequence[LogLine]) -> Iterator[tuple[str, str]]:
    yield "program", escape(task.program or "")
    yield "error", _told(task) or "nothing is known"
    where, traceback = _of_error(task, "where"), _of_error(task, "traceback")
    if where:
        yield "where", where
    if task.place:
        yield "called", escape(task.place)
    yield "attempt", _attempt(task)
    yield "parameters", short(task.parameters, _LONGEST_VALUE)
    if traceback:
        yield "traceback", traceback.strip("\n")
    if said:
        yield "said last", "\n".join(text(line, task.name) for line in said)
    yield from _ways_on(task)


def _ways_on(task: Task) -> Iterator[tuple[str, str]]:
    ways = commands(task)
    words = {"rerun": "run again", "complete": "hand in", "ignore": "or skip it", "retry": "or run it"}
    if "signal" in ways:
        words = {"signal": "send it", "retry": "and retry", "complete": "or hand in"}
    for verb, command in ways.items():
        yield words[verb], escape(command)


def _attempt(task: Task) -> str:
    """Return which attempt it is, and when it began."""
    return which_attempt(task) + (f", at {local(task.started_at)}" if task.started_at else "")


def how_far(task: Task) -> str:
    """Return what a running task said of its progress as `3/10`, `3` where it does not know of how much; nothing if it said nothing."""
    if task.status != Status.RUNNING or not isinstance(task.progress, dict):
        return ""
    done, total = task.progress.get("done"), task.progress.get("total")
    return escape(f"{done}/{total}" if total is not None else f"{done}")


def _told(task: Task) -> str:
    """Return what went wrong as `type: message`, or whatever else stands in the error column."""
    if not isinstance(task.error, dict):
        return short(task.error, _LONGEST_VALUE)
    return ": ".join(filter(None, (_of_error(task, "type"), _of_error(task, "message"))))


def _noticed(task: Task) -> str:
    """Return what its worker saw as `message (where)`, what the engine did of itself as its message, or whatever else stands in the notice column."""
    message, where = _text(task.notice, "message"), _text(task.notice, "where")
    if message and where:
        return f"{message} ({where})"
    return message if message and _text(task.notice, "type") == "SignalTimeout" else short(task.notice, _LONGEST_VALUE)


def _of_error(task: Task, name: str) -> str:
    return _text(task.error, name)


def _text(value: Json, name: str) -> str:
    found = value.get(name) if isinstance(value, dict) else None
    return "" if found is None else escape(str(mask(found)), keep_lines=True)


def _row(task: Task) -> tuple[str, ...]:
    status = status_word(task.status)
    end = task.finished_at or task.suspended_at or (datetime.now(UTC) if task.status == Status.RUNNING else None)
    return (
        number(task.seq),
        task.name,
        f"{status} {task.outcome}" if task.outcome else f"{status} {how_far(task)}".rstrip(),
        str(task.attempt or ""),
        task.program or "",
        local(task.started_at),
        between(task.started_at, end) if task.status != Status.WAIT else "",
        short(task.parameters, 40),
        short(task.result, 40) if task.error is None else _told(task)[:40],
    )
