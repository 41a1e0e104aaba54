"""The bare SQL cycle: one connection calls kr_cycle, and nothing runs in between. What every other figure is compared with."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from decimal import Decimal
from statistics import median
from time import perf_counter
from typing import TypeAlias
from uuid import UUID, uuid4

import asyncpg

from bench.effort import cpu_seconds
from bench.ground import Ground, session
from bench.report import Figure
from bench.workflows import TASKS, add_noops
from flower.database.pool import Connection
from flower.database.queries import query

BATCH = 100
PROGRAMS = ("fibo", "noop", "stamp")
_FINISHED = 3
_LOOK_SECONDS = 0.05
_START_OVER_SECONDS = 1.0
_TIMES = 3


_Position: TypeAlias = "tuple[object, object, object, object]"
_START: _Position = (None, None, None, None)


async def enroll(connection: Connection) -> UUID:
    """Come to work without working: a row in kr_worker that names the programs."""
    worker = uuid4()
    await connection.execute(query("enroll"), worker, "bench", 1, "0", BATCH, list(PROGRAMS), ['{"takes": []}'] * len(PROGRAMS), 3600.0)
    return worker


async def leave(connection: Connection, worker: UUID) -> None:
    """Go home."""
    await connection.execute(query("leave"), worker, 0, 0, 0)


async def drain(connection: Connection, worker: UUID, total: int) -> float:
    """Claim and finish tasks in batches until *total* are finished, and return the seconds. Looks and starts over as often as the dispatcher."""
    held: list[asyncpg.Record] = []
    position = _START
    finished, look_at, start_over_at = 0, 0.0, 0.0
    began = perf_counter()
    while finished < total:
        now = perf_counter()
        look = now >= look_at
        if look:
            look_at = now + _LOOK_SECONDS
        if now >= start_over_at:
            position, start_over_at = _START, now + _START_OVER_SECONDS
        rows = await _cycle(connection, worker, held, look=look, position=position)
        finished += len(held)
        held = [row for row in rows if row["kind"] == "claimed"]
        position = max(map(_order, held)) if len(held) == BATCH else _START
    return perf_counter() - began


async def _cycle(connection: Connection, worker: UUID, held: Sequence[asyncpg.Record], *, look: bool, position: _Position) -> list[asyncpg.Record]:
    many, careful = len(held), False
    keys = [row["flow"] for row in held], [row["seq"] for row in held], [row["claim"] for row in held]
    values = [_FINISHED] * many, [None] * many, ["null"] * many, [0.0] * many, [False] * many
    return await connection.fetch(query("cycle"), worker, *keys, *values, BATCH, look, careful, *position)


def _order(row: asyncpg.Record) -> tuple[float, int, Decimal, str]:
    return row["run_order"], row["rank"], row["seq"], row["flow"]


async def measure(ground: Ground) -> AsyncIterator[Figure]:
    """Yield the yardstick: independent tasks, one chain, one fan."""
    count = 10_000 if ground.is_quick else 50_000
    async with ground.database("raw") as url, session(url) as connection:
        worker, server = await enroll(connection), [connection.get_server_pid()]
        seconds, efforts = [], []
        for _ in range(_TIMES):
            await add_noops(connection, count)
            used = cpu_seconds(server)
            seconds.append(await drain(connection, worker, count))
            efforts.append((cpu_seconds(server) - used) / count * 1e6)
        ground.raw["noop"] = count / median(seconds)
        note = f"{count} tasks, batches of {BATCH}, median of {_TIMES}; per task {median(efforts):.0f} µs of CPU in PostgreSQL"
        yield Figure("no-op tasks, raw SQL cycle", ground.raw["noop"], "/s", note=note)
        # Without the dead entries of the drains: what those cost is another figure's business.
        await connection.execute("VACUUM kr_task_stat")
        for workflow, what, times in (("chain", "chain of 40", 11), ("fan", "1 → 1,000 → 1", 5)):
            runs = [await _run(connection, worker, workflow, TASKS[workflow]) for _ in range(times)]
            registered, taken = median(run[0] for run in runs), median(run[1] for run in runs)
            ground.raw[workflow] = taken
            yield Figure(
                f"{what}, raw SQL cycle", taken, "ms", note=f"registered to finished, of it registration {registered:.1f} ms; median of {times}"
            )


async def _run(connection: Connection, worker: UUID, workflow: str, tasks: int) -> tuple[float, float]:
    """Run one flow; return the milliseconds of its registration, and of all of it."""
    began = perf_counter()
    await connection.execute("SELECT flower_register($1)", workflow)
    registered = perf_counter()
    await drain(connection, worker, tasks)
    return (registered - began) * 1000, (perf_counter() - began) * 1000
