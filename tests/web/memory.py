"""A store that lives in memory and remembers what it was asked, for tests that are about HTTP only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from flower.core.definition import Definition
from flower.core.errors import UnknownFlow, UnknownWorkflow
from flower.core.model import Flow, Given, LogLine, Order, Page, Registered, Step, Task, Waiting, Workflow
from flower.core.picture import Attempt
from flower.core.status import Gate, Status
from flower.core.steps import failing_of, find_task
from flower.database.store.changes import Snapshot

FLOW = "019ab0c2-7a53-7c3e-9a63-0242ac1f0003"
MORNING = datetime(2026, 11, 24, 8, 30, 0, 250000, tzinfo=UTC)


def a_task(seq: str = "1", name: str = "fetch", **changes: Any) -> Task:
    values: dict[str, Any] = {
        "flow_id": FLOW,
        "seq": Decimal(seq),
        "step_seq": Decimal(seq),
        "workflow": "example",
        "name": name,
        "program": "fetch",
        "status": Decimal(Status.FINISH),
        "outcome": None,
        "attempt": 1,
        "crashes": 0,
        "priority": Decimal(0),
        "parameters": {"url": "https://example.org"},
        "result": {"score": 1},
        "error": None,
        "notice": None,
        "depends_on": (),
        "worker": UUID(int=7),
        "registered_at": MORNING,
        "started_at": MORNING,
        "finished_at": MORNING,
        "suspended_at": None,
        "run_after": None,
    }
    return Task(**values | changes)


def a_flow(**changes: Any) -> Flow:
    values: dict[str, Any] = {
        "flow_id": FLOW,
        "workflow": "example",
        "status": Status.FINISH,
        "stalled": False,
        "priority": Decimal(-5),
        "registered_at": MORNING,
        "finished_at": MORNING,
        "counts": {"finish": 1},
        "failing": None,
    }
    return Flow(**values | changes)


class Logs:
    """One line for each task that went wrong."""

    async def before_failure(self, tasks: Sequence[Task]) -> tuple[LogLine, ...]:
        failing = failing_of(tasks)
        return () if failing is None else (LogLine(failing.flow_id, failing.seq, 1, datetime(2030, 1, 1, tzinfo=UTC), "info", "stdout", "hm", "7"),)


class Changes:
    """Nothing ever changes."""

    async def now(self) -> Snapshot:
        return Snapshot(1, frozenset(), frozenset())


@dataclass
class Flows:
    """Remembers what it was asked."""

    orders: list[Order] = field(default_factory=list)
    lists: list[dict[str, Any]] = field(default_factory=list)
    answers: Registered = field(default_factory=lambda: Registered(FLOW))
    raises: Exception | None = None
    one: Flow = field(default_factory=a_flow)
    page: Page | None = None
    its_tasks: tuple[Task, ...] = field(default_factory=lambda: (a_task(),))
    waits: tuple[Waiting, ...] = (Waiting(Decimal(2), "publish", Gate.DEPENDENCIES, ("waits for fetch",)),)

    async def register_all(self, orders: Sequence[Order]) -> tuple[Registered, ...]:
        if self.raises is not None:
            raise self.raises
        self.orders += orders
        return (self.answers,) * len(orders)

    async def get(self, flow_id: str) -> Flow:
        if self.raises is not None:
            raise self.raises
        if flow_id != self.one.flow_id:
            raise UnknownFlow(flow_id)
        return self.one

    async def given(self, flow_id: str) -> Given:
        return Given({"url": "u", "api_key": "canary"}, None) if flow_id == self.one.flow_id else Given(None, None)

    async def tasks(self, flow_id: str) -> tuple[Task, ...]:
        return self.its_tasks if flow_id == self.one.flow_id else ()

    async def why(self, flow_id: str) -> tuple[Waiting, ...]:
        return self.waits if flow_id == self.one.flow_id else ()

    async def list(self, **wanted: Any) -> Page:
        self.lists.append(wanted)
        return self.page or Page((self.one,), "more")


@dataclass
class Tasks:
    """Knows those of a store of flows; the first of them was tried once before."""

    flows: Flows

    async def find(self, flow_id: str, step: str) -> Task:
        return find_task(flow_id, await self.flows.tasks(flow_id), step)

    async def attempts(self, flow_id: str, seq: Decimal) -> tuple[Attempt, ...]:
        return (
            (Attempt(1, "wait", "failed", MORNING, MORNING, {"type": "ValueError", "api_key": "canary"}, None, UUID(int=7)),)
            if (flow_id, seq) == (FLOW, 1)
            else ()
        )


class Workflows:
    """Knows one workflow, whose name has a slash."""

    digest = Workflow("news/digest", (Step(Decimal("1.5"), "fetch", "fetch", Decimal(0), {"url": "x", "api_key": "canary"}, None, known=False),))

    async def list(self) -> tuple[Workflow, ...]:
        return (self.digest,)

    def __init__(self) -> None:
        self.defined: list[Definition] = []
        self.removed: list[str] = []

    async def define(self, definition: Definition, *, origin: str, code: bool) -> str:
        assert (origin, code) == ("http", False)
        self.defined.append(definition)
        return "written"

    async def remove(self, name: str) -> None:
        await self.get(name)
        self.removed.append(name)

    async def get(self, name: str) -> Workflow:
        if name != self.digest.workflow:
            raise UnknownWorkflow(name, ["news/digest"])
        return self.digest
