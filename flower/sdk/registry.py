"""The programs that this process has: which function runs for which name. Knows nothing of rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flower.core.errors import ModuleProblem
from flower.core.model import Program

if TYPE_CHECKING:
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
        return tuple(Program(name, self._tasks[name].parameters.takes) for name in self.names())


# Where the decorator registers.
REGISTRY = Registry()
