"""`repro`: writes a test that calls a task's function as it was called."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Annotated

import typer

from flower.cli.options import Database, FlowReference
from flower.cli.output import say
from flower.cli.surroundings import opened, run
from flower.core.errors import UsageError
from flower.core.escape import escape
from flower.core.masks import is_masked, mask
from flower.core.model import Json, Task
from flower.core.steps import find_task, number


def repro(
    flow: FlowReference,
    step: Annotated[str, typer.Argument(metavar="STEP", help="Seq or name of a task")],
    *,
    output: Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE", help="Where to write it; by default test_….py, here")] = None,
    database: Database = None,
) -> None:
    """Write a pytest file that calls the function of a task with the parameters and results that it was called with."""

    async def find() -> tuple[Task, str | None]:
        async with opened(database) as store:
            flow_id = await store.flows.find(flow)
            task = find_task(flow_id, await store.flows.tasks(flow_id), step)
            return task, await store.workers.place_of(task.program or "")

    task, place = run(find())
    if task.program is None or place is None:
        raise UsageError(f"no worker has ever said where the program {task.program!r} stands")
    if task.attempt == 0:
        raise UsageError(f"{task.name} of flow {task.flow_id} has not run yet: there is no call of it to repeat")
    file = output or Path(f"test_{_word(task.name)}_{_word(task.flow_id)[:8]}.py")
    try:
        with file.open("x", encoding="utf-8") as opened_file:
            opened_file.write(test_file(task, place.rpartition(":")[0]))
    except OSError as error:
        raise UsageError(f"{file} is not written: {error.strerror}" + ("; name another with --output" if file.exists() else "")) from None
    typer.echo(escape(f"{file} written; run it with: python -m pytest {file}"))
    if is_masked(mask(task.parameters)):
        say("Secrets are hidden in it (***): put them in, or name a variable with {'$env': 'NAME'}.")


def test_file(task: Task, module: str) -> str:
    """Return a file with one test that calls the function of *task*, which stands in *module*, as *task* was called."""
    error = task.error if isinstance(task.error, dict) else {}
    became = f"{error.get('type')}: {error.get('message')}" if error else "no error"
    told = _in_docstring(f"{task.name}, attempt {task.attempt} of flow {task.flow_id} of {task.workflow}: {became}")
    command = _in_docstring(f"python -m flower repro {shlex.quote(task.flow_id)} {number(task.seq)}")
    return f'''"""{told[:500]}

Written by `{command}`: change what it expects once it is mended.
"""

import json

from flower.testing import replay

PARAMETERS = json.loads({_literal(mask(task.parameters))})


def test_{_word(task.name)}() -> None:
    replay({module!r}, {task.program!r}, PARAMETERS, attempt={max(task.attempt, 1)}, flow_id={task.flow_id!r}, seq={number(task.seq)})
'''


def _in_docstring(text: str) -> str:
    return escape(text).replace("\\", "\\\\").replace('"', "'")


def _literal(value: Json) -> str:
    """Return JSON as a Python literal, over several lines if it is long."""
    return repr(json.dumps(value, ensure_ascii=True))


def _word(text: str) -> str:
    return re.sub(r"\W+", "_", text, flags=re.ASCII).strip("_").lower() or "task"
