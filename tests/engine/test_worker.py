"""One life of a worker: it comes, is silent while there is nothing to do, is given up for lost, and goes without taking anything along."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from contextlib import AsyncExitStack
from typing import Any

import pytest
from structlog.testing import capture_logs

from flower.database import listener, pool
from flower.database.pool import Connection, connect
from flower.database.queries import query
from tests.engine.living import LEASE, NO_PROBE_SECONDS, ended, insert, living, rows, set_within, stands, until


class Hold:
    """A task that runs until it is released or cancelled; `passes` from the second time on."""

    def __init__(self) -> None:
        self.entered, self.cancelled, self.release = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.passes = False

    async def hold(self) -> str:
        if self.passes:
            return "again"
        self.entered.set()
        try:
            await self.release.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return "released"


@pytest.fixture
def hold() -> Hold:
    return Hold()


async def test_a_worker_says_who_it_is_what_it_has_and_that_it_is_gone(database_url: str, connection: Connection) -> None:
    async def work(width: int, height: int = 3) -> None: ...

    async with living(database_url, work, slots=7) as worker:
        (row,) = await connection.fetch("SELECT * FROM kr_worker")
        assert (row["worker_id"], row["slots"], row["programs"], row["direct"]) == (worker.id, 7, ["work"], True)
        assert await connection.fetchval("SELECT lease_until - beat_ts FROM kr_worker") is not None
        assert [tuple(row) for row in await connection.fetch("SELECT program, takes FROM kr_program WHERE program = 'work'")] == [
            ("work", ["width", "height"])
        ]
        assert worker.life.state == "ok"
    assert await connection.fetchval("SELECT count(*) FROM kr_worker") == 0
    sessions = "SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name LIKE 'flower/' || $1 || '/%'"
    await until(lambda: connection.fetchval(sessions, str(worker.id)))


async def test_an_idle_worker_sends_nothing_but_beat_sweep_and_probe(
    database_url: str, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[str] = []

    async def spied(*values: Any, **named: Any) -> Connection:
        opened = await connect(*values, **named)
        opened.add_query_logger(lambda record: sent.append(record.query))
        return opened

    async def work() -> None: ...

    for module in (pool, listener):
        monkeypatch.setattr(module, "connect", spied)
    async with living(database_url, work, probe_seconds=0.8) as worker:  # on a busy machine its echo may take as long
        await insert(connection, "work")
        await stands(connection, 3)
        await until(lambda: worker.life._listener.state == "ok" and len(sent) > 20)
        await until(lambda: all(lane._rest_until is None for lane in worker.life._dispatcher._lanes))
        began_at = time.monotonic()
        sent.clear()
        await until(lambda: time.monotonic() - began_at > 2)
        seconds, counts = time.monotonic() - began_at, Counter(sent)
    assert counts.keys() == {query("beat"), query("sweep"), query("probe")}
    assert 5 <= counts[query("beat")] == pytest.approx(counts[query("sweep")], abs=1)
    assert counts[query("beat")] <= seconds / (0.9 * LEASE.beat_seconds) + 1
    assert 1 <= counts[query("probe")] <= seconds / 0.8 + 1


async def test_a_worker_whose_row_is_gone_stops_its_tasks_and_goes_on_under_another_id(database_url: str, connection: Connection, hold: Hold) -> None:
    async with living(database_url, hold.hold, probe_seconds=NO_PROBE_SECONDS) as worker:
        await insert(connection, "hold")
        await set_within(hold.entered)
        first, hold.passes = worker.id, True
        with capture_logs() as logs:
            await connection.execute("DELETE FROM kr_worker")
            await set_within(hold.cancelled, seconds=LEASE.seconds)
            (task,) = await stands(connection, 3)
        assert [log["why"] for log in logs if log["event"] == "worker.lost"] == ["another worker gave this one up for lost"]
        assert worker.id != first
        assert await connection.fetchval("SELECT worker_id FROM kr_worker") == worker.id
        assert len(worker.lives) == 2
    assert (task["result"], task["attempt"]) == ('"again"', 2)


async def test_a_task_of_a_lost_worker_is_told_once_and_may_clean_up(database_url: str, connection: Connection) -> None:
    entered, cleaned = asyncio.Event(), asyncio.Event()

    async def careful() -> None:
        if entered.is_set():
            return
        entered.set()
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.1)
            cleaned.set()

    async with living(database_url, careful) as worker:
        await insert(connection, "careful")
        await set_within(entered)
        await connection.execute("DELETE FROM kr_worker")
        await stands(connection, 3)
        assert cleaned.is_set()
        assert len(worker.lives) == 2


async def test_tasks_that_end_within_the_grace_are_written_and_the_others_are_handed_back_unharmed(
    database_url: str, connection: Connection, hold: Hold
) -> None:
    soon = asyncio.Event()

    async def soon_over() -> str:
        soon.set()
        await worker.stop.asked.wait()
        return "in time"

    async with living(database_url, hold.hold, soon_over, grace_seconds=0.5) as worker:
        await insert(connection, "hold")
        await insert(connection, "soon_over", first=2)
        await set_within(hold.entered)
        await set_within(soon)
        began_at = time.monotonic()
        await worker.end()
        assert 0.5 <= time.monotonic() - began_at < 3
    tasks = await rows(connection)
    assert [(task["status"], task["result"], task["tries"], task["crashes"]) for task in tasks] == [(0, None, 0, 0), (3, '"in time"', 1, 0)]
    assert hold.cancelled.is_set()


async def test_nothing_more_is_started_once_a_stop_was_asked(database_url: str, connection: Connection, hold: Hold) -> None:
    async with living(database_url, hold.hold, slots=1, grace_seconds=5) as worker:
        await insert(connection, "hold", count=3)
        await set_within(hold.entered)
        worker.stop.ask()
        hold.passes = True
        hold.release.set()
        await worker.end()
    # A claim that was under way is handed back unharmed.
    assert [(task["status"], task["tries"]) for task in await rows(connection)] == [(3, 1), (0, 0), (0, 0)]


async def test_a_second_stop_ends_the_grace(database_url: str, connection: Connection, hold: Hold) -> None:
    async with living(database_url, hold.hold, grace_seconds=600) as worker:
        await insert(connection, "hold")
        await set_within(hold.entered)
        worker.stop.ask()
        assert not hold.cancelled.is_set()
        began_at = time.monotonic()
        await worker.end(hurry=True)
        assert time.monotonic() - began_at < 5
    assert hold.cancelled.is_set()
    assert [(task["status"], task["tries"]) for task in await rows(connection)] == [(0, 0)]


async def test_a_task_that_swallows_its_cancellation_is_left_behind_and_handed_back(database_url: str, connection: Connection) -> None:
    entered, over, released = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def swallow() -> str:
        entered.set()
        while not released.is_set():
            try:
                await released.wait()
            except asyncio.CancelledError:
                continue
        over.set()
        return "late"

    async with living(database_url, swallow) as worker:
        await insert(connection, "swallow")
        await set_within(entered)
        with capture_logs() as logs:
            await worker.end(hurry=True)
        assert [log["program"] for log in logs if log["event"] == "task.left_behind"] == ["swallow"]
        (task,) = await rows(connection)
        assert (task["status"], task["tries"], task["crashes"], task["worker_id"]) == (0, 0, 0, None)
        assert await connection.fetchval("SELECT count(*) FROM kr_worker") == 0
        released.set()
        await set_within(over)
    assert [task["status"] for task in await rows(connection)] == [0]


async def test_a_thread_that_does_not_end_is_left_behind_and_its_task_handed_back(database_url: str, connection: Connection) -> None:
    entered, released, over = threading.Event(), threading.Event(), threading.Event()

    def stuck() -> str:
        entered.set()
        released.wait(20)
        over.set()
        return "late"

    async with living(database_url, stuck) as worker:
        await insert(connection, "stuck")
        await until(entered.is_set)
        began_at = time.monotonic()
        await worker.end()
        assert time.monotonic() - began_at < 3
        assert not over.is_set()
        released.set()
        await until(over.is_set)
    (task,) = await rows(connection)
    assert (task["status"], task["tries"], task["crashes"]) == (0, 0, 0)


async def test_a_worker_waits_for_a_lock_that_keeps_it_from_entering_its_row(database_url: str, connection: Connection) -> None:
    async def work(width: int = 1) -> None: ...

    await connection.execute("INSERT INTO kr_program (program, takes) VALUES ('work', '{other}')")
    other = await connect(database_url, role="test")
    async with connection.transaction():
        await connection.execute("SELECT FROM kr_program FOR UPDATE")
        with capture_logs() as logs:
            entering = asyncio.create_task(enter_and_leave(database_url, work))
            await until(lambda: "worker.waits_for_database" in [log["event"] for log in logs])
            assert await other.fetchval("SELECT count(*) FROM kr_worker") == 0
    await entering
    await other.close()
    assert await connection.fetchval("SELECT takes FROM kr_program WHERE program = 'work'") == ["width"]


async def enter_and_leave(database_url: str, *functions: Any) -> None:
    async with living(database_url, *functions):
        pass


async def test_a_probe_that_is_refused_does_not_end_the_worker(database_url: str, connection: Connection) -> None:
    async def work() -> None: ...

    async with living(database_url, work) as worker:
        with capture_logs() as logs:
            await connection.execute("ALTER FUNCTION kr_probe RENAME TO kr_probe_away")
            await until(lambda: "probe.failed" in [log["event"] for log in logs])
        await insert(connection, "work")
        await stands(connection, 3)
        await connection.execute("ALTER FUNCTION kr_probe_away RENAME TO kr_probe")
        assert len(worker.lives) == 1


async def test_a_task_is_not_taken_over_while_its_worker_stops(database_url: str, connection: Connection, hold: Hold) -> None:
    async with AsyncExitStack() as stack, living(database_url, hold.hold, grace_seconds=600) as first:
        await insert(connection, "hold")
        await set_within(hold.entered)
        other = await stack.enter_async_context(living(database_url, Hold().hold))
        first.stop.ask()
        began_at = time.monotonic()
        await until(lambda: time.monotonic() - began_at > 1.5 * LEASE.seconds)
        assert [task["worker_id"] for task in await rows(connection)] == [first.id] != [other.id]
        hold.release.set()
        (task,) = await ended(connection)
    assert (task["attempt"], task["crashes"]) == (1, 0)
