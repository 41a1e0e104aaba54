"""`serve` as a process: killed, paused, told to end at any moment, started before its database and beside others."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import socket
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import unquote, urlsplit
from urllib.request import urlopen

import pytest

from flower.database.pool import Connection, connect
from tests.database.routes import tcp_route
from tests.engine.living import ended, insert, rows, stands, until
from tests.engine.processes import APP, SHORT, Process

# Real processes on a busy machine.
pytestmark = pytest.mark.timeout(90)

Serve = Callable[..., Process]


@pytest.fixture
def serve(tmp_path: Path, database_url: str) -> Iterator[Serve]:
    """Starts processes on the test's database; whatever still runs at the end is killed."""
    started: list[Process] = []

    def start(*arguments: str, url: str = database_url, **settings: str) -> Process:
        started.append(Process(tmp_path, url, *arguments, settings=SHORT | settings))
        return started[-1]

    yield start
    for process in started:
        process.kill()


async def running(connection: Connection, count: int, flow: str = "hand") -> None:
    await until(lambda: connection.fetchval("SELECT count(*) = $1 FROM kr_task_stat WHERE task_flow_id = $2 AND exec_status = 1", count, flow))


async def has_no_worker(connection: Connection) -> bool:
    return bool(await connection.fetchval("SELECT NOT EXISTS (SELECT FROM kr_worker)"))


async def test_sigterm_gives_the_grace_hands_back_the_rest_and_ends_with_0(serve: Serve, connection: Connection) -> None:
    process = serve("--no-http", "--grace", "1.5")
    await process.begun()
    await insert(connection, "hold", count=3)
    await insert(connection, "short", first=4, parameters='{"seconds": 1}')
    await running(connection, 4)
    process.send(signal.SIGTERM)
    assert await process.ended() == 0
    tasks = await rows(connection)
    assert [task["status"] for task in tasks] == [0, 0, 0, 3]
    assert [(task["tries"], task["crashes"], task["worker_id"]) for task in tasks[:3]] == [(0, 0, None)] * 3
    assert await has_no_worker(connection)
    assert len(process.said("task.handed_back")) == 3


@pytest.mark.parametrize("program", ["hold", "deaf", "stuck"])
async def test_a_second_sigterm_ends_the_process_at_once_whatever_its_tasks_do(serve: Serve, connection: Connection, program: str) -> None:
    process = serve("--no-http", "--grace", "600")
    await process.begun()
    await insert(connection, program)
    await running(connection, 1)
    process.send(signal.SIGTERM)
    await until(lambda: process.said("serve.ends"))
    process.send(signal.SIGTERM)
    assert await process.ended(seconds=5) == 0
    (task,) = await rows(connection)
    assert (task["status"], task["tries"], task["crashes"]) == (0, 0, 0)
    assert await has_no_worker(connection)


async def test_a_thread_of_a_life_that_was_lost_does_not_keep_the_process(serve: Serve, connection: Connection) -> None:
    process = serve("--no-http", "--grace", "0")
    await process.begun()
    await insert(connection, "stuck")
    await running(connection, 1)
    await connection.execute("DELETE FROM kr_worker")
    await until(lambda: len(process.said("worker.began")) == 2)
    await connection.execute("UPDATE kr_task_stat SET exec_status = 9")
    process.send(signal.SIGTERM)
    assert await process.ended(seconds=5) == 0
    assert await has_no_worker(connection)


async def test_ten_processes_that_follow_each_other_at_random_moments_lose_nothing(serve: Serve, connection: Connection) -> None:
    process = serve()
    await process.begun()
    for turn in range(10):
        await insert(connection, "short", flow=f"turn {turn}", count=200)
        following = serve()
        await following.begun()
        await insert(connection, "short", flow=f"more {turn}", count=200)
        await asyncio.sleep(random.uniform(0, 0.1))
        process.send(signal.SIGTERM)
        assert await process.ended() == 0
        process = following
    await until(lambda: connection.fetchval("SELECT bool_and(exec_status = 3) FROM kr_task_stat"))
    assert await connection.fetchval("SELECT count(*) = 4000 AND max(tries) = 1 AND max(crashes) = 0 AND max(attempt) <= 2 FROM kr_task_stat")


