"""A real process with its real deadlines, under attack: 500 slow clients, bodies of 200 MiB and packed ones, beside honest calls that are retried."""

from __future__ import annotations

import asyncio
import gzip
import time
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from aiohttp import ClientSession

from flower.database.pool import Connection
from tests.engine.processes import Process
from tests.web.asking import Client, post

pytestmark = pytest.mark.timeout(120)

HEAD = b"POST /register/hello HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
SLOW = {"silent": b"", "head": HEAD + b"X-", "body": HEAD + b"Content-Length: 1000\r\n\r\n{"}
EACH = 167
# The deadline is 10 s for each; the rest is for a busy machine.
GENEROUS_SECONDS = 25
MIB = 1024 * 1024


@pytest.fixture
async def process(tmp_path: Path, database_url: str) -> AsyncIterator[Process]:
    process = Process(tmp_path, database_url, "--port", "0")
    try:
        await process.begun()
        yield process
    finally:
        process.kill()


@pytest.fixture
async def honest(process: Process) -> AsyncIterator[Client]:
    async with ClientSession() as session:
        yield Client(session, urlsplit(process.said("serve.ready")[0]["api"]).port or 0)


def memory_mib(process: Process) -> float:
    status = Path(f"/proc/{process.pid}/status")
    if not status.exists():
        pytest.skip("this system does not say how much memory a process has")
    return next(int(line.split()[1]) / 1024 for line in status.read_text().splitlines() if line.startswith("VmRSS"))


async def held_on(port: int, beginning: bytes) -> tuple[float, bytes]:
    """Send *beginning* and then a byte a second; return after how many seconds the server ended it, and what it said."""
    began, said = time.monotonic(), b""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(beginning)
        while not reader.at_eof():
            try:
                async with asyncio.timeout(1):
                    said += await reader.read(4096)
            except TimeoutError:
                writer.write(b"1" if beginning else b"")
    except ConnectionError:
        pass
    finally:
        writer.close()
    return time.monotonic() - began, said


async def uploaded(port: int, head: bytes, pieces: int, piece: bytes) -> bytes:
    """Send as much of a body as is taken; return the status line."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answer = asyncio.create_task(reader.readuntil(b"\r\n"))
    try:
        writer.write(HEAD + head + b"\r\n")
        for _ in range(pieces):
            writer.write(piece)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        said = await answer
        writer.close()
    return said


async def registered(honest: Client, key: str) -> str:
    status, said = await post(honest, "/register/hello", headers={"Idempotency-Key": key})
    assert status == 200, said
    return str(said["taskFlowId"])


async def test_slow_clients_are_ended_and_honest_calls_answered_once_per_key(process: Process, honest: Client, connection: Connection) -> None:
    before = memory_mib(process)
    slow = {kind: [asyncio.create_task(held_on(honest.port, sent)) for _ in range(EACH)] for kind, sent in SLOW.items()}
    flows: dict[str, set[str]] = {}
    while not all(task.done() for tasks in slow.values() for task in tasks):
        key = f"order-{len(flows)}"
        async with asyncio.timeout(10):
            flows[key] = set(await asyncio.gather(*(registered(honest, key) for _ in range(4))))
        flows[key].add(await registered(honest, key))
        assert memory_mib(process) < before + 100

    ended = {kind: [task.result() for task in tasks] for kind, tasks in slow.items()}
    assert max(seconds for tasks in ended.values() for seconds, _ in tasks) < GENEROUS_SECONDS
    assert {said for kind in ("silent", "head") for _, said in ended[kind]} == {b""}
    assert {said.partition(b"\r\n")[0] for _, said in ended["body"]} == {b"HTTP/1.1 408 Request Timeout"}
    assert all(len(ids) == 1 for ids in flows.values())
    assert await connection.fetchval("SELECT count(*) FROM kr_flow_stat") == len(flows)
    assert not process.said("http.failed")


async def test_large_and_packed_bodies_are_refused_in_little_memory(process: Process, honest: Client, connection: Connection) -> None:
    before = memory_mib(process)
    bomb = gzip.compress(bytes(200 * MIB))
    length, chunk = b"Content-Length: %d\r\n" % (200 * MIB), b"100000\r\n" + bytes(MIB) + b"\r\n"
    asked = [uploaded(honest.port, length, 200, bytes(MIB)) for _ in range(10)]
    asked += [uploaded(honest.port, b"Transfer-Encoding: chunked\r\n", 200, chunk) for _ in range(10)]
    packed = b"Content-Encoding: gzip\r\nContent-Length: %d\r\n" % len(bomb)
    asked += [uploaded(honest.port, packed, 1, bomb) for _ in range(10)]
    attack = asyncio.gather(*asked)
    count = 0
    while not attack.done() or not count:
        async with asyncio.timeout(10):
            await registered(honest, f"order-{count}")
        count += 1
        assert memory_mib(process) < before + 100

    said = [line.split()[1] for line in await attack]
    assert said == [b"413"] * 20 + [b"415"] * 10
    assert await connection.fetchval("SELECT count(*) FROM kr_flow_stat") == count
    assert not process.said("http.failed")
