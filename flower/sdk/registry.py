"""The programs and workflows that this process has, by name. Knows nothing of rows."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from flower.core.errors import ModuleProblem
from flower.core.model import Program
from flower.core.signals import WAIT_FOR_SIGNAL

if TYPE_CHECKING:
    from flower.sdk.task import Task
    from flower.sdk.workflow import Workflow

R = TypeVar("R", bound="Registered")


class Registered:
    """What the decorators make: a task or a workflow. *name* stands in the rows, *place* is `file:line` of its function."""

    name: str
    place: str


class Registry:
    """Tasks and workflows by name."""

    def __init__(self) -> None:
        self._tasks: dict[str, Task[..., Any, Any]] = {}
        self._workflows: dict[str, Workflow[..., Any]] = {}

    def add(self, task: Task[..., Any, Any]) -> None:
        """Take in *task*. The same one again (a module that is imported twice, or reloaded) replaces the earlier.

        Raises ModuleProblem, naming both places, if another task has its name, or if it is the engine's own.
        """
        if task.name == WAIT_FOR_SIGNAL:
            raise ModuleProblem(f'{task.place}: {WAIT_FOR_SIGNAL} is the program of flower.wait_for; give the task another name: @task(name="…")')
        _add(self._tasks, task, "task")

    def add_workflow(self, workflow: Workflow[..., Any]) -> None:
        """Take in *workflow*, as `add` does a task."""
        _add(self._workflows, workflow, "workflow")

    def get(self, name: str) -> Task[..., Any, Any] | None:
        """Return the task called *name*, None if there is none."""
        return self._tasks.get(name)

    def workflows(self) -> tuple[Workflow[..., Any], ...]:
        """Return all workflows, in order of name."""
        return tuple(self._workflows[name] for name in sorted(self._workflows))

    def names(self) -> tuple[str, ...]:
        """Return the names of all tasks, in order."""
        return tuple(sorted(self._tasks))

    def with_stubs(self, stubs: Mapping[Task[..., Any, Any], Callable[..., Any]]) -> Registry:
        """Return a registry like this one in which each function of *stubs* runs in place of a task, with its parameters and its type of result."""
        made = copy.copy(self)
        made._tasks = self._tasks | {task.name: task.with_fn(fn) for task, fn in stubs.items()}  # noqa: SLF001 - another of ours
        return made

    def programs(self) -> tuple[Program, ...]:
        """Return what a worker announces of each task, in order of name."""
        return tuple(self._tasks[name].program for name in self.names())


def _add(known: dict[str, R], one: R, what: str) -> None:
    other = known.get(one.name)
    if other is not None and other.place != one.place:
        raise ModuleProblem(f'two {what}s are called {one.name!r}: {other.place} and {one.place}; give one of them another name: @{what}(name="…")')
    known[one.name] = one


# Where the decorators register.
REGISTRY = Registry()
