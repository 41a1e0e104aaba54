"""Somebody with a terminal in a folder, and a Flower that serves there."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

READY_SECONDS = 20
# What tells the tests which server to use would be a misspelt setting to Flower itself.
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith(("FLOWER_", "PG", "DB_"))}
FLOWER = [sys.executable, "-m", "flower"]


@dataclass(frozen=True)
class Terminal:
    """Commands are written for port 8000 and the project's own .venv; here they go to *port*, and to the Python that runs the tests."""

    folder: Path
    port: int

    def run(self, command: str) -> str:
        """Return what *command* prints; an exit status that is not 0 fails the test."""
        command = command.replace(".venv/bin/python", sys.executable).replace("localhost:8000", f"localhost:{self.port}")
        done = subprocess.run(["bash", "-c", command], cwd=self.folder, env=ENVIRONMENT, capture_output=True, text=True, timeout=25, check=False)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        return done.stdout

    def query(self, sql: str) -> str:
        """Return what psql prints for *sql*."""
        psql = [*FLOWER, "psql", "--no-psqlrc", "-v", "ON_ERROR_STOP=1", "-At"]
        return subprocess.run(psql, cwd=self.folder, env=ENVIRONMENT, input=sql, capture_output=True, text=True, timeout=25, check=True).stdout

    def is_ready(self) -> bool:
        """Whether Flower can do its work."""
        try:
            with urllib.request.urlopen(f"http://localhost:{self.port}/readyz", timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, ConnectionError):
            return False


@contextmanager
def serving(folder: Path, module: str) -> Iterator[Terminal]:
    """Serve *module* in *folder* while inside, with an embedded PostgreSQL; it must end with 0."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    terminal = Terminal(folder, port)
    serve = [*FLOWER, "serve", module, "--port", str(port), "--grace", "0"]
    with (folder / "serve.log").open("w") as log, subprocess.Popen(serve, cwd=folder, env=ENVIRONMENT, stderr=log) as server:
        try:
            until = time.monotonic() + READY_SECONDS
            while not terminal.is_ready():
                assert server.poll() is None, (folder / "serve.log").read_text()
                assert time.monotonic() < until, (folder / "serve.log").read_text()
                time.sleep(0.05)
            yield terminal
            server.send_signal(signal.SIGINT)
            assert server.wait(timeout=10) == 0, (folder / "serve.log").read_text()
        finally:
            server.kill()
