"""Durable registrations over HTTP: how many flows per second are committed and answered. They do not run: that would compete."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from time import perf_counter
from typing import cast

from bench.effort import backends, cpu_seconds
from bench.ground import Ground, session
from bench.report import Figure
from bench.served import serving

_CONNECTIONS = 64
_WARM_UP_SECONDS = 0.5
_BODY = b'{"runAt": "2999-01-01T00:00:00Z"}'
_REQUEST = b"POST /register/three HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(_BODY), _BODY)


class _Caller(asyncio.Protocol):
    """Sends one request after another on one connection, and counts the answers. Lean: it shares the machine with what it measures."""

    def __init__(self) -> None:
        self.answered = 0
        self.refused = b""
        self._transport: asyncio.Transport | None = None
        self._got = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(_REQUEST)

    def data_received(self, data: bytes) -> None:
        self._got += data
        head, end, body = self._got.partition(b"\r\n\r\n")
        if not end or len(body) < int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]):
            return
        if not head.startswith(b"HTTP/1.1 200"):
            self.refused = self._got
        self.answered += 1
        self._got = b""
        if self._transport is not None:
            self._transport.write(_REQUEST)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()


async def measure(ground: Ground) -> AsyncIterator[Figure]:
    """Yield how many flows of three steps come in per second, counted by their answers and checked against the table."""
    seconds = 2.0 if ground.is_quick else 5.0
    async with ground.database("registrations") as url, session(url) as connection:
        async with serving("bench.tasks", database=url, folder=ground.folder, http=True) as served:
            loop = asyncio.get_running_loop()
            callers = [(await loop.create_connection(_Caller, "127.0.0.1", served.port or 0))[1] for _ in range(_CONNECTIONS)]
            await asyncio.sleep(_WARM_UP_SECONDS)
            processes = [served.process.pid], await backends(connection)
            used = [cpu_seconds(pids) for pids in processes]
            before, began = sum(caller.answered for caller in callers), perf_counter()
            await asyncio.sleep(seconds)
            count, passed = sum(caller.answered for caller in callers) - before, perf_counter() - began
            python, server = ((cpu_seconds(pids) - so_far) / count * 1e6 for pids, so_far in zip(processes, used, strict=True))
            for caller in callers:
                caller.close()
        refused = next((caller.refused for caller in callers if caller.refused), None)
        if refused:
            raise RuntimeError(f"a registration was refused: {refused!r}")
        answered, stored = sum(caller.answered for caller in callers), await connection.fetchval("SELECT count(*) FROM kr_flow_stat")
        if stored < answered:
            raise RuntimeError(f"{answered} flows were answered and {stored} are stored")
    effort = f"per flow {python:.0f} µs of CPU in Python, {server:.0f} in PostgreSQL"
    note = f"POST of a three-step flow whose runAt is far, so that nothing runs; {_CONNECTIONS} connections, {seconds:.0f} s; {effort}"
    yield Figure("durable registrations", count / passed, "/s", "registrations", note=note)
