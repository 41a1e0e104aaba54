"""Who uses the embedded server: a list of processes in a file, kept under a lock. The last one out stops the server."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

_LOOK_AGAIN_SECONDS = 0.02
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT}


def open_private(path: Path, flags: int) -> int:
    """Open *path*, made for its folder's owner alone if it is new. Never follows a link: root may be working in somebody else's folder."""
    flags |= os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        handle = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return os.open(path, flags | os.O_CREAT, 0o600)
    if os.geteuid() == 0:
        folder = path.parent.stat()
        os.fchown(handle, folder.st_uid, folder.st_gid)
    return handle


def write_private(path: Path, text: str) -> None:
    """Write *text* to such a file."""
    with os.fdopen(open_private(path, os.O_WRONLY | os.O_TRUNC), "w", encoding="utf-8") as file:
        file.write(text)


@dataclass(frozen=True, slots=True)
class Process:
    """A process on this machine. *started* tells it from a later one with the same number; empty where the system does not say."""

    pid: int
    started: str

    @property
    def lives(self) -> bool:
        """Whether it still runs (a zombie does not)."""
        return process(self.pid) == self and (bool(self.started) or _exists(self.pid))


def process(pid: int) -> Process:
    """Return process *pid* as it is now; one that has ended has no start."""
    try:
        # The name, in parentheses, may hold anything: count behind its end. Then comes the state; field 22 is the start.
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return Process(pid, "")
    return Process(pid, "" if fields[0] in "ZX" else fields[19])


def _exists(pid: int) -> bool:
    if Path("/proc/self/stat").exists():
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


@dataclass(frozen=True, slots=True)
class Owners:
    """The owners of one server. Call its methods while holding `locked`."""

    folder: Path
    token: str = field(default_factory=lambda: uuid4().hex)

    @asynccontextmanager
    async def locked(self) -> AsyncIterator[None]:
        """Hold the lock that start, stop and the list are done under. The system frees it when a process dies."""
        handle = open_private(self.folder / "lock", os.O_RDWR)
        try:
            while True:
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    await asyncio.sleep(_LOOK_AGAIN_SECONDS)
            yield
        finally:
            os.close(handle)

    def enter(self) -> None:
        """Count this process in."""
        me = process(os.getpid())
        self._write([*self._others(), f"{me.pid} {me.started or '-'} {self.token}"])

    def leave(self) -> bool:
        """Count this process out. Return whether nobody is left."""
        others = self._others()
        self._write(others)
        return not others

    def _others(self) -> list[str]:
        try:
            lines = (self.folder / "owners").read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return []
        return [line for line in lines if not line.endswith(self.token) and _lives(line)]

    def _write(self, lines: list[str]) -> None:
        draft = self.folder / "owners.new"
        try:
            write_private(draft, "".join(f"{line}\n" for line in lines))
        except OSError as error:
            if error.errno not in _NO_ROOM:
                raise
            # The list stays as it was. Whoever should no longer stand in it soon ends, and counts no more; under whoever is missing the
            # server may be stopped: then he starts it again. Nobody is kept from looking at Flower, or from ending it, by a full disk.
            return
        draft.replace(self.folder / "owners")


def _lives(line: str) -> bool:
    try:
        pid, started, _ = line.split()
        return Process(int(pid), started.removeprefix("-")).lives
    except ValueError:
        return False
