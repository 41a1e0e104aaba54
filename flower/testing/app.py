"""What the pytest fixture `flower_app` hands out: runs workflows for real, on a database of the test's own. Knows nothing of pytest."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast, overload

from flower.core.errors import FlowFailed
from flower.core.model import Flow, Json, Task
from flower.core.status import Gate, Status
from flower.sdk import flow as flows
from flower.sdk.context import CURRENT
from flower.sdk.registry import REGISTRY
from flower.sdk.task import Task as Program
from flower.sdk.workflow import Workflow

if TYPE_CHECKING:
    from flower.database.store import Store

R = TypeVar("R")

_LOOK_SECONDS = 0.01


@dataclass(frozen=True, slots=True)
class Run(Generic[R]):
    """One flow that has come to rest: finished, cancelled, or stalled on a task that failed or waits for a person.

    *tasks*: by name. *logs*: what tasks logged by structlog, `context().log` included, in order: the keys of each event, with `event`, `level`
    and `task`, the name of the task that said it.
    """

    flow_id: str
    status: str
    tasks: Mapping[str, Task]
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

    def __init__(self, url: str, timeout_seconds: float = 20) -> None:
        self.url, self.timeout_seconds = url, timeout_seconds

    @overload
    async def run(self, workflow: Workflow[..., R], /, *, stub: Mapping[Program[..., Any, Any], Any] | None = None, **parameters: Any) -> Run[R]: ...
    @overload
    async def run(self, workflow: str, /, *, stub: Mapping[Program[..., Any, Any], Any] | None = None, **parameters: Any) -> Run[Any]: ...
    async def run(
        self, workflow: Workflow[..., Any] | str, /, *, stub: Mapping[Program[..., Any, Any], Any] | None = None, **parameters: Any
    ) -> Run[Any]:
        """Start a flow of *workflow* (or of that name), run its tasks in this process, and return how it went.

        Nothing is slept for: where all that is left waits for its time, it is that time. *stub*: what stands in for tasks; a function, called
        as the task would be, or else the result itself. Raises TimeoutError, saying what the flow waits for, and what `Workflow.start` raises.
        """
        from flower.app import working
        from flower.client import STARTER
        from flower.core.settings import Settings
        from flower.database.pool import Pool
        from flower.database.store import Store

        settings = Settings.model_construct(concurrency=10, grace=0)  # whatever the environment says
        registry = REGISTRY.with_stubs({task: _standing_in(value) for task, value in (stub or {}).items()})
        try:
            async with Pool(self.url, role="test", schema=settings.schema_name) as pool, working(settings, url=self.url, registry=registry):
                with _listening() as logs:
                    started = await (flows.start(workflow, parameters) if isinstance(workflow, str) else workflow.start(**parameters))
                    flow = await self._until_over(Store(pool), started.id)
                tasks = await Store(pool).flows.tasks(flow.flow_id)
                finished = flow.status is Status.FINISH
                result = await started.result() if finished else FlowFailed(flow.flow_id, flow.workflow, _stopped(tasks))
        finally:
            await STARTER.close()
        return Run(flow.flow_id, flow.status.word, {task.name: task for task in tasks}, tuple(logs), result)

    async def _until_over(self, store: Store, flow_id: str) -> Flow:
        try:
            async with asyncio.timeout(self.timeout_seconds):
                while not (flow := await store.flows.get(flow_id)).is_over:
                    await store.flows.advance(flow_id)
                    await asyncio.sleep(_LOOK_SECONDS)
                return flow
        except TimeoutError:
            held = [f"{item.name}: {item.reason}" for item in await store.flows.why(flow_id) if item.gate is not Gate.DEPENDENCIES]
            running = [f"{task.name} runs" for task in await store.flows.tasks(flow_id) if task.status == Status.RUNNING]
            raise TimeoutError(f"the flow has not ended within {self.timeout_seconds:g} s; {'; '.join(running + held)}") from None


def _standing_in(value: Any) -> Callable[..., Any]:
    return cast("Callable[..., Any]", value) if callable(value) else lambda **_: value


def _stopped(tasks: tuple[Task, ...]) -> Task | None:
    return next((task for task in tasks if task.status == Status.SUSPEND), None)


@contextmanager
def _listening() -> Iterator[list[dict[str, Json]]]:
    """Collect what tasks log by structlog while inside, before whatever is configured gets it."""
    import structlog

    said: list[dict[str, Json]] = []

    def listen(_logger: Any, level: str, event: Any) -> Any:
        here = CURRENT.get()
        if here is not None:
            said.append({**event, "level": level, "task": here.name})
        return event

    processors = structlog.get_config()["processors"]
    processors.insert(0, listen)  # in place: loggers that were used before hold this very list
    try:
        yield said
    finally:
        processors.remove(listen)
