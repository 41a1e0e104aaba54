"""The command line as people use it: real processes on a real folder, from the first `serve` to the last look."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread

import pytest

import flower

pytestmark = pytest.mark.timeout(120)

APP = """
from flower import task

@task
async def resize(url: str, width: int = 800) -> dict:
    if width < 0:
        raise ValueError(f"no such width: {width}")
    return {"url": url, "width": width}
"""
DEFINE = """
INSERT INTO ms_task_definition (task_id, task_seq, program, task_priority, name, parameters, depends_on)
VALUES ('resize_all', 1, 'resize', 0, 'small', '{"url": "a"}', NULL), ('resize_all', 2, 'resize', 0, 'large', '{"url": "b"}', NULL)
"""
SLEEP = "DO $$BEGIN RAISE WARNING 'begun'; PERFORM pg_sleep(600); END$$"
SECONDS = 60


class Terminal:
    """Someone in a folder with a shell."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.started: list[Started] = []
        # What a command line begins with; before it may come what makes one somebody else.
        self.flower = [sys.executable, "-m", "flower"]
        self.environ = {name: value for name, value in os.environ.items() if not name.startswith(("FLOWER_", "DB_"))}
        # The processes work in folders of their own, and still with this checkout.
        self.environ["PYTHONPATH"] = str(Path(flower.__file__).parents[1])

    def run(self, *line: str, feed: str | None = None) -> subprocess.CompletedProcess[str]:
        command = [*self.flower, *line]
        return subprocess.run(command, cwd=self.folder, env=self.environ, input=feed, capture_output=True, text=True, timeout=SECONDS, check=False)

    def start(self, *line: str) -> Started:
        command = [*self.flower, *line]
        pipe = subprocess.PIPE
        process = subprocess.Popen(command, cwd=self.folder, env=self.environ, stdout=pipe, stderr=pipe, text=True, start_new_session=True)
        self.started.append(Started(process))
        return self.started[-1]

    @contextmanager
    def serving(self, *line: str) -> Iterator[Started]:
        process = self.start("serve", *line)
        try:
            process.until(lambda said: "serve.ready" in said)
            yield process
        finally:
            process.stop(signal.SIGTERM)

    @property
    def server_runs(self) -> bool:
        return (self.folder / ".flower/data/postmaster.pid").exists()

    def clean(self) -> None:
        """End what a failed test has left behind."""
        for started in self.started:
            if started.process.poll() is None:
                started.stop(signal.SIGTERM)


class Started:
    """A process whose stderr is read as it comes."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.said = ""

    def until(self, fits: Callable[[str], bool]) -> str:
        """Return the line of stderr that *fits*. Fails if the process ends first; pytest's limit guards the wait."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.said += line
            if fits(line):
                return line
        raise AssertionError(f"ended with {self.process.wait()}: {self.said}")

    def stop(self, number: signal.Signals) -> int:
        """Send *number*, if the process still lives, and return the exit status once it is gone."""
        self.process.send_signal(number)
        return self.end()

    def ctrl_c(self) -> int:
        """Do as a terminal does at Ctrl-C: tell the process and its children. Return the exit status."""
        os.killpg(self.process.pid, signal.SIGINT)
        return self.end()

    def end(self) -> int:
        """Return the exit status once the process is gone. What it still says is kept."""
        assert self.process.stderr is not None
        if self.process.stderr.closed:
            return self.process.returncode
        rest = Thread(target=self._listen)
        rest.start()
        try:
            return self.process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        finally:
            rest.join()
            for stream in (self.process.stderr, self.process.stdout):
                if stream is not None:
                    stream.close()

    def _listen(self) -> None:
        assert self.process.stderr is not None
        self.said += self.process.stderr.read()


@contextmanager
def terminal() -> Iterator[Terminal]:
    # Not pytest's own folder: the user that PostgreSQL runs as under root may not enter it, and the data would lie, and stay, elsewhere.
    with TemporaryDirectory(prefix="flower-cli-") as folder:
        Path(folder).chmod(0o711)
        at = Terminal(Path(folder))
        try:
            yield at
        finally:
            at.clean()


@pytest.fixture(scope="module")
def at() -> Iterator[Terminal]:
    with terminal() as at:
        (at.folder / "app.py").write_text(APP)
        yield at


@pytest.fixture(scope="module")
def served(at: Terminal) -> Iterator[Terminal]:
    with at.serving("app.py", "--port", "0"):
        defined = at.run("psql", "-c", DEFINE)
        assert defined.returncode == 0, defined.stderr
        yield at


