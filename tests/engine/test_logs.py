"""What tasks say: overheard from wherever they say it, kept for their attempt in order, within a second, and bounded."""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import structlog

from flower import Backoff, context
from flower.core import log
from flower.core.model import Claim
from flower.database.pool import Connection, Pool
from flower.database.store import Store
from flower.sdk import journal
from flower.sdk.journal import Journal, overhearing
from tests.engine.living import NO_PROBE_SECONDS, ended, insert, living, set_within, tried, until

_log, _standard = structlog.get_logger(), logging.getLogger("app")


@pytest.fixture(autouse=True)
def heard() -> Iterator[None]:
    before = structlog.get_config()
    log.configure("warning", "json", heard="info")
    structlog.configure(**(structlog.get_config() | {"cache_logger_on_first_use": False}))  # the engine's loggers live longer than this test
    yield
    structlog.configure(**before)


@asynccontextmanager
async def overheard(url: str, *functions: Any, **options: Any) -> AsyncIterator[None]:
    """A worker whose tasks are overheard, as in `serve`. In the test itself: pytest puts streams of its own in place between its phases."""
    with overhearing():
        async with living(url, *functions, **options):
            yield


async def said(connection: Connection, flow: str = "hand") -> list[tuple[int, int, str, str, str]]:
    rows = await connection.fetch(
        "SELECT task_exec_seq::integer AS seq, attempt, level, source, message FROM kr_task_log WHERE task_flow_id = $1 ORDER BY id", flow
    )
    return [tuple(row) for row in rows]


async def test_whatever_a_task_says_is_kept_in_order_with_its_attempt(database_url: str, connection: Connection) -> None:
    async def work() -> None:
        _log.info("page.fetched", url="https://example.org", token="sk-1")
        _standard.info("standard %s", "words")
        print("printed", "words")
        context().log.warning("page.odd", lines=3)
        print("to stderr", file=sys.stderr)
        _standard.debug("not this")
        print("without its end", end="")

    async with overheard(database_url, work):
        await insert(connection, "work")
        await ended(connection)

    assert await said(connection) == [
        (1, 1, "info", "structlog", "page.fetched url=https://example.org token=***"),
        (1, 1, "info", "logging", "standard words"),
        (1, 1, "info", "stdout", "printed words"),
        (1, 1, "warning", "structlog", "page.odd lines=3"),
        (1, 1, "info", "stderr", "to stderr"),
        (1, 1, "info", "stdout", "without its end"),
    ]


async def test_a_thread_and_two_at_once_are_told_apart_and_outside_nothing_is_kept(database_url: str, connection: Connection) -> None:
    def in_thread() -> None:
        for number in range(50):
            print(f"thread {number}")

    async def on_loop() -> None:
        for number in range(50):
            print(f"loop {number}")
            await asyncio.sleep(0)

    print("outside")
    async with overheard(database_url, in_thread, on_loop):
        await insert(connection, "in_thread")
        await insert(connection, "on_loop", first=2)
        await ended(connection)

    lines = await said(connection)
    assert [line[4] for line in lines if line[0] == 1] == [f"thread {number}" for number in range(50)]
    assert [line[4] for line in lines if line[0] == 2] == [f"loop {number}" for number in range(50)]


async def test_each_attempt_has_its_own_and_its_traceback(database_url: str, connection: Connection) -> None:
    async def work() -> None:
        try:
            raise ValueError("broken")
        except ValueError:
            _standard.exception("attempt %s", context().attempt)
            raise

    async with overheard(database_url, tried(work, attempts=2, backoff=Backoff(first=0))):
        await insert(connection, "work")
        await ended(connection)

    lines = await said(connection)
    assert [(line[1], line[2], line[4].splitlines()[0]) for line in lines] == [(1, "error", "attempt 1"), (2, "error", "attempt 2")]
    assert "ValueError: broken" in lines[0][4]


async def test_lines_are_there_within_a_second_while_the_task_runs(database_url: str, connection: Connection) -> None:
    go_on = asyncio.Event()

    async def work() -> None:
        print("begun")
        await go_on.wait()

    async with overheard(database_url, work, probe_seconds=NO_PROBE_SECONDS):
        await insert(connection, "work")
        await until(lambda: said(connection), seconds=1.5)
        go_on.set()
        await ended(connection)


async def test_an_attempt_that_says_too_much_is_cut_with_a_word_and_its_neighbours_are_not_slowed(
    database_url: str, connection: Connection, pool: Pool
) -> None:
    done = asyncio.Event()

    def noisy() -> None:
        for number in range(100_000):
            print("line", number)

    async def neighbour() -> float:
        began = time.monotonic()
        await asyncio.sleep(0.05)
        return time.monotonic() - began

    async with overheard(database_url, noisy, neighbour, slots=4):
        await insert(connection, "noisy")
        for first in range(2, 22):
            await insert(connection, "neighbour", first=first)
        tasks = await ended(connection, seconds=20)
        done.set()

    lines = await said(connection)
    assert len(lines) == journal.MOST_LINES + 1
    assert lines[-2][4] == "line 9999"
    assert (lines[-1][2], lines[-1][3], "10,000 lines" in lines[-1][4]) == ("warning", "flower", True)
    assert max(float(task["result"]) for task in tasks[1:]) < 1
    assert [line.message for line in await Store(pool).logs.last("hand", Decimal(1), limit=1)] == [lines[-1][4]]


