"""What the pytest fixture `flower_app` hands out: runs workflows for real, on a database of the test's own. Knows nothing of pytest."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar, cast, overload

from flower.core import model
from flower.core.errors import FlowFailed
from flower.core.model import Json
from flower.core.status import Gate, Status, status_word
from flower.core.steps import stopped
from flower.sdk import flow as flows
from flower.sdk.context import CURRENT
from flower.sdk.registry import REGISTRY, Registry
from flower.sdk.task import Task
from flower.sdk.workflow import Workflow

if TYPE_CHECKING:
    from flower.database.store import Store

R = TypeVar("R")

# What stands in for tasks: a function, or else the result itself.
Stubs: TypeAlias = Mapping[Task[..., Any, Any], Any]

_SLOTS = 10
_LOOK_SECONDS = 0.01


@dataclass(frozen=True, slots=True)
class Ran:
    """What became of one task. *status* is a word: finish, suspend, ignore, wait. *error*: type, message, where, traceback."""

    name: str
    program: str | None
    status: str
    outcome: str | None
    attempt: int
    parameters: Json
    result: Json
    error: Json
    started_at: datetime | None
    seq: Decimal


@dataclass(frozen=True, slots=True)
class Run(Generic[R]):
    """One flow that has come to rest: finished, cancelled, or stalled on a task that failed or waits for a person.

    *tasks*: by name. *logs*: what tasks logged by structlog, `context().log` included, in order: the keys of each event, with `event`, `level`
    and `task`, the name of the task that said it.
    """

    flow_id: str
    status: str
    tasks: Mapping[str, Ran]
    logs: tuple[Mapping[str, Any], ...]
    _result: R | FlowFailed

    @property
    def result(self) -> R:
        """What the workflow returned. Raises FlowFailed, with the failing task, if the flow did not finish."""
        if isinstance(self._result, FlowFailed):
            raise self._result
        return self._result

    @property
    def order(self) -> list[str]:
        """The names of the tasks that ran, in the order in which their latest attempts started."""
        ran = [task for task in self.tasks.values() if task.started_at is not None]
        return [task.name for task in sorted(ran, key=lambda task: (task.started_at, task.seq))]


class App:
    """Flower for one test. *url*: its database, which is empty but for Flower's own. *timeout_seconds*: how long `run` waits at most."""

    def __init__(self, url: str, schema: str, timeout_seconds: float = 20) -> None:
        self.url, self.timeout_seconds = url, timeout_seconds
        self._schema, self._one_at_a_time = schema, asyncio.Lock()

    @overload
    async def run(self, workflow: Workflow[..., R], /, *, stub: Stubs | None = None, **parameters: Any) -> Run[R]: ...
    @overload
    async def run(self, workflow: str, /, *, stub: Stubs | None = None, **parameters: Any) -> Run[Any]: ...
    async def run(self, workflow: Workflow[..., Any] | str, /, *, stub: Stubs | None = None, **parameters: Any) -> Run[Any]:
        """Start a flow of *workflow* (or of that name), run its tasks in this process, and return how it went.

        Nothing is slept for: where all that is left waits for its time, it is that time. *stub*: what stands in for tasks; a function, called
        as the task would be, or else the result itself. Two runs of one test come one after the other. Raises TypeError for stubs that can be
        none, TimeoutError, saying what the flow waits for, and what `Workflow.start` raises.
        """
        registry = _with_stubs(workflow, stub or {})
        async with self._one_at_a_time, self._working(registry) as store:
            with _overhearing() as logs:
                started = await (flows.start(workflow, parameters) if isinstance(workflow, str) else workflow.start(**parameters))
                flow = await self._until_over(store, started.id)
            tasks = await store.flows.tasks(flow.flow_id)
            finished = flow.status is Status.FINISH
            result = await started.result() if finished else FlowFailed(flow.flow_id, flow.workflow, stopped(tasks))
        return Run(flow.flow_id, flow.status.word, {task.name: _ran(task) for task in tasks}, tuple(logs), result)

    @asynccontextmanager
    async def _working(self, registry: Registry) -> AsyncIterator[Store]:
        from flower.app import working
        from flower.client import STARTER
        from flower.core.settings import Settings
        from flower.database.pool import Pool
        from flower.database.store import Store

        settings = Settings.model_construct(concurrency=_SLOTS, grace=0, schema_name=self._schema)  # whatever the environment says
        try:
            async with Pool(self.url, role="test", schema=self._schema) as pool, working(settings, url=self.url, registry=registry):
                yield Store(pool)
        finally:
            await STARTER.close()

    async def _until_over(self, store: Store, flow_id: str) -> model.Flow:
        try:
            async with asyncio.timeout(self.timeout_seconds):
                while not (flow := await store.flows.get(flow_id)).is_over:
                    # No bell says that all that is left waits for a time.
                    await store.flows.advance(flow_id)
                    await asyncio.sleep(_LOOK_SECONDS)
                return flow
        except TimeoutError:
            held = [f"{item.name}: {item.reason}" for item in await store.flows.why(flow_id) if item.gate is not Gate.DEPENDENCIES]
            running = [f"{task.name} runs" for task in await store.flows.tasks(flow_id) if task.status == Status.RUNNING]
            raise TimeoutError(f"the flow has not ended within {self.timeout_seconds:g} s; {'; '.join(running + held)}") from None


def _with_stubs(workflow: Workflow[..., Any] | str, stubs: Stubs) -> Registry:
    if not isinstance(workflow, Workflow | str):
        raise TypeError(
            f"run() takes a workflow or its name, not {workflow!r}; a task is tested as a function: {getattr(workflow, 'name', 'it')}.fn(…)"
        )
    if not isinstance(stubs, Mapping):
        raise TypeError(f"stub= takes a dict from tasks to what stands in for them, not {stubs!r} (a parameter called stub cannot be given here)")
    for task, value in stubs.items():
        if not isinstance(task, Task):
            raise TypeError(f"stub= names tasks, not {task!r}: write stub={{fetch: …}} for the function fetch under @task")
        if isinstance(value, Task | Workflow):
            raise TypeError(f"{value!r} cannot stand in for a task: write {value.name}.fn")
        if isinstance(workflow, Workflow) and task.name not in {step.program for step in workflow.definition.steps}:
            raise TypeError(f"{workflow.name} has no step that calls {task.name}, so nothing can stand in for it")
    return REGISTRY.with_stubs({task: _standing_in(value) for task, value in stubs.items()})


def _standing_in(value: Any) -> Callable[..., Any]:
    return cast("Callable[..., Any]", value) if callable(value) else lambda **_: value


def _ran(task: model.Task) -> Ran:
    status = status_word(task.status)
    return Ran(task.name, task.program, status, task.outcome, task.attempt, task.parameters, task.result, task.error, task.started_at, task.seq)


@contextmanager
def _overhearing() -> Iterator[list[dict[str, Any]]]:
    """Collect what tasks log by structlog while inside, before whatever is configured gets it."""
    import structlog

    said: list[dict[str, Any]] = []

    def listen(_logger: Any, level: str, event: Any) -> Any:
        here = CURRENT.get()
        if here is not None:
            said.append({**event, "level": level, "task": here.name})
        return event

    before = structlog.get_config()["processors"]
    if isinstance(before, list):
        before.insert(0, listen)  # in place: loggers that were used before hold this very list
    else:
        structlog.configure(processors=[listen, *before])
    try:
        yield said
    finally:
        if isinstance(before, list):
            before.remove(listen)
        else:
            structlog.configure(processors=before)
