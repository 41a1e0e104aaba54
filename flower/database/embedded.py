"""The PostgreSQL that Flower brings along: found, started or adopted, kept alive, and stopped by the last process that uses it.

All of it lies in `.flower/`. As root the server runs as a service user; where that user cannot reach the folder, `.flower/data` is a link
to a folder under /var/lib/flower.
"""

from __future__ import annotations

import asyncio
import os
import random
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from flower.core import log
from flower.core.errors import ConfigurationError
from flower.database.binaries import installed_programs
from flower.database.cluster import Cluster, Postmaster
from flower.database.owners import Owners, write_private

_log = log.get()

NAME = ".flower"
_LOOK_AGAIN_SECONDS = 0.25
# One file of its log: without that it does not start.
_ROOM_TO_START = 16 * 2**20
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.1, 10.0


@dataclass(slots=True)
class Server:
    """A running embedded server. *url* has its password. *restarts*: how often it had to be started again while we used it."""

    folder: Path
    url: str = field(repr=False)
    restarts: int = 0


def find(start: Path) -> Path | None:
    """Return the `.flower/` folder of *start*: there, or in the nearest folder above it; None if there is none."""
    start = start.absolute()
    return next((folder / NAME for folder in (start, *start.parents) if (folder / NAME).is_dir()), None)


def url_of(folder: Path) -> str:
    """Return the URL, with password, of the server in *folder*, whether it runs or not. Raises ConfigurationError where there is none."""
    return Cluster(folder).url


def is_full(folder: Path) -> bool:
    """Whether the disk has too little room for the server in *folder* to start. Asked when it does not answer."""
    try:
        return shutil.disk_usage(Cluster(folder).data).free < _ROOM_TO_START
    except OSError:  # the data are gone: that is worse, and something else
        return False


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[Server]:
    """Keep the server in *folder* running for as long as the block: made, started or adopted; started again whenever it dies.

    Other processes may use it at the same time; whoever leaves last stops it. Raises ConfigurationError, with what to do.
    """
    cluster = Cluster(folder)
    folder, owners = cluster.folder, Owners(cluster.folder)
    try:
        prepare(folder)
        async with owners.locked():
            await cluster.make()
            owners.enter()
            try:
                master = await cluster.start()
            except BaseException:
                if owners.leave():
                    await cluster.stop()
                raise
    except OSError as error:
        advice = "run Flower where you may write, or use --database URL"
        raise ConfigurationError(f"the embedded PostgreSQL needs to write in {folder} ({error.strerror or error}): {advice}") from error
    server = Server(folder, cluster.url)
    keeper = asyncio.create_task(_keep(server, cluster, owners, master), name="embedded PostgreSQL")
    try:
        yield server
    finally:
        keeper.cancel()
        try:
            with suppress(asyncio.CancelledError):
                await keeper
        finally:
            async with owners.locked():
                if owners.leave():
                    await cluster.stop()


def prepare(folder: Path) -> None:
    """Make *folder*, which git ignores, if it is not there. Other processes may do so in the same instant."""
    if not folder.exists():
        installed_programs()  # if there are none, leave no trace
        folder.mkdir(parents=True, exist_ok=True)
        # Root's server is another user, who has to pass through.
        folder.chmod(0o711 if os.geteuid() == 0 else 0o700)
    ignore = folder / ".gitignore"
    if not ignore.exists():
        write_private(ignore, "*\n")


async def _keep(server: Server, cluster: Cluster, owners: Owners, master: Postmaster) -> None:
    while True:
        await _end_of(master)
        _log.warning("postgres.lost", pid=master.process.pid, reason=cluster.last_words())
        pause = _FIRST_PAUSE_SECONDS
        while True:
            try:
                async with owners.locked():
                    master = await cluster.start()
                break
            except (ConfigurationError, OSError) as error:
                # A full disk, say: whoever makes room finds us trying.
                _log.error("postgres.not_restarted", reason=str(error))
                await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311 - jitter
                pause = min(_LONGEST_PAUSE_SECONDS, pause * 2)
        server.restarts += 1
        _log.warning("postgres.restarted", pid=master.process.pid)


async def _end_of(master: Postmaster) -> None:
    """Return when the server has ended. It may be another process's child."""
    try:
        handle = os.pidfd_open(master.process.pid)
    except (OSError, AttributeError):  # gone already, or a system without
        while master.lives:  # noqa: ASYNC110 - nothing else tells of another process's child
            await asyncio.sleep(_LOOK_AGAIN_SECONDS)
        return
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(handle, ended.set)
    try:
        # Between our look at its lock file and now it may have ended, and another have taken its number.
        while master.lives:
            await ended.wait()
    finally:
        loop.remove_reader(handle)
        os.close(handle)
