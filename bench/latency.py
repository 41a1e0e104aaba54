"""How long an idle process takes from a POST to user code. One request at a time; both ends read the machine's clock."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from http.client import HTTPConnection
from statistics import quantiles

from bench.ground import Ground, session
from bench.report import Figure
from bench.served import serving
from bench.tasks import SOCKET
from bench.workflows import add_noops
from flower.database.pool import Connection

# So that the process has recorded the last task and sleeps again before the next request.
_PAUSE_SECONDS = 0.02
_WARM_UP = 20
# The load beside it, in tasks a second, and how often some of them come.
_LOAD = 2_000
_LOAD_SECONDS = 0.05


async def measure(ground: Ground) -> AsyncIterator[Figure]:
    """Yield the median and the 99th percentile over single POSTs to one process, idle and beside a steady load."""
    times, address = 100 if ground.is_quick else 300, ground.folder / "stamps"
    async with ground.database("latency") as url, session(url) as connection:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as stamps:
            stamps.bind(str(address))
            stamps.settimeout(10)
            async with serving("bench.tasks", database=url, folder=ground.folder, http=True, environ={SOCKET: str(address)}) as served:
                idle = await asyncio.to_thread(_ask, served.port, stamps, times)
                load = asyncio.create_task(_load(connection))
                busy = await asyncio.to_thread(_ask, served.port, stamps, times)
                load.cancel()
    for state, taken, budgets in (("idle", idle, ("latency p50", "latency p99")), (f"{_LOAD:,} tasks/s beside it", busy, (None, None))):
        percentiles = quantiles(taken, n=100)
        note = f"{times} single POSTs, {_PAUSE_SECONDS * 1000:.0f} ms apart; from before the request is written"
        yield Figure(f"{state}, POST to user code entered, p50", percentiles[49], "ms", budgets[0], note=note)
        yield Figure(f"{state}, POST to user code entered, p99", percentiles[98], "ms", budgets[1], note=f"worst {max(taken):.1f} ms")


async def _load(connection: Connection) -> None:
    """Register no-op flows at a steady pace, for ever."""
    while True:
        await add_noops(connection, int(_LOAD * _LOAD_SECONDS))
        await asyncio.sleep(_LOAD_SECONDS)


def _ask(port: int | None, stamps: socket.socket, times: int) -> list[float]:
    asking = HTTPConnection("127.0.0.1", port, timeout=10)
    taken = []
    for _ in range(_WARM_UP + times):
        time.sleep(_PAUSE_SECONDS)
        began = time.time()
        asking.request("POST", "/register/stamp")
        entered = float(stamps.recv(64))
        answer = asking.getresponse()
        answer.read()
        if answer.status != 200:
            raise RuntimeError(f"POST /register/stamp was answered {answer.status}")
        taken.append((entered - began) * 1000)
    asking.close()
    return taken[_WARM_UP:]
