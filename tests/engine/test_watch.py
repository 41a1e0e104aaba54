"""Who blocks the loop is named: its task, and the line of user code, in the log and in the record of the task."""

from __future__ import annotations

import asyncio
import json
import subprocess
import time
from collections.abc import Sequence
from typing import Any

from structlog.testing import capture_logs

from flower.database.pool import Connection
from tests.engine.living import insert, living, rows, stands, until

Logs = Sequence[Any]
# Long enough to be named, and long enough to be named and tried again.
BLOCKED_SECONDS = 1.7
LONG_SECONDS = 2.7


def of(event: str, logs: Logs) -> list[Any]:
    return [log for log in logs if log["event"] == event]


async def test_a_blocker_is_named_by_the_line_of_user_code_that_called_the_library(database_url: str, connection: Connection) -> None:
    async def calls() -> None:
        subprocess.run(["sleep", str(BLOCKED_SECONDS)], check=True)  # noqa: ASYNC221 - this is the fault

    async with living(database_url, calls):
        with capture_logs() as logs:
            await insert(connection, "calls")
            (task,) = await stands(connection, 3)
            await until(lambda: of("loop.free", logs))
    (blocked,) = of("loop.blocked", logs)
    assert (blocked["flow"], blocked["seq"], blocked["program"]) == ("hand", "1", "calls")
    assert blocked["where"].startswith(f"{__file__}:{calls.__code__.co_firstlineno + 1} in ")
    notice = json.loads(task["notice"])
    assert (notice["type"], notice["where"]) == ("LoopBlocked", blocked["where"])
    assert "plain def" in notice["message"]


async def test_a_notice_stays_after_the_end_and_goes_when_the_next_attempt_begins(database_url: str, connection: Connection) -> None:
    again = asyncio.Event()

    async def blocks_once() -> None:
        if not again.is_set():
            again.set()
            time.sleep(BLOCKED_SECONDS)  # noqa: ASYNC251 - this is the fault

    async with living(database_url, blocks_once):
        await insert(connection, "blocks_once")
        (task,) = await stands(connection, 3)
        assert task["notice"] is not None
        await connection.execute("UPDATE kr_task_stat SET exec_status = 0")
        await until(lambda: connection.fetchval("SELECT attempt = 2 AND exec_status = 3 FROM kr_task_stat"))
        (task,) = await rows(connection)
        assert task["notice"] is None


async def test_of_several_that_block_one_after_another_each_is_named(database_url: str, connection: Connection) -> None:
    async def block() -> None:
        time.sleep(BLOCKED_SECONDS)  # noqa: ASYNC251 - this is the fault

    async with living(database_url, block):
        with capture_logs() as logs:
            await insert(connection, "block", count=3)
            tasks = await stands(connection, 3, 3, 3)
            await until(lambda: of("loop.free", logs))
    assert sorted(log["seq"] for log in of("loop.blocked", logs)) == ["1", "2", "3"]
    assert all(task["notice"] for task in tasks)


async def test_an_asyncio_task_of_the_users_own_is_named_by_its_place_only(database_url: str, connection: Connection) -> None:
    async def part() -> None:
        time.sleep(BLOCKED_SECONDS)  # noqa: ASYNC251 - this is the fault

    async def whole() -> None:
        await asyncio.create_task(part())

    async with living(database_url, whole):
        with capture_logs() as logs:
            await insert(connection, "whole")
            (task,) = await stands(connection, 3)
    (blocked,) = of("loop.blocked", logs)
    assert blocked["where"].startswith(f"{__file__}:{part.__code__.co_firstlineno + 1} in ")
    assert "flow" not in blocked
    assert task["notice"] is None


async def test_a_row_that_a_user_has_locked_is_not_waited_for(database_url: str, connection: Connection) -> None:
    locked = asyncio.Event()

    async def block() -> None:
        await locked.wait()
        time.sleep(LONG_SECONDS)  # noqa: ASYNC251 - this is the fault

    async with living(database_url, block) as worker:
        with capture_logs() as logs:
            await insert(connection, "block")
            await stands(connection, 1)
            async with connection.transaction():
                await connection.execute("SELECT FROM kr_task_stat FOR UPDATE")
                locked.set()
                await until(lambda: of("loop.free", logs))
            (task,) = await stands(connection, 3)
        assert len(worker.lives) == 1
    assert of("loop.blocked", logs)[0]["seq"] == "1"
    assert not of("notice.missed", logs)
    assert not of("beat.missed", logs)
    assert task["notice"] is None


async def test_a_trigger_of_a_user_that_takes_its_time_does_not_keep_the_beat_away(database_url: str, connection: Connection) -> None:
    await connection.execute("""
        CREATE FUNCTION linger() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN PERFORM pg_sleep(60); RETURN NEW; END$$;
        CREATE TRIGGER linger BEFORE UPDATE OF notice ON kr_task_stat FOR EACH ROW WHEN (NEW.notice IS NOT NULL) EXECUTE FUNCTION linger()""")

    async def block() -> None:
        time.sleep(2 * LONG_SECONDS)  # noqa: ASYNC251 - this is the fault

    async with living(database_url, block) as worker:
        with capture_logs() as logs:
            await insert(connection, "block")
            (task,) = await stands(connection, 3)
        assert len(worker.lives) == 1
    assert len(of("notice.missed", logs)) == 1
    assert (task["attempt"], task["notice"]) == (1, None)


async def test_a_loop_that_is_busy_and_not_blocked_is_not_named(database_url: str, connection: Connection) -> None:
    async def looks() -> None:
        end = time.monotonic() + BLOCKED_SECONDS
        while time.monotonic() < end:
            await asyncio.sleep(0)

    async with living(database_url, looks):
        with capture_logs() as logs:
            await insert(connection, "looks")
            await stands(connection, 3)
    assert not of("loop.blocked", logs)
