"""The faults, by name. Each says what it does to whom, and within what time work must go on."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flower.database.cluster import Cluster
from flower.database.pool import connect
from tests.engine.living import until
from tests.faults.field import Field, server, small_server
from tests.faults.newer import newer_flower

Act = Callable[[Field], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Fault:
    """*row*: its number in the matrix. *again*: whether tasks may run more often than once. *restart*, *resume*: seconds, at the real pace, from
    the fault to the next start of whatever it met, and from its end to the next end of any task; None: nothing is promised.
    """

    name: str
    row: int
    what: str
    act: Act
    again: bool
    restart: float | None
    resume: float | None
    server: Callable[[], AbstractAsyncContextManager[Cluster]] = server


FAULTS: dict[str, Fault] = {}


def fault(row: int, what: str, *, again: bool = False, **more: Any) -> Callable[[Act], Act]:
    def keep(act: Act) -> Act:
        name = act.__name__
        FAULTS[name] = Fault(name, row, what, act, again, more.pop("restart", None), more.pop("resume", None), **more)
        return act

    return keep


async def _hold(field: Field, count: int = 50, real_seconds: float = 60) -> None:
    """Have *count* tasks running that last, at their first attempt, until the fault is over."""
    flows = [await field.load.one("long", {"seconds": field.seconds(real_seconds) + 5}) for _ in range(count)]
    await until(
        lambda: field.pool.fetchval("SELECT count(*) >= $2 FROM kr_task_stat WHERE task_flow_id = ANY ($1) AND exec_status = 1", flows, count),
        seconds=30,
    )


async def _old_enough(field: Field) -> None:
    """While the server is younger than 15 s, a session that is missing proves nothing."""
    await until(lambda: field.pool.fetchval("SELECT clock_timestamp() - pg_postmaster_start_time() > interval '16 s'"), seconds=20)


@fault(1, "`kill -9` of one of three processes, 50 tasks running", again=True, restart=10)
async def kill(field: Field) -> None:
    await _old_enough(field)
    async with field.at_work():
        await _hold(field)
        victim = field.any()
        async with field.mark(victim):
            field.kill(victim)
        await field.start()


@fault(1, "the same through a route, where the server sees the end of the session too", again=True, restart=10)
async def kill_routed(field: Field) -> None:
    await _old_enough(field)
    async with field.at_work(routed=True):
        await _hold(field)
        victim = field.any()
        async with field.mark(victim):
            field.kill(victim)


@fault(2, "`kill -9` of all processes, two new ones at once", again=True, restart=42)
async def kill_all(field: Field) -> None:
    async with field.at_work():
        await _hold(field)
        async with field.mark(*field.workers):
            for process in list(field.workers):
                field.kill(process)
            for _ in range(2):
                await field.start()
            await field.begun()


@fault(3, "SIGSTOP of one process for 5 s", resume=1)
async def pause(field: Field) -> None:
    async with field.at_work():
        await _hold(field, 20)
        victim = field.any()
        async with field.mark(victim):
            victim.send(signal.SIGSTOP)
            await asyncio.sleep(field.seconds(5))
            victim.send(signal.SIGCONT)


@fault(4, "SIGSTOP of one process for 75 s; then it wakes", again=True, restart=40)
async def zombie(field: Field) -> None:
    async with field.at_work():
        await _hold(field, 20, real_seconds=90)
        victim = field.any()
        async with field.mark(victim):
            victim.send(signal.SIGSTOP)
            await asyncio.sleep(field.seconds(75))
            victim.send(signal.SIGCONT)
        await until(lambda: len(victim.said("worker.began")) == 2, seconds=10)
        field.notes["refused"] = len(victim.said("task.result_refused"))
        field.notes["new worker ids"] = len(victim.said("worker.began")) - 1


@fault(5, "SIGTERM of one process after the other, 20 times, a new one each time", resume=1)
async def sigterm(field: Field) -> None:
    async with field.at_work():
        async with field.mark():
            for _ in range(20):
                await field.start()
                await field.begun()
                victim = field.any()
                await asyncio.sleep(field.rng.uniform(0, 0.3))
                victim.send(signal.SIGTERM)
                await until(lambda: not victim.is_running, seconds=40)  # noqa: B023 - answered before the next turn
                assert await victim.ended() == 0
        field.notes["suspects"] = await field.pool.fetchval("SELECT count(*) FROM kr_task_stat WHERE crashes > 0")


@fault(6, "rolling restart: each process follows the one before it, for 60 s", resume=1)
async def rolling(field: Field) -> None:
    async with field.at_work(), field.mark():
        end = asyncio.get_running_loop().time() + field.seconds(60)
        while asyncio.get_running_loop().time() < end:
            for victim in [process for process in field.workers if process.is_running]:
                await field.start()
                await field.begun()
                victim.send(signal.SIGTERM)
                assert await victim.ended(seconds=40) == 0


@fault(7, "`pg_terminate_backend` of a session of Flower's, 5 a second for 30 s", resume=2)
async def backends(field: Field) -> None:
    async with field.at_work(), field.mark():
        for _ in range(int(field.seconds(30) * 5)):
            await field.pool.execute("""
                SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                WHERE datname = current_database() AND application_name LIKE 'flower/_%-%/%' ORDER BY random() LIMIT 1""")
            await asyncio.sleep(0.2)


@fault(8, "restart of PostgreSQL, fast", resume=5)
async def restart(field: Field) -> None:
    async with field.at_work(), field.mark():
        await field.restart()


@fault(9, "crash of PostgreSQL (immediate), then `kill -9` of one of its backends", resume=5)
async def crash(field: Field) -> None:
    async with field.at_work():
        async with field.mark():
            await field.crash()
        await asyncio.sleep(field.seconds(20))
        async with field.mark():
            pid = await field.pool.fetchval(
                "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE '%/engine' LIMIT 1"
            )
            witness = await connect(field.url, role="test")
            os.kill(pid, signal.SIGKILL)
            # The server ends all its sessions when it sees that one died; until then it still answers.
            await until(witness.is_closed, seconds=20)
            await until(lambda: _answers(field), seconds=20)


async def _answers(field: Field) -> bool:
    try:
        connection = await connect(field.url, role="test")
    except Exception:  # noqa: BLE001 - whatever it says, it is not back
        return False
    await connection.close()
    return True


@fault(10, "PostgreSQL down for 60 s", again=True, resume=10)
async def down(field: Field) -> None:
    async with field.at_work():
        await _hold(field, 20)
        async with field.mark(*field.workers):
            await field.restart(pause=field.seconds(60))


@fault(11, "1 of 50 answers to a committed transaction is lost, for 30 s", resume=2)
async def commit(field: Field) -> None:
    async with field.at_work(routed=True):
        async with field.mark():
            for route in field.routes:
                route.cuts = 1 / 50
            await asyncio.sleep(max(3, field.seconds(30)))
            for route in field.routes:
                route.cuts = 0
        field.notes["answers lost"] = sum(route.lost_answers for route in field.routes)


@fault(12, "one process is cut off without a word for 40 s", again=True, restart=40)
async def half_open(field: Field) -> None:
    async with field.at_work(routed=True):
        await _hold(field, 20)
        async with field.mark(field.workers[0]):
            field.routes[0].passes.clear()
            await asyncio.sleep(field.seconds(40))
            field.routes[0].passes.set()


@fault(13, "every listener is cut off without a word for 30 s", resume=5)
async def deaf(field: Field) -> None:
    async with field.at_work(routed=True), field.mark():
        for route in field.routes:
            route.roles = frozenset({"listener"})
            route.passes.clear()
        await asyncio.sleep(max(3, field.seconds(30)))
        for route in field.routes:
            route.passes.set()


@fault(14, "no notification arrives for 30 s", resume=5)
async def notify(field: Field) -> None:
    async with field.at_work(routed=True), field.mark():
        for route in field.routes:
            route.drops = b"A"
        await asyncio.sleep(field.seconds(30))
        for route in field.routes:
            route.drops = b""


@fault(15, "each message 200 ms late, each way, and 1 % of them 3 s, for 30 s")
async def slow(field: Field) -> None:
    async with field.at_work(routed=True), field.mark():
        for route in field.routes:
            route.delay = lambda: field.seconds(3) if field.rng.random() < 0.01 else 0.2
        await asyncio.sleep(field.seconds(30))
        for route in field.routes:
            route.delay = None


@fault(16, "the server takes no writes for 30 s, as after a failover to a standby", again=True, resume=5)
async def read_only(field: Field) -> None:
    async with field.at_work(), field.mark():
        admin = await connect(field.cluster.url, role="test")
        for state in ("on", "off"):
            await admin.execute(f"ALTER SYSTEM SET default_transaction_read_only = {state}")
            await admin.execute("SELECT pg_reload_conf()")
            await asyncio.sleep(field.seconds(30) if state == "on" else 0)
            await admin.execute("SET default_transaction_read_only = off")
        await admin.close()


@fault(17, "an `async def` task blocks the loop for 90 s", resume=1)
async def blocked(field: Field) -> None:
    async with field.at_work():
        async with field.mark():
            flow = await field.load.one("block", {"seconds": field.seconds(90)})
            await until(
                lambda: field.pool.fetchval("SELECT exec_status = 3 FROM kr_task_stat WHERE task_flow_id = $1", flow), seconds=field.seconds(90) + 20
            )
        field.notes["attempts"] = await field.pool.fetchval("SELECT attempt FROM kr_task_stat WHERE task_flow_id = $1", flow)
        field.notes["named"] = sum(len(process.said("loop.blocked")) for process in field.workers)


@fault(18, "a task that ends its process by SIGSEGV; the process is started again each time", again=True)
async def poison(field: Field) -> None:
    field.may_stay_suspended = frozenset({"deadly"})
    async with field.at_work(), field.mark(*field.workers):
        flow = await field.load.one("deadly", priority=-20)
        while not await field.pool.fetchval("SELECT exec_status = 2 FROM kr_task_stat WHERE task_flow_id = $1", flow):
            if sum(process.is_running for process in field.workers) < 3:
                await field.start()
            await asyncio.sleep(0.1)
        field.notes["losses"] = await field.pool.fetchval("SELECT crashes FROM kr_task_stat WHERE task_flow_id = $1", flow)
        field.notes["most crashes of a neighbour"] = await field.pool.fetchval("SELECT max(crashes) FROM kr_task_stat WHERE program <> 'deadly'")


@fault(20, "the disk of PostgreSQL is full for 30 s", resume=30, server=small_server)
async def disk_full(field: Field) -> None:
    async with field.at_work(), field.mark():
        filler = field.cluster.folder.parent / "filler"
        await asyncio.to_thread(fill, filler)
        await asyncio.sleep(max(5, field.seconds(30)))
        field.notes["refused"] = not await field.can_write()
        filler.unlink()
        await until(field.can_write, seconds=40)


def fill(filler: Path) -> None:
    """Write into *filler* until nothing goes in any more, and once more: the server frees a little meanwhile."""
    with filler.open("wb", buffering=0) as file:
        for _ in range(20):
            try:
                while True:
                    file.write(bytes(2**16))
            except OSError:
                time.sleep(0.1)


@fault(
    21,
    "a newer release migrates (a column, an index) while three older processes work and a reader holds its lock 3 s; an old one is restarted",
    resume=1,
)
async def migration(field: Field) -> None:
    reader = await connect(field.url, role="test")
    async with field.at_work():
        older = list(field.workers)
        async with field.mark():
            async with reader.transaction():
                await reader.fetchval("SELECT count(*) FROM kr_task_stat")
                newer = await field.start(path=newer_flower(field.folder))
                await asyncio.sleep(3)
            await newer.begun()
        assert await field.pool.fetchval("SELECT EXISTS (SELECT FROM kr_schema WHERE name = '9000_harness')")
        assert all(process.is_running for process in older)
        field.notes["longest gap between two ends, s"] = field.longest_gap()
        restarted = await field.start()
        field.notes["the old one ends with"] = await restarted.ended(seconds=20)
        for process in older:
            process.send(signal.SIGTERM)
            assert await process.ended(seconds=40) == 0
    await reader.close()


@fault(23, "a snapshot is held open for 120 s", resume=1)
async def snapshot(field: Field) -> None:
    other = await connect(field.url, role="test")
    async with field.at_work(), field.mark(), other.transaction(isolation="repeatable_read", readonly=True):
        await other.fetchval("SELECT count(*) FROM kr_task_stat")
        await asyncio.sleep(field.seconds(120))
    await other.close()


@fault(24, "one task in ten returns or raises what no database wants", resume=1)
async def hostile(field: Field) -> None:
    field.may_stay_suspended = frozenset({"hostile"})
    async with field.at_work(hostile_part=0.1), field.mark():
        await asyncio.sleep(field.seconds(30))
    field.notes["hostile"] = await field.pool.fetchval("SELECT count(*) FROM kr_task_stat WHERE program = 'hostile'")


@fault(25, "a million tasks wait when the process starts")
async def backlog(field: Field) -> None:
    count = int(1_000_000 * field.pace.scale)
    await field.execute(
        """
        INSERT INTO kr_task_stat (task_flow_id, task_exec_seq, depends_task_exec_seq, task_id, task_seq, exec_status, parameters, name, program)
        SELECT 'backlog ' || n, 1, -1, 'by hand', 1, 0, '{}', 'light', 'light' FROM generate_series(1, $1::integer) n""",
        count,
    )
    before = time.monotonic()
    process = await field.start("--concurrency", "100")
    await process.begun()
    memory = process.memory()
    began = time.monotonic()
    while not await field.pool.fetchval("SELECT EXISTS (SELECT FROM ended)"):
        await asyncio.sleep(0.01)
    field.notes["first end after the start of the process, s"] = round(time.monotonic() - before, 2)
    field.notes["after it was ready, s"] = round(time.monotonic() - began, 2)
    most = memory
    while await field.pool.fetchval("SELECT EXISTS (SELECT FROM kr_task_stat WHERE exec_status IN (0, 1))"):
        most = max(most, process.memory())
        await asyncio.sleep(0.25)
    field.notes["tasks/s"] = round(count / (time.monotonic() - began))
    field.notes["memory grew by, MiB"] = round(most - memory)
