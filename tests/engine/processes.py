"""Real processes of `serve`, for what only a process can do: be killed, be stopped, be told to end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import flower
from tests.engine.living import until

SHORT = {"FLOWER_LEASE": "2", "FLOWER_BEAT": "0.2", "FLOWER_PROBE": "0.2"}
_BEGIN_SECONDS = 20

APP = """
import asyncio, ctypes, os, resource, signal, time
from flower import context, task

@task
async def short(seconds: float = 0.01) -> None:
    await asyncio.sleep(seconds)

@task
async def hold() -> None:
    await asyncio.sleep(600)

@task
async def slow_at_first(seconds: float) -> str:
    await asyncio.sleep(seconds if context().attempt == 1 else 0)
    return f"attempt {context().attempt}"

@task
async def deaf() -> None:
    while True:
        try:
            await asyncio.sleep(600)
        except asyncio.CancelledError:
            pass

@task
def stuck() -> None:
    time.sleep(600)

@task
async def exits_below() -> None:
    async def leave() -> None:
        raise SystemExit(9)
    async with asyncio.TaskGroup() as group:
        group.create_task(leave())
        group.create_task(asyncio.sleep(600))

@task
async def cancels_all() -> None:
    for other in asyncio.all_tasks():
        if other is not asyncio.current_task():
            other.cancel()

@task
async def block(seconds: float) -> None:
    time.sleep(seconds)

@task
async def is_killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)

@task
async def reads_nowhere() -> None:
    ctypes.string_at(0)

@task
async def takes_all_memory() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30))
    try:
        bytearray(2**31)
    except MemoryError:
        os.abort()
"""


class Process:
    """One `python -m flower serve` of *module* in *folder*, on the database at *url*, without HTTP unless *arguments* name a port.

    *path*: where another Flower than this checkout's lies.
    """

    def __init__(
        self, folder: Path, url: str, *arguments: str, module: str = "app.py", settings: Mapping[str, str] | None = None, path: Path | None = None
    ) -> None:
        (folder / "app.py").write_text(APP)
        environ = {name: value for name, value in os.environ.items() if not name.startswith(("FLOWER_", "DB_"))}
        # The process works in a folder of its own, and still with this checkout.
        checkout = Path(flower.__file__).parents[1]
        environ |= {"PYTHONPATH": os.pathsep.join(map(str, filter(None, (path, checkout))))} | dict(settings or {})
        self.log = folder / f"{len(list(folder.glob('*.log')))}.log"
        with self.log.open("w") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "flower", "serve", module, "--database", url, *(arguments or ("--no-http",))],
                cwd=folder,
                env=environ,
                stdout=subprocess.DEVNULL,
                stderr=log,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    def memory(self) -> float:
        """Return how much of the machine's memory it has, in MiB."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) / 1024

    def said(self, event: str) -> list[dict[str, Any]]:
        """Return the lines of the log with *event*."""
        lines = (line for line in self.log.read_text().splitlines() if f'"{event}"' in line and line.endswith("}"))
        return [said for line in lines if (said := json.loads(line))["event"] == event]

    async def begun(self) -> None:
        await until(lambda: self.said("serve.ready") or not self.is_running, seconds=_BEGIN_SECONDS)
        assert self.is_running, self.log.read_text()

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    async def ended(self, *, seconds: float = 10) -> int:
        """Return the exit status once the process has ended. Fails after *seconds*."""
        await until(lambda: not self.is_running, seconds=seconds)
        return self._process.returncode

    def kill(self) -> None:
        """End what a test has left."""
        self._process.kill()
        self._process.wait()
