"""Signals and the processes that take them up: none alive, killed, restarted, rung by the bell alone."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

from flower.database.pool import Connection
from tests.engine.living import NO_PROBE_SECONDS, living, until
from tests.engine.processes import SHORT, Process
from tests.sql.engine import write


async def written(connection: Connection, flow: str, **parameters: object) -> None:
    """Write a step that waits for a signal, and a task after it."""
    await write(connection, flow, 1, program="WaitForSignal", parameters=json.dumps({"name": "go", "key": flow, **parameters}))
    await write(connection, flow, 2, 1, program="short")


async def over(connection: Connection, flow: str) -> bool:
    return bool(await connection.fetchval("SELECT bool_and(exec_status = 3) FROM kr_task_stat WHERE task_flow_id = $1", flow))


async def waits(connection: Connection, flow: str) -> bool:
    return bool(await connection.fetchval("SELECT gate = 'signal' FROM kr_task_stat WHERE task_flow_id = $1 AND task_exec_seq = 1", flow))


async def test_nothing_but_the_bell_and_the_cycles_own_word_wakes_the_next_step(database_url: str, connection: Connection) -> None:
    began: list[float] = []

    async def short() -> None:
        began.append(time.monotonic())

    async with living(database_url, short, probe_seconds=NO_PROBE_SECONDS):
        await written(connection, "sent")
        await written(connection, "late", timeout=0.3, default=1)
        await until(lambda: waits(connection, "sent"))
        await connection.execute("SELECT flower_signal('go', 'sent')")
        await until(lambda: over(connection, "sent"))
        await until(lambda: over(connection, "late"))
    assert len(began) == 2


async def test_what_is_sent_while_no_worker_lives_is_taken_up_by_the_next_one(database_url: str, connection: Connection) -> None:
    async def short() -> None: ...

    await connection.execute("SELECT flower_signal('go', 'early')")
    async with living(database_url, short):
        await written(connection, "waits")
        await until(lambda: waits(connection, "waits"))
    await connection.execute("SELECT flower_signal('go', 'waits')")
    await written(connection, "early")

    async with living(database_url, short):
        await until(lambda: over(connection, "waits"))
        await until(lambda: over(connection, "early"))


async def test_signals_sent_while_workers_are_killed_again_and_again_are_each_taken_once(
    database_url: str, connection: Connection, tmp_path: Path
) -> None:
    processes = [Process(tmp_path, database_url, settings=SHORT) for _ in range(2)]
    try:
        for process in processes:
            await process.begun()
        for number in range(60):
            await written(connection, f"f{number}")
        for number in range(60):
            await connection.execute("SELECT flower_signal('go', $1, $2)", f"f{number}", str(number))
            if number % 20 == 10:
                processes[0].send(signal.SIGKILL)
                await processes[0].ended()
                processes[0] = Process(tmp_path, database_url, settings=SHORT)
                await processes[0].begun()
        await until(lambda: connection.fetchval("SELECT bool_and(exec_status = 3) FROM kr_task_stat"), seconds=20)
    finally:
        for process in processes:
            process.kill()

    results = await connection.fetch("SELECT task_flow_id, result, attempt FROM kr_task_stat WHERE task_exec_seq = 1")
    assert {(row["task_flow_id"], row["result"], row["attempt"]) for row in results} == {(f"f{number}", str(number), 1) for number in range(60)}
    assert await connection.fetchval("SELECT count(*) FROM kr_signal") == 0