def test_serve_says_where_everything_is(served: Terminal) -> None:
    data = f"{served.folder}/.flower (an embedded PostgreSQL)"
    with served.serving("--no-http") as second:
        ready = json.loads(second.said.splitlines()[-1])
    assert (ready["api"], ready["data"], ready["psql"]) == (None, data, "python -m flower psql")


def test_serve_tells_people_in_plain_words(served: Terminal) -> None:
    served.environ["FLOWER_LOG_FORMAT"] = "console"
    try:
        process = served.start("serve", "--port", "0", "--token", "a-long-secret")
        process.until(lambda said: "Flower is ready." in said)
        api = process.until(lambda said: said.startswith("  API"))
        assert "http://127.0.0.1:" in api
        assert "Authorization: Bearer $FLOWER_TOKEN" in api
        assert process.ctrl_c() == 0
        assert "a-long-secret" not in process.said
    finally:
        del served.environ["FLOWER_LOG_FORMAT"]


def test_start_and_wait_ends_with_0_and_shows_the_flow(served: Terminal) -> None:
    answer = served.run("start", "resize_all", "--param", "width=400", "--wait")
    assert answer.returncode == 0, answer.stderr
    assert "✓ 2 large: finish" in answer.stderr
    assert "of workflow resize_all: finish" in answer.stdout
    assert '{"url": "b", "width": 400}' in answer.stdout


def test_start_and_wait_ends_with_1_and_leads_with_the_failing_task(served: Terminal) -> None:
    answer = served.run("start", "resize_all", "--param", "width=-1", "--wait")
    assert answer.returncode == 1, answer.stderr
    assert "Task 1 (small) failed" in answer.stdout
    assert "ValueError: no such width: -1" in answer.stdout
    assert "app.py:7 in resize" in answer.stdout


def test_start_and_wait_ends_with_3_when_only_a_person_can_go_on(served: Terminal) -> None:
    waiting = served.start("start", "resize_all", "--at", "+1d", "--wait")
    flow_id = waiting.until(lambda said: "see it with" in said).split()[-1]
    served.run("psql", "-c", f"UPDATE kr_task_stat SET exec_status = 2, outcome = 'approval' WHERE task_flow_id = '{flow_id}' AND task_exec_seq = 1")
    assert waiting.end() == 3


def test_start_prints_the_id_alone_on_stdout(served: Terminal) -> None:
    answer = served.run("register", "resize_all", "--key", "order-7")
    flow_id = answer.stdout.strip()
    again = served.run("start", "resize_all", "--key", "order-7", "--json")
    assert json.loads(again.stdout) == {"status": "succeeded", "taskId": "resize_all", "taskFlowId": flow_id, "duplicate": True}
    assert served.run("start", "resize_all", "--key", "order-7", "--param", "width=1").returncode == 1


def test_a_parameter_that_no_step_takes_is_refused(served: Terminal) -> None:
    answer = served.run("start", "resize_all", "--param", "nope=1")
    assert answer.returncode == 1
    assert "parameters.nope" in answer.stderr


def test_an_unknown_workflow_is_refused_with_near_names(served: Terminal) -> None:
    answer = served.run("start", "resize_al")
    assert answer.returncode == 1
    assert "did you mean resize_all" in answer.stderr


def test_flows_are_found_by_a_beginning_and_by_last(served: Terminal) -> None:
    flow_id = served.run("start", "hello", "--wait", "--json").stdout
    flow_id = json.loads(flow_id)["flowId"]
    assert json.loads(served.run("show", "last", "--json").stdout)["flowId"] == flow_id
    assert flow_id in served.run("show", flow_id[:-2]).stdout
    assert flow_id in served.run("flows", "--workflow", "hello", "--limit", "1").stdout
    assert served.run("show", "nothing-like-it").returncode == 1


def test_why_names_what_each_task_waits_for(served: Terminal) -> None:
    flow_id = served.run("start", "resize_all", "--at", "+1d").stdout.strip()
    told = served.run("why", flow_id).stdout.splitlines()
    assert "waits until" in told[1]
    assert "waits for task 1 (small)" in told[2]
    assert json.loads(served.run("why", flow_id, "--json").stdout)["items"][0]["gate"] == "time"


def test_workflows_are_listed_with_their_steps(served: Terminal) -> None:
    assert "small (resize), large (resize)" in served.run("workflows").stdout
    names = [item["workflow"] for item in json.loads(served.run("workflows", "--json").stdout)["items"]]
    assert {"hello", "example", "resize_all"} <= set(names)


