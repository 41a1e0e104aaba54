"""Calls a task's function as a worker once did: what the files that `flower repro` writes are made of."""

from __future__ import annotations

import asyncio
import inspect
import json
import os
from collections.abc import Mapping
from typing import Any

from flower.core.errors import ModuleProblem
from flower.core.model import Json
from flower.sdk.modules import load
from flower.sdk.registry import REGISTRY
from flower.testing.context import context


def replay(module: str, program: str, parameters: Mapping[str, Json], **known: Any) -> Any:
    """Return what the task *program* of *module* (a file, or a dotted name) returns for *parameters*, which are JSON as a row holds them.

    `{"$env": "NAME"}` in them is read from the environment. *known*: what `context()` answers, as `flower.testing.context` takes it. Raises what
    the function raises, InvalidParameters if its types have changed, and ModuleProblem if it is not there.
    """
    load([module])
    task = REGISTRY.get(program)
    if task is None:
        raise ModuleProblem(f"{module} has no task {program!r} (any more)")
    values = task.parameters.decode(json.dumps(_with_environment(parameters)))
    with context(name=program, **known):
        returned = task.fn(**values)
        return asyncio.run(_awaited(returned)) if inspect.isawaitable(returned) else returned


async def _awaited(value: Any) -> Any:
    return await value


def _with_environment(value: Any) -> Any:
    if isinstance(value, Mapping):
        return os.environ[value["$env"]] if set(value) == {"$env"} else {key: _with_environment(item) for key, item in value.items()}
    return [_with_environment(item) for item in value] if isinstance(value, list) else value
