"""Fills and judges the places in a task's parameters that only its worker can: variables of its environment, sources that were ignored."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from flower.core.errors import FieldError, InvalidParameters, SourceIgnored
from flower.core.strict import below, is_clean

if TYPE_CHECKING:
    from flower.sdk.task import Task

INPUT_LIMIT_BYTES = 16 * 1024 * 1024


def arguments(task: Task[..., Any, Any], parameters: str, places: str | None) -> dict[str, Any]:
    """Return what *task* is called with. *places*: those that are open, as `sql/functions/kr_input.sql` names them, None if there are none.

    Raises InvalidParameters, or SourceIgnored where a parameter has no source and the task cannot do without.
    """
    if places is None:
        return task.parameters.decode(parameters)
    given = json.loads(parameters)
    wrong: list[FieldError] = []
    for place in json.loads(places):
        at, path = place["at"], _path(place["at"])
        if not _is_there(given, at):
            wrong.append(FieldError(path, "is no place in these parameters any more: a hand has changed them"))
            continue
        if "env" in place:
            value = os.environ.get(place["env"])
            if value is None or not is_clean(value):
                wrong.append(FieldError(path, f"the environment of this worker has no {place['env']}, or no text"))
            else:
                _put(given, at, value)
        elif "ignored" in place:
            _do_without(task, given, at, place["ignored"])
        elif "missing" in place:
            wrong.append(FieldError(path, f"there is no {place['missing']} in what that step returned"))
        else:
            wrong.append(
                FieldError("", f"with the results that go in they are larger than {INPUT_LIMIT_BYTES:,} bytes; hand over keys or paths instead")
            )
    if wrong:
        raise InvalidParameters(task.name, wrong)
    return task.parameters.decode(json.dumps(given), INPUT_LIMIT_BYTES)


def _is_there(given: Any, at: list[str]) -> bool:
    for part in at:
        if isinstance(given, dict) and part in given:
            given = given[part]
        elif isinstance(given, list) and part.isdigit() and int(part) < len(given):
            given = given[int(part)]
        else:
            return False
    return bool(at)


def _do_without(task: Task[..., Any, Any], given: dict[str, Any], at: list[str], source: str) -> None:
    name, *inside = at
    if inside:
        _put(given, at, None)
    elif name not in task.parameters.requires:
        del given[name]
    elif task.parameters.problems(name, None):
        raise SourceIgnored(name, source)


def _put(given: Any, at: list[str], value: Any) -> None:
    for part in at[:-1]:
        given = given[int(part) if isinstance(given, list) else part]
    given[int(at[-1]) if isinstance(given, list) else at[-1]] = value


def _path(at: list[str]) -> str:
    path = ""
    for part in at:
        path = below(path, int(part) if part.isdigit() and path else part)
    return path
