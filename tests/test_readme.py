"""The README's commands, run one after the other in an empty folder, as somebody would who has just found it."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
READY_SECONDS = 20


def section(title: str) -> str:
    return README.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def blocks(title: str, language: str) -> list[str]:
    found = re.findall(rf"```{language}\n(.*?)```", section(title), flags=re.DOTALL)
    assert found, f"no {language} in {title}"
    return found


def commands(title: str) -> list[str]:
    return [line.removeprefix("$ ") for block in blocks(title, "console") for line in block.splitlines() if line.startswith("$ ")]


@dataclass(frozen=True)
class Reader:
    """Somebody with a terminal in an empty folder. The port is another than the README's, which may be taken."""

    folder: Path
    port: int

    def run(self, command: str) -> str:
        command = command.replace(".venv/bin/python", sys.executable).replace("localhost:8000", f"localhost:{self.port}")
        done = subprocess.run(["bash", "-c", command], cwd=self.folder, capture_output=True, text=True, timeout=25, check=False)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        return done.stdout

    def query(self, sql: str) -> str:
        psql = [sys.executable, "-m", "flower", "psql", "--no-psqlrc", "-v", "ON_ERROR_STOP=1", "-At"]
        return subprocess.run(psql, cwd=self.folder, input=sql, capture_output=True, text=True, timeout=25, check=True).stdout

    def is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://localhost:{self.port}/readyz", timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, ConnectionError):
            return False


@pytest.fixture
def reader(short_folder: Path) -> Iterator[Reader]:
    folder = short_folder / "readme"
    folder.mkdir()
    (folder / "app.py").write_text(blocks("Your own tasks", "python")[0])
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    reader = Reader(folder, port)
    serve = [sys.executable, "-m", "flower", "serve", "app.py", "--port", str(port), "--grace", "0"]
    with (folder / "serve.log").open("w") as log, subprocess.Popen(serve, cwd=folder, stderr=log) as server:
        try:
            until = time.monotonic() + READY_SECONDS
            while not reader.is_ready():
                assert server.poll() is None, (folder / "serve.log").read_text()
                assert time.monotonic() < until, (folder / "serve.log").read_text()
                time.sleep(0.05)
            yield reader
            server.send_signal(signal.SIGINT)
            assert server.wait(timeout=10) == 0, (folder / "serve.log").read_text()
        finally:
            server.kill()


@pytest.mark.timeout(90)
def test_what_the_readme_says_works(reader: Reader) -> None:
    setup, hello, show, example, psql = commands("Two commands")
    assert setup == "make run"
    assert '"status":"succeeded"' in reader.run(hello)
    assert "hello" in reader.run(show)
    assert '"taskId":"example"' in reader.run(example)
    assert psql.endswith("-m flower psql")
    assert reader.query(blocks("Two commands", "sql")[0]).startswith("UPDATE")

    serve, start = commands("Your own tasks")
    assert serve == "make run ARGS=app.py"
    reader.query(blocks("Your own tasks", "sql")[0])
    assert "finish" in reader.run(start)

    reader.query("CREATE TABLE orders (id integer, state text)")
    for statement in blocks("SQL is an interface", "sql"):
        assert "COMMIT" in reader.query(statement)
    assert reader.query("SELECT count(*) FROM kr_flow_stat WHERE task_id = 'resize_all'") == "2\n"
