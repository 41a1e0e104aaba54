"""Honest registrations while others attack: 500 slow clients, who come again when they are thrown out, and 20 bodies of 200 MiB at once."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from statistics import median, quantiles
from time import perf_counter

from bench.effort import memory_mb
from bench.ground import Ground, session
from bench.report import Figure
from bench.served import serving

_PER_SECOND = 1_000
_CONNECTIONS = 64
_SLOW = 500
_UPLOADS = 20
_UPLOAD_MIB = 200

_HEAD = b"POST /register/three HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
_BODY = b'{"runAt": "2999-01-01T00:00:00Z"}'
_REQUEST = b"%bContent-Length: %d\r\n\r\n%b" % (_HEAD, len(_BODY), _BODY)
# What each kind of slow client begins with and then sends once a second: nothing at all, a head without end, a body without end.
_KINDS = ((b"", b""), (_HEAD + b"X-", b"x"), (_HEAD + b"Content-Length: 1000\r\n\r\n{", b" "))


async def measure(ground: Ground) -> AsyncIterator[Figure]:
    """Yield how long honest calls take, each from when it was due, before and under the attack, and the memory that this costs."""
    seconds = 5.0 if ground.is_quick else 15.0
    memory: list[float] = []
    async with ground.database("attack") as url, session(url) as connection:
        async with serving("bench.tasks", database=url, folder=ground.folder, http=True) as served:
            port, pid = served.port or 0, served.process.pid
            callers = [await asyncio.open_connection("127.0.0.1", port) for _ in range(_CONNECTIONS)]
            calm = await _ask(callers, seconds)
            before = memory_mb(pid)
            async with asyncio.TaskGroup() as group:
                attack = group.create_task(_attack(port, pid, memory))
                attacked = await _ask(callers, seconds)
                attack.cancel()
        answered, stored = len(calm) + len(attacked), await connection.fetchval("SELECT count(*) FROM kr_flow_stat")
    if stored != answered:
        raise RuntimeError(f"{answered} flows were answered and {stored} are stored")
    note = f"{_PER_SECOND:,} POSTs a second for {seconds:.0f} s on {_CONNECTIONS} connections; {_told(calm)}"
    yield Figure("registrations, calm, p99", quantiles(calm, n=100)[98], "ms", note=note)
    note = f"the same beside {_SLOW} slow clients and {_UPLOADS} × {_UPLOAD_MIB} MiB; {_told(attacked)}"
    yield Figure("registrations, under attack, p99", quantiles(attacked, n=100)[98], "ms", "attack", note=note)
    if before is not None and memory:
        yield Figure("memory that the attack costs", max(memory) - before, "MB", "attack memory", note="the most while attacked, less before")


def _told(taken: list[float]) -> str:
    return f"median {median(taken):.0f}, worst {max(taken):.0f} ms"


async def _ask(callers: Sequence[tuple[asyncio.StreamReader, asyncio.StreamWriter]], seconds: float) -> list[float]:
    """Return how long each honest call took. One that comes late because the last one did is late, too."""
    began, taken = perf_counter(), []

    async def call(number: int) -> None:
        for turn in range(number, int(_PER_SECOND * seconds), _CONNECTIONS):
            due = began + turn / _PER_SECOND
            await asyncio.sleep(max(0.0, due - perf_counter()))
            await _register(*callers[number])
            taken.append((perf_counter() - due) * 1000)

    await asyncio.gather(*(call(number) for number in range(_CONNECTIONS)))
    return taken


async def _register(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(_REQUEST)
    head = await reader.readuntil(b"\r\n\r\n")
    await reader.readexactly(int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]))
    if not head.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(f"a registration was refused: {head!r}")


async def _attack(port: int, pid: int, memory: list[float]) -> None:
    async with asyncio.TaskGroup() as group:
        for number in range(_SLOW):
            group.create_task(_hold_on(port, *_KINDS[number % len(_KINDS)]))
        group.create_task(_upload(port))
        while True:
            memory.append(memory_mb(pid) or 0.0)
            await asyncio.sleep(0.05)


async def _hold_on(port: int, beginning: bytes, more: bytes) -> None:
    while True:
        # Thrown out is what it should be.
        with suppress(OSError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(beginning)
            while not reader.at_eof():
                writer.write(more)
                with suppress(TimeoutError):
                    async with asyncio.timeout(1):
                        await reader.read(1024)
            writer.close()


async def _upload(port: int) -> None:
    # In threads, whose sending does not hold up the loop that takes the time.
    with ThreadPoolExecutor(_UPLOADS) as threads:
        loop = asyncio.get_running_loop()
        await asyncio.gather(*(loop.run_in_executor(threads, _send_much, port) for _ in range(_UPLOADS)))


def _send_much(port: int) -> None:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=10) as sending:
        sending.sendall(b"%bContent-Length: %d\r\n\r\n" % (_HEAD, _UPLOAD_MIB << 20))
        for _ in range(_UPLOAD_MIB):
            sending.sendall(bytes(1 << 20))
