"""A chain and a fan in a process that was idle, from registration to the end of the last task, by the database's clock."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from statistics import median

from bench.engine import SLOTS, WARM_UP, drained, order
from bench.ground import Ground, session
from bench.report import Figure
from bench.served import serving
from bench.workflows import CHAIN_TASKS, FAN_TASKS, statement
from flower.database.pool import Connection

# Long enough for the process to be idle again in between.
_LOOK_AGAIN_SECONDS = 0.2


async def measure(ground: Ground) -> AsyncIterator[Figure]:
    """Yield how long one chain and one fan take."""
    async with ground.database("graphs") as url, session(url) as connection, serving(*SLOTS, "bench.tasks", database=url, folder=ground.folder):
        await drained(connection, await order(connection, WARM_UP))
        for workflow, tasks, what, times in (("chain", CHAIN_TASKS, "chain of 40 × fibo(10)", 20), ("fan", FAN_TASKS, "1 → 1,000 → 1", 9)):
            taken = [await _run(connection, workflow, tasks) for _ in range(times)]
            of_raw = ground.raw[workflow] / median(taken) if workflow in ground.raw else None
            note = f"registered to finished, median of {times}; {min(taken):.0f} to {max(taken):.0f} ms"
            yield Figure(what, median(taken), "ms", workflow, of_raw, note)


async def _run(connection: Connection, workflow: str, tasks: int) -> float:
    flow = await connection.fetchval("SELECT flower_register($1)", workflow)
    await asyncio.sleep(_LOOK_AGAIN_SECONDS)
    while await connection.fetchval("SELECT count(*) FROM kr_task_stat WHERE task_flow_id = $1 AND exec_status = 3", flow) < tasks:
        await asyncio.sleep(_LOOK_AGAIN_SECONDS)
    return float(await connection.fetchval(statement("took"), flow))
