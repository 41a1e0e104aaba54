"""Schedules: 10,000 that are due in one minute, and what 10,000 cost a process that has nothing to do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from time import perf_counter

from bench.effort import cpu_seconds
from bench.engine import SLOTS
from bench.ground import Ground, session
from bench.report import Figure
from bench.served import serving
from bench.workflows import add_waiting, statement
from flower.database.pool import Connection

_SETTLE_SECONDS = 3.0
# Between the writing of the rows and the first time: all lie there when it comes.
_AHEAD_SECONDS = 3.0
_PATIENCE_SECONDS = 100.0


async def measure(ground: Ground) -> AsyncIterator[Figure]:
    """Yield how late the last of many is whose times lie within one minute, or at one moment."""
    many = 2_000 if ground.is_quick else 10_000
    for seconds, budget in ((10.0 if ground.is_quick else 60.0, "schedules"), (0.0, None)):
        async with (
            ground.database("schedules") as url,
            session(url) as connection,
            serving(*SLOTS, "bench.tasks", database=url, folder=ground.folder) as served,
        ):
            used = cpu_seconds([served.process.pid])
            await connection.execute(statement("schedules"), many, seconds, _AHEAD_SECONDS)
            late, passed = await _late(connection, many, seconds)
            spent = (cpu_seconds([served.process.pid]) - used) / many * 1e6
        when = f"within {seconds:.0f} s" if seconds else "at one moment"
        note = f"one process, a flow of one task each, all made {passed:.1f} s after the first was due; per flow {spent:.0f} µs of CPU in Python"
        yield Figure(f"{many:,} schedules due {when}, the last is late by", late, "s", budget, note=note)


async def measure_idle(ground: Ground) -> AsyncIterator[Figure]:
    """Yield the CPU of an idle process beside many schedules and tasks whose time has not come, without that of one beside none."""
    many = 2_000 if ground.is_quick else 10_000
    async with ground.database("schedules") as url, session(url) as connection:
        shares = []
        for count, flows in ((0, 0), (many, 100 * many)):
            await connection.execute(statement("schedules"), count, 1e7, 1e7)
            await add_waiting(connection, flows)
            await connection.execute("VACUUM ANALYZE")
            await connection.execute("CHECKPOINT")
            shares.append(await _idle(ground, url))
        note = f"{shares[1]:.2f} % of one core beside them, {shares[0]:.2f} % beside none"
        what = f"{many:,} schedules and {100 * many:,} future tasks beside an idle process: CPU"
        yield Figure(what, max(shares[1] - shares[0], 0), "%", "idle schedules", note=note)


async def _late(connection: Connection, many: int, seconds: float) -> tuple[float, float]:
    began, made = perf_counter(), 0
    await asyncio.sleep(_AHEAD_SECONDS + seconds)
    while perf_counter() - began < _PATIENCE_SECONDS:
        row = await connection.fetchrow(statement("fired"))
        made = row["made"] if row else 0
        if row and made >= many:
            return row["late"], perf_counter() - began - _AHEAD_SECONDS
        await asyncio.sleep(0.2)
    raise RuntimeError(f"of {many} schedules only {made} have fired")


async def _idle(ground: Ground, url: str) -> float:
    seconds = 5.0 if ground.is_quick else 20.0
    async with serving("bench.tasks", database=url, folder=ground.folder) as served:
        await asyncio.sleep(_SETTLE_SECONDS)
        used, began = cpu_seconds([served.process.pid]), perf_counter()
        await asyncio.sleep(seconds)
        return (cpu_seconds([served.process.pid]) - used) / (perf_counter() - began) * 100