async def test_the_tasks_of_a_killed_process_start_again_within_ten_seconds(serve: Serve, connection: Connection) -> None:
    real = {"FLOWER_LEASE": "30", "FLOWER_BEAT": "3", "FLOWER_PROBE": "5"}
    killed = serve(**real)
    await killed.begun()
    await insert(connection, "slow_at_first", count=20, parameters='{"seconds": 600}')
    await running(connection, 20)
    other = serve(**real)
    await other.begun()
    # While the server is younger than that, a session that is missing proves nothing.
    await until(lambda: connection.fetchval("SELECT clock_timestamp() - pg_postmaster_start_time() > interval '15 s'"), seconds=20)
    killed.send(signal.SIGKILL)
    killed_at = time.monotonic()
    tasks = await ended(connection, seconds=20)
    assert time.monotonic() - killed_at < 10
    assert {(task["status"], task["attempt"], task["tries"], task["crashes"]) for task in tasks} == {(3, 2, 1, 1)}


async def test_a_process_that_was_paused_is_refused_and_begins_another_life(serve: Serve, connection: Connection) -> None:
    paused = serve()
    await paused.begun()
    await insert(connection, "slow_at_first", parameters='{"seconds": 3}')
    await running(connection, 1)
    paused.send(signal.SIGSTOP)
    other = serve()
    await other.begun()
    (task,) = await stands(connection, 3)
    paused.send(signal.SIGCONT)
    await until(lambda: len(paused.said("worker.began")) == 2)
    other.send(signal.SIGTERM)
    assert await other.ended() == 0
    await insert(connection, "short", first=2)
    tasks = await stands(connection, 3, 3)
    assert (json.loads(tasks[0]["result"]), tasks[0]["attempt"], tasks[0]["crashes"]) == ("attempt 2", 2, 1)
    assert tasks[0]["finished_ts"] == task["finished_ts"]
    assert len({log["worker"] for log in paused.said("worker.began")}) == 2
    assert await connection.fetchval("SELECT worker_id::text FROM kr_worker") == paused.said("worker.began")[1]["worker"]


@pytest.mark.parametrize(
    ("program", "dies_of"), [("is_killed", signal.SIGKILL), ("reads_nowhere", signal.SIGSEGV), ("takes_all_memory", signal.SIGABRT)]
)
async def test_a_task_that_ends_its_process_three_times_is_suspended_as_poison(
    serve: Serve, connection: Connection, program: str, dies_of: signal.Signals
) -> None:
    await insert(connection, program, task_priority=-5)
    await insert(connection, "short", first=2, count=100, parameters='{"seconds": 0.3}')
    for _ in range(3):
        process = serve("--no-http", "--concurrency", "20")
        assert await process.ended(seconds=20) == -dies_of
    survivor = serve()
    poison, *neighbours = await ended(connection, seconds=20)
    assert (poison["status"], poison["outcome"], poison["crashes"]) == (2, "poison", 3)
    assert json.loads(poison["error"])["type"] == "WorkerLost"
    assert {task["status"] for task in neighbours} == {3}
    assert max(task["attempt"] for task in neighbours) in {2, 3}
    assert survivor.is_running


async def test_system_exit_in_a_task_of_asyncio_ends_its_task_and_no_other(serve: Serve, connection: Connection) -> None:
    process = serve()
    await process.begun()
    await insert(connection, "slow_at_first", parameters='{"seconds": 1}')
    await insert(connection, "exits_below", first=2)
    tasks = await ended(connection)
    assert [task["status"] for task in tasks] == [3, 2]
    assert "SystemExit: 9" in tasks[1]["error"]
    assert process.is_running


async def test_a_task_that_cancels_the_engine_is_named_as_the_reason_and_nothing_is_lost(serve: Serve, connection: Connection) -> None:
    process = serve()
    await process.begun()
    await insert(connection, "cancels_all")
    assert await process.ended() == 1
    assert "cancelled asyncio tasks that are not its own" in process.log.read_text()
    assert "Traceback" not in process.log.read_text()
    await connection.execute("UPDATE kr_task_stat SET exec_status = 9")
    other = serve()
    await other.begun()
    await insert(connection, "short", first=2)
    await stands(connection, 9, 3)


async def test_a_process_that_is_ending_is_not_ready(serve: Serve, connection: Connection) -> None:
    port = free_port()
    process = serve("--port", str(port), "--grace", "600")
    await process.begun()
    await insert(connection, "hold")
    await running(connection, 1)
    assert readiness(port)[0] == 200
    process.send(signal.SIGTERM)
    await until(lambda: asyncio.to_thread(lambda: readiness(port)[0] == 503))
    assert readiness(port)[1]["checks"]["dispatcher"] == "is ending"
    process.send(signal.SIGTERM)
    assert await process.ended() == 0


