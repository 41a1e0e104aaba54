"""The programs that this process has: which function runs for which name. Knows nothing of rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flower.core.errors import ModuleProblem
from flower.core.model import Json, Program
from flower.sdk import hints

if TYPE_CHECKING:
    from flower.sdk.parameters import Parameters
    from flower.sdk.task import Task


class Registry:
    """Tasks by name."""

    def __init__(self) -> None:
        self._tasks: dict[str, Task[..., Any, Any]] = {}

    def add(self, task: Task[..., Any, Any]) -> None:
        """Take in *task*. The same one again (a module that is imported twice, or reloaded) replaces the earlier.

        Raises ModuleProblem, naming both places, if another task has its name.
        """
        other = self._tasks.get(task.name)
        if other is not None and other.place != task.place:
            raise ModuleProblem(f'two tasks are called {task.name!r}: {other.place} and {task.place}; give one of them another name: @task(name="…")')
        self._tasks[task.name] = task

    def get(self, name: str) -> Task[..., Any, Any] | None:
        """Return the task called *name*, None if there is none."""
        return self._tasks.get(name)

    def names(self) -> tuple[str, ...]:
        """Return the names of all tasks, in order."""
        return tuple(sorted(self._tasks))

    def programs(self) -> tuple[Program, ...]:
        """Return what a worker announces of each task, in order of name."""
        return tuple(_program(name, self._tasks[name].parameters) for name in self.names())


def _program(name: str, parameters: Parameters) -> Program:
    return Program(name=name, takes=parameters.takes, requires=parameters.requires, schema=_schema(parameters))


def _schema(parameters: Parameters) -> Json:
    """Return the JSON schema of *parameters*. One whose hint has no schema may be anything in it."""
    found, shared = hints.schemas({name: hint for name, hint in parameters.hints.items() if hint is not Any})
    schema: dict[str, Json] = {
        "type": "object",
        "properties": {name: found.get(name, {}) for name in parameters.hints},
        "required": list(parameters.requires),
    }
    if parameters.takes is not None:
        schema["additionalProperties"] = False
    return schema | shared


REGISTRY = Registry()
