"""A real `python -m flower serve`, started and ended by us, as a user's would be."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from time import perf_counter

from bench.ground import session
from bench.report import ROOT

_READY_SECONDS = 60.0
_END_SECONDS = 15.0
_LOOK_AGAIN_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Served:
    """A process that is ready. *port* of its HTTP interface, None without one. *ready_seconds*: from its start until it was."""

    process: subprocess.Popen[bytes]
    port: int | None
    ready_seconds: float


class NotReady(Exception):
    """The process ended, or did not become ready. Says what it wrote last."""


@asynccontextmanager
async def serving(
    *options: str, database: str | None, folder: Path, http: bool = False, level: str = "warning", environ: Mapping[str, str] | None = None
) -> AsyncIterator[Served]:
    """Keep `serve` with *options* running in *folder*, where its log goes. Without *database* it makes its own there."""
    port = _free_port() if http else None
    command = [sys.executable, "-m", "flower", "serve", *(["--port", str(port)] if port else ["--no-http"]), *options]
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("FLOWER_", "DB_"))}
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    mine = {"FLOWER_LOG_LEVEL": level, "FLOWER_LOG_FORMAT": "json", "PYTHONPATH": path} | ({"FLOWER_DATABASE_URL": database} if database else {})
    log = folder / "serve.log"
    with log.open("wb") as stderr:
        began = perf_counter()
        process = subprocess.Popen(
            command, cwd=folder, env={**clean, **mine, **(environ or {})}, stdin=subprocess.DEVNULL, stdout=stderr, stderr=stderr
        )
        try:
            await _ready(process, port, database, log)
            yield Served(process, port, perf_counter() - began)
        finally:
            await _end(process)


async def _ready(process: subprocess.Popen[bytes], port: int | None, database: str | None, log: Path) -> None:
    is_ready: Callable[[], Awaitable[bool]]
    async with AsyncExitStack() as stack:
        if port is not None:
            is_ready = partial(_answers, port)
        else:
            connection = await stack.enter_async_context(session(str(database)))
            is_ready = partial(connection.fetchval, "SELECT EXISTS (SELECT FROM kr_worker WHERE pid = $1)", process.pid)
        until = perf_counter() + _READY_SECONDS
        while perf_counter() < until and process.poll() is None:
            if await is_ready():
                return
            await asyncio.sleep(_LOOK_AGAIN_SECONDS)
    raise NotReady(log.read_text(errors="replace")[-2000:] or "it said nothing")


async def _answers(port: int) -> bool:
    asking = HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        asking.request("GET", "/readyz")
        return asking.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        asking.close()


async def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        await asyncio.to_thread(process.wait, _END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        await asyncio.to_thread(process.wait)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