async def test_a_task_that_blocks_the_loop_is_named_within_two_seconds_and_nothing_is_lost(serve: Serve, connection: Connection) -> None:
    process = serve()
    await process.begun()
    await insert(connection, "block", parameters='{"seconds": 6}')
    await insert(connection, "short", first=2, count=20, parameters='{"seconds": 0.1}')
    await until(lambda: connection.fetchval("SELECT notice IS NOT NULL FROM kr_task_stat WHERE task_exec_seq = 1"))
    (task, *_) = await rows(connection)
    where = f"{process.log.with_name('app.py')}:{1 + APP.splitlines().index('    time.sleep(seconds)')} in block"
    notice, (blocked,) = json.loads(task["notice"]), process.said("loop.blocked")
    assert (task["status"], notice["type"], notice["where"]) == (1, "LoopBlocked", where)
    assert (blocked["flow"], blocked["seq"], blocked["program"], blocked["where"]) == ("hand", "1", "block", where)
    for at in (notice["at"], blocked["timestamp"]):
        assert datetime.fromisoformat(at) - task["started_ts"] < timedelta(seconds=2)
    tasks = await ended(connection)
    assert {(task["status"], task["attempt"], task["crashes"]) for task in tasks} == {(3, 1, 0)}
    assert len(process.said("worker.began")) == 1
    await until(lambda: process.said("loop.free"))
    (free,) = process.said("loop.free")
    assert 6 <= free["seconds"] < 8


async def test_two_processes_that_start_at_once_on_an_empty_database_both_run(serve: Serve, empty_database_url: str) -> None:
    first, second = serve(url=empty_database_url), serve(url=empty_database_url)
    await first.begun()
    await second.begun()
    connection = await connect(empty_database_url, role="test")
    assert {row["pid"] for row in await connection.fetch("SELECT pid FROM kr_worker")} == {first.pid, second.pid}
    await insert(connection, "short", count=40)
    assert {(task["status"], task["attempt"]) for task in await ended(connection)} == {(3, 1)}
    for process in (first, second):
        process.send(signal.SIGTERM)
        assert await process.ended() == 0
    await connection.close()


async def test_a_schema_that_is_newer_than_the_process_ends_it_with_a_sentence(serve: Serve, connection: Connection) -> None:
    await connection.execute("INSERT INTO kr_schema (kind, number, name) VALUES ('migration', 9999, '9999_from_the_future')")
    process = serve()
    assert await process.ended(seconds=20) == 78
    assert "upgrade" in process.log.read_text()
    assert "Traceback" not in process.log.read_text()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        found: int = free.getsockname()[1]
    return found


def readiness(port: int) -> tuple[int, Any]:
    """Return the status of /readyz and what it says; 0 while nobody listens."""
    try:
        with urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
            return answer.status, json.load(answer)
    except HTTPError as error:
        return error.code, json.load(error)
    except (URLError, ConnectionError):
        return 0, None


async def test_a_process_waits_for_a_database_that_is_not_there_yet_and_says_so(serve: Serve, database_url: str, connection: Connection) -> None:
    password, port, database_port = unquote(urlsplit(database_url).password or ""), free_port(), free_port()
    async with tcp_route(database_url, password, port=database_port) as route:
        pass
    process = serve("--port", str(port), url=route.url)
    await until(lambda: readiness(port)[0] == 503, seconds=20)
    assert "cannot be reached" in readiness(port)[1]["checks"]["database"]
    await insert(connection, "short")
    async with tcp_route(database_url, password, port=database_port):
        await until(lambda: asyncio.to_thread(lambda: readiness(port)[0] == 200), seconds=20)
        await stands(connection, 3)
        await connection.execute("INSERT INTO ms_pause (kind, task_id) VALUES ('program', 'short'), ('limit', 'tenant:*')")
        assert (await asyncio.to_thread(readiness, port))[1]["checks"] == dict.fromkeys(("database", "schema", "dispatcher", "listener"), "ok") | {
            "pauses": "1 program, 1 limit are paused"
        }
        process.send(signal.SIGTERM)
        assert await process.ended() == 0