CLAIM = Claim("f", Decimal(1), "w", "n", "p", "{}", 1, uuid4())


def test_large_lines_and_odd_characters_are_cut_and_cleaned() -> None:
    book = Journal()
    voice = book.voice(CLAIM)

    voice.say("info", "stdout", "a\x00\ud800" + "x" * 100_000)
    for _ in range(100):
        voice.say("info", "stdout", "é" * 16_000)

    lines = book.take(1_000)
    assert lines[0].message.startswith("a\ufffd\ufffdx")
    assert sum(len(line.message.encode()) for line in lines) < journal.MOST_BYTES + 100_000
    assert "has room for" in lines[-1].message


def test_what_is_printed_without_line_ends_is_bounded_and_each_stream_and_thread_goes_on_for_itself() -> None:
    book = Journal()
    voice = book.voice(CLAIM)
    voice.printed("stdout", "one ")
    voice.printed("stderr", "error\r50 %\r\n")
    thread = threading.Thread(target=lambda: voice.printed("stdout", "in a thread\n"))
    thread.start()
    thread.join()
    voice.printed("stdout", "line\nand")
    voice.close()
    voice.say("info", "stdout", "too late")

    assert [line.message for line in book.take(10)] == ["error", "50 %", "in a thread", "one line", "and"]
    noisy = book.voice(CLAIM)
    for _ in range(10_000):
        noisy.printed("stdout", "x" * 1_000)
    assert sum(len(line.message) for line in book.take(100_000)) < journal.MOST_BYTES + 100_000


def test_while_the_database_is_away_the_oldest_lines_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "_MOST_KEPT_BYTES", 30)
    book = Journal()
    voice = book.voice(CLAIM)
    for number in range(10):
        voice.say("info", "stdout", f"line {number:05}")
    taken = book.take(2)
    book.put_back(taken)

    assert [line.message for line in book.take(10)] == ["line 00008", "line 00009"] or len(taken) == 2
    assert book.dropped >= 7


def test_handlers_that_were_there_write_no_more_than_before() -> None:
    shown: list[str] = []

    class Shows(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            shown.append(record.getMessage())

    root, handler = logging.getLogger(), Shows()
    root.addHandler(handler)
    before = root.level
    root.setLevel(logging.WARNING)
    try:
        with overhearing():
            _standard.info("quiet")
            _standard.warning("loud")
        assert (shown, handler.level) == (["loud"], logging.NOTSET)
    finally:
        root.removeHandler(handler)
        root.setLevel(before)


async def test_what_was_said_survives_the_loss_of_the_database_and_of_the_task(database_url: str, connection: Connection, pool: Pool) -> None:
    said_, go_on = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        said_.set()
        await go_on.wait()
        print("during the storm")

    async with overheard(database_url, work):
        await insert(connection, "work")
        await set_within(said_)
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database()"
        )
        go_on.set()
        await until(lambda: said(connection), seconds=10)
        await ended(connection)
    await connection.execute("DELETE FROM kr_task_stat")
    assert await said(connection) == []  # with their task they go


@pytest.fixture
def serving_process(database_url: str, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Somebody's `serve` with a task that prints and then takes long."""
    module = tmp_path / "app.py"
    module.write_text("import time\nfrom flower import task\n@task\ndef work():\n    print('before the end', flush=True)\n    time.sleep(60)\n")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FLOWER_")}
    command = [sys.executable, "-m", "flower", "serve", str(module), "--no-http", "--database", database_url]
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        yield process
        process.kill()


@pytest.mark.timeout(60)
async def test_lines_survive_kill_9(connection: Connection, serving_process: subprocess.Popen[bytes]) -> None:
    await insert(connection, "work")
    await until(lambda: said(connection), seconds=20)
    serving_process.kill()
    serving_process.wait()

    assert [line[4] for line in await said(connection)] == ["before the end"]


@pytest.fixture
async def lines(connection: Connection) -> None:
    await connection.execute("""
        INSERT INTO kr_task_log (task_flow_id, task_exec_seq, attempt, said_ts, level, source, message)
            SELECT 'f', 1 + n % 2, 1, now(), 'info', 'stdout', 'line ' || n FROM generate_series(0, 9) n""")


async def test_they_are_read_in_parts_of_a_flow_or_of_one_task(lines: None, pool: Pool) -> None:
    logs = Store(pool).logs
    first = await logs.read("f", limit=4)
    rest = await logs.read("f", after=first[-1].id, limit=100)
    assert [line.message for line in (*first, *rest)] == [f"line {number}" for number in range(10)]
    assert [line.message for line in await logs.read("f", seq=Decimal(2))] == [f"line {number}" for number in range(1, 10, 2)]
    assert await logs.read("g") == ()
