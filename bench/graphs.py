"""A chain and a fan in a process that was idle, from registration to the end of the last task, by the database's clock."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from statistics import median

from bench.engine import SLOTS, WARM_UP, drained, order
from bench.ground import Ground, session
from bench.report import Figure
from bench.served import serving
from bench.workflows import TASKS, statement
from flower.database.pool import Connection

# Long enough for the process to be idle again in between.
_LOOK_AGAIN_SECONDS = 0.2


async def measure(ground: Ground) -> AsyncIterator[Figure]:
    """Yield how long one chain and one fan take, and a chain right after a backlog, whose dead entries no vacuum has cleared yet."""
    backlog = 10_000 if ground.is_quick else 50_000
    async with ground.database("graphs") as url, session(url) as connection, serving(*SLOTS, "bench.tasks", database=url, folder=ground.folder):
        await drained(connection, await order(connection, WARM_UP))
        yield await _figure(ground, connection, "chain", "chain of 40 × fibo(10)", 20)
        yield await _figure(ground, connection, "fan", "1 → 1,000 → 1", 9)
        await drained(connection, await order(connection, backlog))
        yield await _figure(ground, connection, "chain", f"chain of 40 × fibo(10), after {backlog:,} tasks", 5)


async def _figure(ground: Ground, connection: Connection, workflow: str, what: str, times: int) -> Figure:
    taken = [await _run(connection, workflow, TASKS[workflow]) for _ in range(times)]
    of_raw = ground.raw[workflow] / median(taken) if workflow in ground.raw else None
    note = f"registered to finished, median of {times}; {min(taken):.0f} to {max(taken):.0f} ms"
    return Figure(what, median(taken), "ms", workflow, of_raw, note)


async def _run(connection: Connection, workflow: str, tasks: int) -> float:
    flow = await connection.fetchval("SELECT flower_register($1)", workflow)
    await asyncio.sleep(_LOOK_AGAIN_SECONDS)
    while await connection.fetchval("SELECT count(*) FROM kr_task_stat WHERE task_flow_id = $1 AND exec_status = 3", flow) < tasks:
        await asyncio.sleep(_LOOK_AGAIN_SECONDS)
    return float(await connection.fetchval(statement("took"), flow))