def test_psql_passes_its_arguments_input_and_exit_status_on(served: Terminal) -> None:
    assert served.run("psql", "--", "-At", "-c", "SELECT 6 * 7").stdout == "42\n"
    assert served.run("psql", "-At", feed="SELECT count(*) > 0 FROM kr_flow_stat").stdout == "t\n"
    assert served.run("psql", "-c", "SELECT * FROM nowhere").returncode == 1


def test_url_is_for_other_programs(served: Terminal) -> None:
    url = served.run("url").stdout.strip()
    assert served.run("flows", "--database", url).returncode == 0


def test_doctor_finds_nothing_wrong_while_flower_serves(served: Terminal) -> None:
    answer = served.run("doctor")
    assert answer.returncode == 0, answer.stdout
    assert "✗" not in answer.stdout
    checks = {check["name"]: check for check in json.loads(served.run("doctor", "--json").stdout)["checks"]}
    assert checks["workers"]["ok"] is checks["schema"]["ok"] is checks["transactions"]["ok"] is True
    assert "kr_" in checks["size"]["detail"]


def test_a_reader_that_has_seen_enough_is_no_error(served: Terminal) -> None:
    line = f"{sys.executable} -m flower flows --json | head -c 1"
    answer = subprocess.run(line, shell=True, cwd=served.folder, env=served.environ, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert answer.stdout == "{"
    assert answer.stderr == ""


@pytest.fixture
def empty() -> Iterator[Terminal]:
    """An empty folder."""
    with terminal() as at:
        yield at


@pytest.fixture
def alone(empty: Terminal) -> Terminal:
    """A folder with a migrated database that nobody uses."""
    (empty.folder / ".flower").mkdir()
    assert empty.run("migrate").stdout.splitlines()[-1] == "applied functions"
    return empty


def test_migrate_says_when_there_is_nothing_to_do(alone: Terminal) -> None:
    assert alone.run("migrate").stdout == "already current\n"
    assert json.loads(alone.run("migrate", "--json").stdout) == {"applied": []}


def test_ctrl_c_in_psql_stops_its_query_and_then_the_server_that_was_started_for_it(alone: Terminal) -> None:
    psql = alone.start("psql", "-c", SLEEP)
    psql.until(lambda said: "begun" in said)
    assert alone.server_runs
    assert psql.ctrl_c() == 1
    assert "canceling statement due to user request" in psql.said
    assert "Traceback" not in psql.said
    assert not alone.server_runs


def test_the_password_of_psql_is_not_in_its_arguments(alone: Terminal) -> None:
    password = (alone.folder / ".flower/password").read_text().strip()
    psql = alone.start("psql", "-c", SLEEP)
    psql.until(lambda said: "begun" in said)
    arguments = b" ".join(path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists())
    assert SLEEP.encode() in arguments
    assert password.encode() not in arguments
    psql.ctrl_c()


def test_serve_ends_in_order_and_its_data_stays(empty: Terminal) -> None:
    with empty.serving("--port", "0") as serving:
        assert empty.server_runs
        flow_id = empty.run("start", "hello").stdout.strip()
        assert serving.ctrl_c() == 0
    assert not empty.server_runs
    assert flow_id in empty.run("flows").stdout
    assert not empty.server_runs


def test_a_stop_does_not_wait_for_a_database_that_does_not_answer(empty: Terminal) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        process = empty.start("serve", "--port", "0", "--database", f"postgresql://u:p@127.0.0.1:{silent.getsockname()[1]}/name")
        connection, _ = silent.accept()
        with connection:
            assert process.stop(signal.SIGTERM) == 0
    assert "serve.ends" in process.said
    assert "database.unreachable" not in process.said


def test_waiting_without_a_worker_says_so_and_goes_on_once_there_is_one(alone: Terminal) -> None:
    waiting = alone.start("start", "hello", "--wait")
    waiting.until(lambda said: "no worker is alive" in said and "python -m flower serve" in said)
    with alone.serving("--no-http"):
        assert waiting.end() == 0


def test_ctrl_c_stops_the_waiting_and_not_the_flow(alone: Terminal) -> None:
    waiting = alone.start("start", "hello", "--wait")
    waiting.until(lambda said: "no worker is alive" in said)
    assert waiting.ctrl_c() == 130
    assert "the flow goes on" in waiting.said
    assert "Traceback" not in waiting.said
    assert not alone.server_runs
    assert "wait" in alone.run("flows").stdout
