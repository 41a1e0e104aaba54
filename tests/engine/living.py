"""Workers that live inside a test, and somebody with psql beside them."""

from __future__ import annotations

import asyncio
import inspect
import json
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import asyncpg

from flower.database.pool import Connection
from flower.engine.heartbeat import Lease
from flower.engine.stopping import Stop
from flower.engine.worker import Life, Plan
from flower.sdk.registry import Registry
from flower.sdk.retry import Policy
from flower.sdk.task import Task

LEASE = Lease(seconds=2, beat_seconds=0.2)
PROBE_SECONDS = 0.2
# Longer than any wake-up of a test: nothing but the bell can have started the task.
NO_PROBE_SECONDS = 600.0
_END_SECONDS = 15


class Living:
    """A worker in this process that begins another life when it is given up for lost, as `serve` does."""

    def __init__(self, plan: Plan) -> None:
        self.plan, self.stop = plan, Stop()
        self.lives: list[Life] = []
        self._begun = asyncio.Event()
        self.running = asyncio.create_task(self._run())

    @property
    def life(self) -> Life:
        return self.lives[-1]

    @property
    def id(self) -> UUID:
        return self.life.worker_id

    async def begun(self) -> None:
        begun = asyncio.create_task(self._begun.wait())
        await asyncio.wait([begun, self.running], timeout=_END_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        begun.cancel()
        assert self._begun.is_set(), self.running

    async def end(self, *, hurry: bool = False) -> None:
        """Stop in order, or at once, and raise what the life ended with."""
        if not self.stop.asked.is_set():
            self.stop.ask()
        if hurry and not self.stop.hurried.is_set():
            self.stop.ask()
        await asyncio.wait_for(self.running, _END_SECONDS)

    async def _run(self) -> None:
        while True:
            self.lives.append(Life(self.plan))
            if await self.life.live(self.stop, self._begun.set):
                return


@asynccontextmanager
async def living(
    url: str,
    *functions: Callable[..., Any] | Task[..., Any, Any],
    slots: int = 20,
    lease: Lease = LEASE,
    probe_seconds: float = PROBE_SECONDS,
    grace_seconds: float = 0,
) -> AsyncIterator[Living]:
    """A worker that has *functions*, each called by its own name, or tasks. It must end in order, unless the test has already failed."""
    registry = Registry()
    for number, fn in enumerate(functions):
        registry.add(fn if isinstance(fn, Task) else Task(fn, fn.__name__, f"app.py:{number}", {}))
    worker = Living(
        Plan(
            url=url,
            schema="public",
            registry=registry,
            slots=slots,
            lease=lease,
            probe_seconds=probe_seconds,
            grace_seconds=grace_seconds,
        )
    )
    try:
        await worker.begun()
        yield worker
    except BaseException:
        worker.running.cancel()
        await asyncio.wait([worker.running], timeout=_END_SECONDS)
        raise
    await worker.end()


def tried(fn: Callable[..., Any], **policy: Any) -> Task[..., Any, Any]:
    """A task of *fn* with a policy for its attempts."""
    return Task(fn, fn.__name__, f"app.py:{fn.__name__}", {}, Policy(**policy))


async def until(fact: Callable[[], Any], *, seconds: float = 10) -> None:
    """Return as soon as *fact*, a function or a coroutine function, answers what is true. Fails after *seconds*."""
    end = time.monotonic() + seconds
    while True:
        answer = fact()
        if inspect.isawaitable(answer):
            answer = await answer
        if answer:
            return
        assert time.monotonic() < end, f"not true within {seconds} s"
        await asyncio.sleep(0.005)


async def set_within(event: asyncio.Event, *, seconds: float = 5) -> None:
    """Wait until *event* is set. Fails after *seconds*."""
    async with asyncio.timeout(seconds):
        await event.wait()


# Somebody with psql.


async def insert(connection: Connection, program: str, *, flow: str = "hand", count: int = 1, first: int = 1, **columns: object) -> str:
    """Write *count* rows of *program* into kr_task_stat, at once runnable, and return their flow."""
    values = {
        "task_flow_id": flow,
        "depends_task_exec_seq": -1,
        "task_id": "by hand",
        "exec_status": 0,
        "parameters": "{}",
        "program": program,
    } | columns
    names, places = ", ".join(values), ", ".join(f"${number}" for number in range(3, len(values) + 3))
    await connection.execute(
        f"INSERT INTO kr_task_stat (task_exec_seq, task_seq, {names}) SELECT n, n, {places} FROM generate_series($1::integer, $2::integer) n",
        first,
        first + count - 1,
        *values.values(),
    )
    return flow


async def define(connection: Connection, workflow: str, *steps: tuple[str, list[int] | None]) -> None:
    """Define *workflow*: a program for each step from 1 on, and what it depends on (None: the step before it)."""
    await connection.executemany(
        "INSERT INTO ms_task_definition (task_id, task_seq, program, depends_on) VALUES ($1, $2, $3, $4)",
        [(workflow, number, program, depends_on) for number, (program, depends_on) in enumerate(steps, 1)],
    )


async def start(connection: Connection, workflow: str, parameters: object = None, **options: object) -> str:
    """Start *workflow* by SQL and return the id of its flow."""
    flow: str = await connection.fetchval(
        "SELECT flower_register($1, $2::jsonb, $3::jsonb)", workflow, json.dumps(parameters or {}), json.dumps(options)
    )
    return flow


async def rows(connection: Connection, flow: str = "hand") -> Sequence[asyncpg.Record]:
    """Return the tasks of *flow* in order of seq."""
    return await connection.fetch("SELECT *, exec_status::integer AS status FROM kr_task_stat WHERE task_flow_id = $1 ORDER BY task_exec_seq", flow)


async def statuses(connection: Connection, flow: str = "hand") -> list[int]:
    """Return the statuses of the tasks of *flow* in order of seq."""
    return [row["status"] for row in await rows(connection, flow)]


async def ended(connection: Connection, flow: str = "hand", *, seconds: float = 10) -> Sequence[asyncpg.Record]:
    """Return the tasks of *flow* once all of them have ended in some way."""

    async def are_over() -> bool:
        found = await statuses(connection, flow)
        return bool(found) and not {0, 1} & set(found)

    await until(are_over, seconds=seconds)
    return await rows(connection, flow)


async def stands(connection: Connection, *expected: int, flow: str = "hand", seconds: float = 10) -> Sequence[asyncpg.Record]:
    """Return the tasks of *flow* once their statuses are *expected*."""

    async def is_so() -> bool:
        return await statuses(connection, flow) == list(expected)

    await until(is_so, seconds=seconds)
    return await rows(connection, flow)


async def set_by_hand(connection: Connection, seq: int, status: int, *, flow: str = "hand") -> None:
    """Write *status* into the row of task *seq*."""
    changed = await connection.execute("UPDATE kr_task_stat SET exec_status = $3 WHERE task_flow_id = $1 AND task_exec_seq = $2", flow, seq, status)
    assert changed == "UPDATE 1"
