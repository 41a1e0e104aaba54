"""The tasks that are measured. `python -m flower serve bench.tasks` runs them."""

from __future__ import annotations

import asyncio
import os
import socket
import time

from flower import task

# Where the latency measurement listens.
SOCKET = "BENCH_SOCKET"
_wire = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)


@task
async def noop() -> None:
    """Do nothing."""


@task
async def speak() -> None:
    """Say a line."""
    print("one line of a task, of ordinary length, with a number in it: 42")


@task
async def rest(seconds: float) -> None:
    """Wait, as for an answer from elsewhere."""
    await asyncio.sleep(seconds)


@task
async def fibo(n: int) -> int:
    """Return the *n*th Fibonacci number, the slow way."""
    return _fibo(n)


def _fibo(n: int) -> int:
    return n if n < 2 else _fibo(n - 1) + _fibo(n - 2)


@task
async def stamp() -> None:
    """Say when user code was entered, by the machine's clock."""
    entered = time.time()
    _wire.sendto(str(entered).encode(), os.environ[SOCKET])
