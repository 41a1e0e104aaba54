"""The commands of recovery as somebody types them, against one process that serves."""

from __future__ import annotations

import json
import shlex
import subprocess
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.terminal import ENVIRONMENT, FLOWER, Terminal, serving
from tests.test_tutorial import home

pytestmark = pytest.mark.timeout(120)

MODULE = """
import time
from pathlib import Path
from flower import Suspend, task, workflow

OPEN = Path(__file__).with_name("open")

@task
def ask(order: int) -> str:
    print("asked", order)
    if not OPEN.exists():
        raise ConnectionError(f"order {order}: the vendor is away")
    return "ok"

@task
def approve(answer: str) -> bool:
    raise Suspend("look at it")

@workflow
def orders(order: int = 1) -> bool:
    return approve(ask(order))

@task
def talk() -> None:
    for number in range(5):
        print("word", number, flush=True)
        time.sleep(0.2)

@workflow
def talks() -> None:
    talk()
"""


@pytest.fixture(scope="module")
def terminal(short_folder: Path) -> Iterator[Terminal]:
    folder = home(short_folder, "recovery")
    (folder / "recovery.py").write_text(MODULE)
    with serving(folder, "recovery.py") as terminal:
        yield terminal


def flower(terminal: Terminal, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [*FLOWER, *arguments]
    return subprocess.run(command, cwd=terminal.folder, env={**ENVIRONMENT, **environment}, capture_output=True, text=True, timeout=30, check=False)


def said(terminal: Terminal, *arguments: str) -> Any:
    done = flower(terminal, *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def until(fact: Any) -> None:
    end = time.monotonic() + 15
    while not fact():
        assert time.monotonic() < end
        time.sleep(0.1)


def test_many_flows_that_fail_alike_are_one_incident_and_run_again_together(terminal: Terminal) -> None:
    for order in range(3):
        flower(terminal, "start", "orders", "--param", f"order={order}")
    until(lambda: [item["flows"] for item in said(terminal, "incidents")["items"]] == [3])
    (incident,) = said(terminal, "incidents")["items"]
    assert (incident["program"], incident["type"]) == ("ask", "ConnectionError")
    assert "order" in terminal.run(".venv/bin/python -m flower incidents")

    assert flower(terminal, "rerun", "--all", "--since", "-1h", "--dry-run").stdout == "would run: 3 flows, 6 tasks\n"
    assert said(terminal, "rerun", "--all", "--workflow", "nope") == {"flows": 0, "refused": 0}
    (terminal.folder / "open").touch()
    assert flower(terminal, "rerun", "--incident", incident["id"][:6]).stdout == "run again: 3 flows\n"
    until(lambda: len(said(terminal, "flows", "--status", "approval")["items"]) == 3)
    assert said(terminal, "incidents")["items"] == []


def test_the_command_under_a_plan_does_what_the_plan_says(terminal: Terminal) -> None:
    (terminal.folder / "open").unlink(missing_ok=True)
    flow = flower(terminal, "start", "orders").stdout.strip()
    until(lambda: "suspend failed" in flower(terminal, "show", flow).stdout)
    refused = flower(terminal, "repro", flow, "approve")
    assert (refused.returncode, "has not run yet" in refused.stderr) == (1, True)

    flower(terminal, "suspend", flow, "--reason", "vendor")
    assert "nothing new of it starts (vendor)" in flower(terminal, "show", flow).stdout
    planned = flower(terminal, "rerun", flow, "--from", "ask", "--param", "order=7", "--dry-run").stdout
    (command,) = [line for line in planned.splitlines() if line.startswith("do exactly this with: ")]
    done = flower(terminal, *shlex.split(command)[shlex.split(command).index("flower") + 1 :])

    assert (done.returncode, f"before python -m flower resume {flow}" in done.stdout) == (0, True), done.stderr
    assert said(terminal, "show", flow)["tasks"][0]["parameters"] == {"order": "7"}
    assert flower(terminal, "cancel", flow).stdout == "cancelled: 2 tasks will not run; the flow is not suspended any more\n"


def test_a_plan_for_many_says_which_would_be_refused(terminal: Terminal) -> None:
    (terminal.folder / "open").unlink(missing_ok=True)
    began = datetime.now(UTC).isoformat()
    failed = flower(terminal, "start", "orders").stdout.strip()
    until(lambda: "suspend failed" in flower(terminal, "show", failed).stdout)
    (terminal.folder / "open").touch()
    asking = flower(terminal, "start", "orders").stdout.strip()
    until(lambda: "flower complete" in flower(terminal, "show", asking).stdout)

    planned = flower(terminal, "rerun", "--all", "--status", "suspend", "--since", began, "--dry-run")

    assert (planned.returncode, planned.stdout) == (0, "would run: 1 flow, 2 tasks; would be refused: 1\n")
    assert asking in planned.stderr


def test_an_approval_is_shown_answered_and_kept(terminal: Terminal) -> None:
    (terminal.folder / "open").touch()
    flow = flower(terminal, "start", "orders").stdout.strip()
    until(lambda: "waits for a person: Suspend: look at it" in flower(terminal, "show", flow).stdout)
    wrong = flower(terminal, "complete", flow, "approve", "--result", '"many"')
    assert (wrong.returncode, "boolean is wanted" in wrong.stderr) == (1, True)

    assert flower(terminal, "complete", flow, "approve", "--result", "true", "--reason", "fine").stdout == "approve is finished with that result\n"

    shown = flower(terminal, "show", flow).stdout
    assert "finish at" in shown
    assert ": complete 2 (fine)" in shown


def test_a_flow_that_is_suspended_says_so_and_goes_on(terminal: Terminal) -> None:
    flow = flower(terminal, "start", "orders", "--at", "+1h").stdout.strip()
    flower(terminal, "suspend", flow, "--reason", "vendor outage")
    assert "nothing new of it starts (vendor outage)" in flower(terminal, "show", flow).stdout
    assert "wait (suspended)" in flower(terminal, "flows", "--limit", "1").stdout
    told = flower(terminal, "why", flow).stdout
    assert "waits until" in told
    assert "the flow is suspended: vendor outage" in told

    assert flower(terminal, "resume", flow).returncode == 0
    assert flower(terminal, "retry", flow, "ask").stdout == "ask runs again\n"
    until(lambda: "finish" in flower(terminal, "show", flow).stdout)
    assert flower(terminal, "cancel", flow).stdout == "cancelled: 1 task will not run\n"


def test_what_a_task_says_is_followed_to_its_end(terminal: Terminal) -> None:
    flow = flower(terminal, "start", "talks").stdout.strip()

    followed = flower(terminal, "logs", flow, "--follow").stdout.splitlines()

    assert [line.split("talk  ")[1] for line in followed] == [f"word {number}" for number in range(5)]
    assert [json.loads(line)["message"] for line in flower(terminal, "logs", flow, "talk", "--json").stdout.splitlines()][-1] == "word 4"


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (["rerun"], "name a flow, or say --all"),
        (["rerun", "last", "--all"], "name a flow, or say --all"),
        (["rerun", "last", "--status", "failed"], "choose among --all flows"),
        (["complete", "last", "x", "--result", "{"], "not JSON"),
        (["rerun", "--all", "--since", "soon"], "is no time"),
    ],
)
def test_wrong_usage_is_a_sentence(terminal: Terminal, line: list[str], told: str) -> None:
    done = flower(terminal, *line)
    assert (done.returncode, told in done.stderr) == (2, True), done.stderr


def test_who_is_told_of_failures_can_be_tried(terminal: Terminal) -> None:
    heard: list[Any] = []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    assert flower(terminal, "notify").returncode == 78
    with HTTPServer(("127.0.0.1", 0), Hook) as server:
        threading.Thread(target=server.handle_request).start()
        url = f"http://127.0.0.1:{server.server_port}/"
        assert flower(terminal, "notify", "--test", FLOWER_ON_FAILURE=url).stdout == f"{url} took it\n"
    assert heard[0]["event"] == "incident.opened"
    assert "cannot be reached" in flower(terminal, "notify", "--test", FLOWER_ON_FAILURE="http://127.0.0.1:1/").stderr
