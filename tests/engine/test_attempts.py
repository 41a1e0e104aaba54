"""Attempts: tried again, given up, timed out, ended by the task itself; each one that was not the plain first success is kept."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import time
import types
from typing import Any

import pytest

from flower import Backoff, Retry, Skip, Suspend, context
from flower.database.pool import Connection
from flower.engine import slots
from tests.engine.living import NO_PROBE_SECONDS, define, ended, insert, living, rows, set_by_hand, set_within, stands, start, tried, until

AT_ONCE = Backoff(first=0, jitter=0)


class Busy(Exception): ...


class Failing:
    """A task that fails the first *times*, and counts."""

    def __init__(self, times: int, error: Exception | None = None) -> None:
        self.times, self.error, self.attempts = times, error or Busy("not yet"), list[int]()

    async def work(self) -> int:
        self.attempts.append(context().attempt)
        if len(self.attempts) <= self.times:
            raise self.error
        return len(self.attempts)


def working(fn: Any, **policy: Any) -> Any:
    async def work() -> Any:
        return await fn()

    return tried(work, **policy)


async def history(connection: Connection) -> list[tuple[int, int, str | None, str]]:
    found = await connection.fetch(
        "SELECT attempt, exec_status::integer AS status, outcome, error ->> 'type' AS kind FROM kr_task_attempt ORDER BY task_exec_seq, attempt"
    )
    return [(row["attempt"], row["status"], row["outcome"], row["kind"]) for row in found]


async def test_a_task_is_tried_again_until_it_succeeds_and_its_failures_are_kept(database_url: str, connection: Connection) -> None:
    failing = Failing(2)
    async with living(database_url, working(failing.work, attempts=3, backoff=AT_ONCE), probe_seconds=NO_PROBE_SECONDS):
        await insert(connection, "work")
        (task,) = await ended(connection)

    assert (task["status"], task["result"], task["attempt"], task["tries"], task["error"]) == (3, "3", 3, 3, None)
    assert await history(connection) == [(1, 0, "failed", "Busy"), (2, 0, "failed", "Busy")]
    assert failing.attempts == [1, 2, 3]


async def test_without_an_attempt_left_it_is_suspended_with_its_last_error(database_url: str, connection: Connection) -> None:
    async with living(database_url, working(Failing(9).work, attempts=2, backoff=AT_ONCE)):
        await insert(connection, "work")
        (task,) = await ended(connection)

    assert (task["status"], task["outcome"], task["attempt"]) == (2, "failed", 2)
    assert await history(connection) == [(1, 0, "failed", "Busy")]


async def test_a_plain_success_keeps_no_history(database_url: str, connection: Connection) -> None:
    async with living(database_url, working(Failing(0).work, attempts=3)):
        await insert(connection, "work")
        await ended(connection)

    assert await history(connection) == []


async def test_the_next_attempt_waits_for_its_time_which_is_shown_and_may_be_brought_forward(database_url: str, connection: Connection) -> None:
    async with living(database_url, working(Failing(1).work, attempts=2, backoff=Backoff(first=60)), probe_seconds=NO_PROBE_SECONDS):
        await insert(connection, "work")
        await until(lambda: history(connection))
        (task,) = await stands(connection, 0)
        wait = await connection.fetchval("SELECT extract(epoch FROM run_after - clock_timestamp()) FROM kr_task_stat")
        assert 50 < wait < 67
        assert json.loads(task["error"])["message"] == "not yet"

        await connection.execute("UPDATE kr_task_stat SET run_after = NULL")
        (task,) = await ended(connection)

    assert (task["status"], task["attempt"]) == (3, 2)


async def test_a_step_says_otherwise_than_its_function(database_url: str, connection: Connection) -> None:
    await define(connection, "w", ("work", None))
    await connection.execute("UPDATE ms_task_definition SET attempts = 3, backoff = '{\"first\": 0}', retry_on = '{Busy}'")
    async with living(database_url, working(Failing(2).work)):
        (task,) = await ended(connection, await start(connection, "w"))

    assert (task["status"], task["attempt"]) == (3, 3)


async def test_a_row_of_a_hand_takes_what_its_step_says(database_url: str, connection: Connection) -> None:
    await define(connection, "w", ("work", None))
    await connection.execute("UPDATE ms_task_definition SET attempts = 2, backoff = '0'")
    async with living(database_url, working(Failing(1).work)):
        await insert(connection, "work", task_id="w")
        (task,) = await ended(connection)

    assert (task["status"], task["attempt"]) == (3, 2)


async def test_options_that_a_hand_made_nonsense_of_suspend_their_task_and_no_other(database_url: str, connection: Connection) -> None:
    async with living(database_url, working(Failing(0).work)):
        await insert(connection, "work", flow="odd", options='{"attempts": "many"}')
        await insert(connection, "work", flow="list", options="[1]")
        await insert(connection, "work")
        (odd,) = await ended(connection, "odd")
        (other,) = await ended(connection, "list")
        (task,) = await ended(connection)

    assert (odd["status"], odd["outcome"], other["outcome"], task["status"]) == (2, "invalid", "invalid", 3)


@pytest.mark.parametrize("column", ["attempts = 0", "backoff = '\"x\"'", "timeout = 0", "timeout = 'NaN'", "on_lost = 'again'"])
async def test_a_definition_takes_no_nonsense(connection: Connection, column: str) -> None:
    await define(connection, "w", ("work", None))
    with pytest.raises(Exception, match="check constraint"):
        await connection.execute(f"UPDATE ms_task_definition SET {column}")


# What the task itself says


async def test_a_task_may_ask_for_another_attempt_at_its_time(database_url: str, connection: Connection) -> None:
    failing = Failing(1, Retry("busy", after=0.05))
    async with living(database_url, working(failing.work, attempts=2, retry_on=(OSError,))):
        await insert(connection, "work")
        (task,) = await ended(connection)

    assert (task["status"], task["attempt"]) == (3, 2)
    assert await history(connection) == [(1, 0, "failed", "Retry")]


async def test_a_task_that_asks_for_more_attempts_than_it_has_is_suspended(database_url: str, connection: Connection) -> None:
    async with living(database_url, working(Failing(9, Retry(after=0)).work, attempts=2)):
        await insert(connection, "work")
        (task,) = await ended(connection)

    assert (task["status"], task["outcome"], task["attempt"]) == (2, "failed", 2)


async def test_a_task_may_wait_for_a_person_without_a_slot_and_goes_on_with_what_is_handed_in(database_url: str, connection: Connection) -> None:
    async def ask() -> None:
        raise Suspend("amount differs")

    async def after() -> None: ...

    await define(connection, "w", ("ask", None), ("after", None))
    async with living(database_url, ask, after, slots=1):
        flow = await start(connection, "w")
        task, _ = await stands(connection, 2, 0, flow=flow)
        assert (task["outcome"], json.loads(task["error"])["message"]) == ("approval", "amount differs")
        await connection.execute("UPDATE kr_task_stat SET exec_status = 3, result = '7' WHERE exec_status = 2")
        await stands(connection, 3, 3, flow=flow)


async def test_a_task_may_find_nothing_to_do_and_those_after_it_go_on(database_url: str, connection: Connection) -> None:
    async def ask() -> None:
        raise Skip("nothing to pay")

    async def after() -> None: ...

    await define(connection, "w", ("ask", None), ("after", None))
    async with living(database_url, ask, after):
        task, _ = await ended(connection, await start(connection, "w"))

    assert (task["status"], task["outcome"], json.loads(task["error"])["message"]) == (9, "skipped", "nothing to pay")


# Timeouts


@pytest.fixture
def short_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slots, "_CANCEL_SECONDS", 0.2)


async def test_an_async_task_is_cancelled_at_its_timeout_and_tried_again(database_url: str, connection: Connection) -> None:
    cancelled: list[float] = []

    async def work() -> str:
        if context().attempt > 1:
            return "in time"
        began = time.monotonic()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(time.monotonic() - began)
            raise
        return "never"

    async with living(database_url, tried(work, attempts=2, timeout=0.2, backoff=AT_ONCE, retry_on=(TimeoutError,))):
        await insert(connection, "work")
        (task,) = await ended(connection)

    assert (task["status"], task["result"]) == (3, '"in time"')
    assert await history(connection) == [(1, 0, "failed", "TimeoutError")]
    assert 0.2 <= cancelled[0] < 1.2


async def test_the_error_of_a_timeout_says_where_the_task_stood(database_url: str, connection: Connection) -> None:
    async def work() -> None:
        await asyncio.Event().wait()

    async with living(database_url, tried(work, timeout=0.1)):
        await insert(connection, "work")
        (task,) = await ended(connection)

    error = json.loads(task["error"])
    assert (error["type"], error["message"]) == ("TimeoutError", "it did not end within its timeout of 0.1 s")
    assert "test_attempts.py" in error["where"]


async def test_a_task_that_swallows_its_cancellation_loses_its_slot_and_its_late_result(
    database_url: str, connection: Connection, short_grace: None
) -> None:
    go_on, last = asyncio.Event(), asyncio.Event()

    async def stubborn() -> str:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            await go_on.wait()
        last.set()
        return "late"

    async def other() -> None: ...

    async with living(database_url, tried(stubborn, timeout=0.1), other, slots=1) as worker:
        await insert(connection, "stubborn")
        await insert(connection, "other", first=2)
        first, second = await stands(connection, 2, 3)
        assert worker.life.leaked == 1
        go_on.set()
        await set_within(last)
        await until(lambda: worker.life.leaked == 0)
        (task, _) = await rows(connection)

    assert json.loads(first["error"])["type"] == "TimeoutError"
    assert (task["status"], task["result"], second["status"]) == (2, None, 3)


async def test_a_task_that_ends_after_its_timeout_has_not_ended_in_time(database_url: str, connection: Connection) -> None:
    async def work() -> str:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            return "late"
        return "never"

    async with living(database_url, tried(work, timeout=0.1)):
        await insert(connection, "work")
        (task,) = await ended(connection)

    assert (task["status"], json.loads(task["error"])["type"]) == (2, "TimeoutError")


async def test_the_late_result_of_a_thread_is_refused_and_threads_are_left_for_others(database_url: str, connection: Connection) -> None:
    go_on = threading.Event()

    def work() -> str:
        go_on.wait(20)
        return "late"

    def other() -> str:
        return "done"

    async with living(database_url, tried(work, timeout=0.1), other, slots=1):
        await insert(connection, "work", count=3)
        await insert(connection, "other", first=4)
        tasks = await ended(connection)
        go_on.set()

    assert [task["status"] for task in tasks] == [2, 2, 2, 3]


async def test_under_a_debugger_no_time_runs_out(database_url: str, connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "debugpy", types.ModuleType("debugpy"))

    async def work() -> str:
        await asyncio.sleep(0.3)
        return "looked at"

    async with living(database_url, tried(work, timeout=0.05)):
        await insert(connection, "work")
        (task,) = await ended(connection)

    assert (task["status"], task["result"]) == (3, '"looked at"')


async def test_a_task_that_is_set_aside_by_hand_stops_within_a_second_and_its_slot_is_freed(
    database_url: str, connection: Connection, short_grace: None
) -> None:
    started, stopped = asyncio.Event(), asyncio.Event()

    async def stubborn() -> None:
        started.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            stopped.set()
            await asyncio.sleep(2)

    async def other() -> None: ...

    async with living(database_url, stubborn, other, slots=1, probe_seconds=NO_PROBE_SECONDS) as worker:
        await insert(connection, "stubborn")
        await set_within(started)
        await set_by_hand(connection, 1, 9)
        await set_within(stopped, seconds=1)
        await insert(connection, "other", first=2)
        await stands(connection, 9, 3, seconds=1.5)
        assert worker.life.leaked == 1


# A worker that is lost


async def test_what_may_not_run_twice_is_suspended_when_its_worker_is_stopped(database_url: str, connection: Connection) -> None:
    started = asyncio.Event()

    async def charge() -> None:
        started.set()
        await asyncio.Event().wait()

    async with living(database_url, tried(charge, attempts=5, on_lost="suspend")):
        await insert(connection, "charge")
        await set_within(started)
    (task,) = await rows(connection)

    assert (task["status"], task["outcome"], json.loads(task["error"])["type"]) == (2, "failed", "WorkerStopped")
