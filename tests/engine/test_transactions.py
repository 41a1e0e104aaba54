"""context().transaction(): what a task writes is committed with its outcome, or never was."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator

import pytest

from flower import context
from flower.core.errors import NotInTask
from flower.core.model import Claim
from flower.database.pool import Connection
from flower.sdk.context import CURRENT, Context
from tests.engine.living import NO_PROBE_SECONDS, define, ended, insert, living, set_by_hand, set_within, stands, start, until


@pytest.fixture(autouse=True)
async def accounts(connection: Connection) -> AsyncIterator[None]:
    await connection.execute("CREATE TABLE accounts (who text)")
    yield
    await connection.execute("DROP TABLE accounts")


async def booked(connection: Connection) -> list[str]:
    return [row["who"] for row in await connection.fetch("SELECT who FROM accounts ORDER BY 1")]


async def book(who: str) -> None:
    async with context().transaction() as own:
        await own.execute("INSERT INTO accounts VALUES ($1)", who)


class Stubborn:
    """A task whose first attempt writes and goes on, also if it is cancelled, until it may end."""

    def __init__(self) -> None:
        self.written, self.go_on, self.times = asyncio.Event(), asyncio.Event(), 0

    async def first(self) -> int:
        self.times += 1
        attempt = self.times
        await book(f"attempt {attempt}")
        self.written.set()
        if attempt == 1:
            try:
                await self.go_on.wait()
            except asyncio.CancelledError:
                await self.go_on.wait()
        return attempt


async def test_it_is_seen_with_the_outcome_and_not_before_and_the_next_task_runs(database_url: str, connection: Connection) -> None:
    written, go_on = asyncio.Event(), asyncio.Event()

    async def first() -> str:
        await book("one")
        await book("two")
        written.set()
        await go_on.wait()
        return "booked"

    async def second() -> None: ...

    await define(connection, "w", ("first", None), ("second", None))
    async with living(database_url, first, second, probe_seconds=NO_PROBE_SECONDS):
        flow = await start(connection, "w")
        await set_within(written)
        assert await booked(connection) == []
        go_on.set()
        tasks = await ended(connection, flow)
    assert [(task["status"], task["result"]) for task in tasks] == [(3, '"booked"'), (3, "null")]
    assert await booked(connection) == ["one", "two"]


async def test_if_the_function_raises_nothing_was_written(database_url: str, connection: Connection) -> None:
    async def first() -> None:
        await book("one")
        raise ValueError("no")

    async with living(database_url, first):
        await insert(connection, "first")
        (task,) = await stands(connection, 2)
    assert "ValueError" in task["error"]
    assert await booked(connection) == []


async def test_a_statement_that_fails_fails_the_task_also_if_the_function_goes_on(database_url: str, connection: Connection) -> None:
    async def first() -> None:
        try:
            async with context().transaction() as own:
                await own.execute("INSERT INTO no_such_table VALUES (1)")
        except Exception:  # noqa: BLE001 - a user who looks away
            pass
        await asyncio.sleep(0)

    async with living(database_url, first):
        await insert(connection, "first")
        (task,) = await stands(connection, 2)
    assert "InFailedSQLTransaction" in task["error"]


async def test_of_a_task_that_was_taken_away_meanwhile_nothing_was_written(database_url: str, connection: Connection) -> None:
    work = Stubborn()
    async with living(database_url, work.first):
        await insert(connection, "first")
        await set_within(work.written)
        await set_by_hand(connection, 1, 0)
        (task,) = await stands(connection, 3)
        work.go_on.set()
        await asyncio.sleep(0.3)
    assert task["result"] == "2"
    assert await booked(connection) == ["attempt 2"]


async def test_when_its_session_ends_the_task_goes_back_and_writes_once(database_url: str, connection: Connection) -> None:
    work = Stubborn()
    async with living(database_url, work.first):
        await insert(connection, "first")
        await set_within(work.written)
        await connection.fetch("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'flower/%/task'")
        work.go_on.set()
        (task,) = await stands(connection, 3)
    assert (task["result"], task["tries"]) == ("2", 1)
    assert await booked(connection) == ["attempt 2"]


async def test_a_hundred_tasks_write_once_each(database_url: str, connection: Connection) -> None:
    async def first() -> None:
        await book(context().key)

    async with living(database_url, first, slots=20):
        await insert(connection, "first", count=100)
        await ended(connection, seconds=20)
    assert len(await booked(connection)) == len(set(await booked(connection))) == 100


async def test_where_no_engine_runs_the_task_there_is_none() -> None:
    token = CURRENT.set(Context(Claim("f", 1, "w", "n", "p", "{}", 1, None)))  # type: ignore[arg-type]
    with pytest.raises(NotInTask):
        await book("x")
    CURRENT.reset(token)


# How far it is


async def test_progress_is_seen_while_the_task_runs_from_threads_too_and_is_gone_with_the_next_attempt(
    database_url: str, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flower.engine.worker._TELL_SECONDS", 0.05)
    go_on = threading.Event()

    def first() -> None:
        for done in range(1, 4):
            context().progress(done, 10)
        go_on.wait(10)

    select = "SELECT progress FROM flower_tasks"

    async def is_said() -> bool:
        return bool(await connection.fetchval(select))

    async with living(database_url, first):
        await insert(connection, "first")
        await until(is_said)
        assert json.loads(await connection.fetchval(select)) == {"done": 3, "total": 10}
        go_on.set()
        await stands(connection, 3)
        await set_by_hand(connection, 1, 0)
        await stands(connection, 3)
    with pytest.raises(ValueError, match="finite"):
        Context(Claim("f", 1, "w", "n", "p", "{}", 1, None)).progress(float("nan"))  # type: ignore[arg-type]
