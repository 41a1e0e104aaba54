"""What failing, recovering and talking cost: a line per task, incidents over many failures, the rerun of a large flow."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable
from statistics import median
from time import perf_counter

from bench.engine import SLOTS, WARM_UP, drained, order
from bench.ground import Ground, session
from bench.report import Figure
from bench.served import serving
from bench.workflows import statement
from flower.database.pool import Connection, Pool
from flower.database.store import Store

_TIMES = 3
_TASKS = 10_000


async def measure(ground: Ground) -> AsyncIterator[Figure]:
    """Yield how much of the drain is left where each task says a line, and how long incidents and a rerun take."""
    count = 10_000 if ground.is_quick else 30_000
    async with ground.database("talk") as url, session(url) as connection:
        async with serving(*SLOTS, "bench.tasks", database=url, folder=ground.folder):
            pairs = [(await _rate(connection, count, "speak"), await _rate(connection, count, "noop")) for _ in range(_TIMES)]
        kept = await connection.fetchval("SELECT count(*) FROM kr_task_log")
        if kept != (count + WARM_UP) * _TIMES:
            raise RuntimeError(f"{kept} lines were kept of {(count + WARM_UP) * _TIMES}")
    rates = " · ".join(f"{with_:,.0f} / {without:,.0f}" for with_, without in pairs)
    yield Figure(
        "a line said by each task ÷ none",
        median(one / other for one, other in pairs),
        "",
        "talk",
        note=f"{count} tasks that print, by turns: {rates}",
    )
    async with ground.database("failed") as url, session(url) as connection, Pool(url, role="api") as pool:
        await connection.execute(statement("suspended"), 100_000)
        await connection.execute("VACUUM ANALYZE kr_task_stat")
        taken = [await _timed(Store(pool).incidents.list()) for _ in range(_TIMES)]
        yield Figure("incidents over 100,000 suspended tasks", median(taken), "ms", "incidents", note=f"fifty of them; median of {_TIMES}")
    async with ground.database("wide") as url, session(url) as connection, Pool(url, role="api") as pool:
        await connection.execute(statement("wide"), _TASKS)
        flow = await connection.fetchval("SELECT flower_register('wide')")
        taken = []
        for _ in range(_TIMES):
            await connection.execute(
                "UPDATE kr_task_stat SET exec_status = 3, attempt = attempt + 1, gate = NULL, claim_id = gen_random_uuid() WHERE task_flow_id = $1",
                flow,
            )
            taken.append(await _timed(Store(pool).verbs.rerun(flow, {"from": 1})))
        yield Figure(f"rerun of a flow of {_TASKS:,} tasks", median(taken), "ms", "rerun", note=f"all of it, from its root; median of {_TIMES}")


async def _rate(connection: Connection, count: int, program: str) -> float:
    await drained(connection, await order(connection, WARM_UP, program))
    return (await drained(connection, await order(connection, count, program))).per_second


async def _timed(work: Awaitable[object]) -> float:
    began = perf_counter()
    await work
    return (perf_counter() - began) * 1000
