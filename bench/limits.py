"""What limits cost: drains through a limit divided by the same drains without, and how soon the next one is let in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from statistics import median

from bench.engine import SLOTS, WARM_UP, drained, order
from bench.ground import Ground, session
from bench.report import Figure
from bench.served import serving
from bench.workflows import statement
from flower.database.pool import Connection

_TIMES = 3
_KEYS, _PER_KEY = 10_000, 100
_LOOK_AGAIN_SECONDS = 0.1
_RATE = """
    WITH one AS (SELECT started_ts, finished_ts FROM kr_task_stat WHERE task_id = $1 AND exec_status = 3 ORDER BY finished_ts LIMIT $2)
    SELECT count(*) / extract(epoch FROM max(finished_ts) - min(started_ts)) FROM one
"""


async def measure(ground: Ground) -> AsyncIterator[Figure]:
    """Yield the ratios of drains in one process, and how long a free slot stays free."""
    count = 5_000 if ground.is_quick else 30_000
    async with ground.database("limits") as url, session(url) as connection, serving(*SLOTS, "bench.tasks", database=url, folder=ground.folder):
        await drained(connection, await order(connection, WARM_UP))
        yield await _never_full(connection, count)
        yield await _releases(connection, 100 if ground.is_quick else 500)
        yield await _tenants(connection, 5_000 if ground.is_quick else 100_000)
    async with ground.database("keys") as url, session(url) as connection, serving(*SLOTS, "bench.tasks", database=url, folder=ground.folder):
        yield await _keys(connection, count, is_quick=ground.is_quick)
    async with ground.database("full_limit") as url, session(url) as connection, serving(*SLOTS, "bench.tasks", database=url, folder=ground.folder):
        yield await _behind(connection, count, 50_000 if ground.is_quick else 1_000_000)


async def _never_full(connection: Connection, count: int) -> Figure:
    await connection.execute("INSERT INTO ms_limit (name, slots) VALUES ('key:1', 1000000000)")
    pairs = []
    for number in range(_TIMES):
        without = (await drained(connection, await order(connection, count))).per_second
        pairs.append((await _through(connection, f"limited {number}", count), without))
    return _ratio("through one limit that never fills ÷ without", "limited", pairs, f"{count} tasks")


async def _keys(connection: Connection, count: int, *, is_quick: bool) -> Figure:
    keys = 1_000 if is_quick else _KEYS
    await connection.execute("INSERT INTO ms_limit (name, slots) VALUES ('key:*', 0)")
    await drained(connection, await order(connection, WARM_UP))
    without = (await drained(connection, await order(connection, count))).per_second
    await connection.execute(statement("limited"), keys * _PER_KEY, keys, "keyed")
    await _settle(connection)
    await connection.execute("UPDATE ms_limit SET slots = 1")
    rate = await _rate(connection, "keyed", count)
    return _ratio(
        "through a limit of 1 per key ÷ without", "keyed", [(rate, without)], f"{keys:,} keys of {_PER_KEY} tasks, the first {count} of them"
    )


async def _behind(connection: Connection, count: int, waiting: int) -> Figure:
    await connection.execute("INSERT INTO ms_limit (name, slots) VALUES ('key:1', 0)")
    await drained(connection, await order(connection, WARM_UP))
    without = [(await drained(connection, await order(connection, count))).per_second for _ in range(_TIMES)]
    await connection.execute(statement("limited"), waiting, 1, "behind")
    await _settle(connection)
    beside = [(await drained(connection, await order(connection, count))).per_second for _ in range(_TIMES)]
    return _ratio(
        f"beside {waiting:,} tasks behind a full limit ÷ without", "behind a limit", list(zip(beside, without, strict=True)), f"{count} tasks"
    )


async def _releases(connection: Connection, times: int) -> Figure:
    await connection.execute("UPDATE ms_limit SET slots = 1")
    await _through(connection, "released", times)
    taken = await connection.fetchval(statement("releases"), "released")
    return Figure("a limit of 1: from the end of one task to the start of the next, p50", median(taken), "ms", "release", note=f"{times} no-op tasks")


async def _tenants(connection: Connection, many: int) -> Figure:
    """Let one key have *many* tasks and another one at a time."""
    await connection.execute("DELETE FROM ms_limit; INSERT INTO ms_limit (name, slots) VALUES ('key:*', 1000)")
    await connection.execute("INSERT INTO ms_task_definition (task_id, task_seq, program, limits) VALUES ('small', 1, 'noop', '{key:small}')")
    await connection.execute(statement("limited"), many, 1, "big")
    await connection.execute("SELECT pg_notify('flower', '')")
    taken = []
    for _ in range(20):
        await asyncio.sleep(_LOOK_AGAIN_SECONDS)
        flow = await connection.fetchval("SELECT flower_register('small')")
        while (
            row := await connection.fetchrow(
                "SELECT started_ts - registered_ts AS waited FROM kr_task_stat WHERE task_flow_id = $1 AND exec_status = 3", flow
            )
        ) is None:
            await asyncio.sleep(_LOOK_AGAIN_SECONDS / 10)
        taken.append(row["waited"].total_seconds() * 1000)
        if not await connection.fetchval("SELECT EXISTS (SELECT FROM kr_task_stat WHERE exec_status = 0 AND gate = 'limit')"):
            break
    return Figure(
        f"one key has {many:,} tasks: another's single task waits, p50", median(taken), "ms", note=f"{len(taken)} of them, worst {max(taken):.0f} ms"
    )


async def _settle(connection: Connection) -> None:
    """Be done with what PostgreSQL does after very many rows came."""
    await connection.execute("VACUUM ANALYZE")
    await connection.execute("CHECKPOINT")


async def _through(connection: Connection, workflow: str, count: int) -> float:
    """Have *count* tasks run that wait for one limit, and return how many ran in a second."""
    await connection.execute(statement("limited"), count, 1, workflow)
    await connection.execute("SELECT pg_notify('flower', '')")
    return await _rate(connection, workflow, count)


async def _rate(connection: Connection, workflow: str, most: int) -> float:
    """Wait for *most* tasks of *workflow*, and return how many ran in a second."""
    done = "SELECT count(*) FROM (SELECT FROM kr_task_stat WHERE task_id = $1 AND exec_status = 3 LIMIT $2) t"
    while await connection.fetchval(done, workflow, most) < most:
        await asyncio.sleep(_LOOK_AGAIN_SECONDS * 5)
    return float(await connection.fetchval(_RATE, workflow, most))


def _ratio(what: str, budget: str, pairs: list[tuple[float, float]], note: str) -> Figure:
    rates = " · ".join(f"{rate:,.0f} / {without:,.0f}" for rate, without in pairs)
    return Figure(what, median(rate / without for rate, without in pairs), "", budget, note=f"{note}, one process; {rates}")
