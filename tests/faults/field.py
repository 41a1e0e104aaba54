"""The field of a fault: a server of its own, a few processes, the load, the ledger, and what a fault may do to them."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote, urlsplit
from uuid import uuid4

import asyncpg

from flower.core.errors import FlowerError
from flower.database import embedded
from flower.database.cluster import Cluster
from flower.database.migrate import migrate
from flower.database.pool import Connection, Pool, connect
from flower.testing.databases import with_database
from tests.database.routes import Route, tcp_route
from tests.engine.living import until
from tests.engine.processes import Process
from tests.faults.checker import Mark, Row, Seen, Verdict, check
from tests.faults.ledger import VARIABLE, Ledger
from tests.faults.load import Load, heal_failures, prepare

WORKERS = 3
_ROUND_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class Pace:
    """How long things last. *before*: seconds of load before the fault, and after it. *scale*: what the real times of a fault are multiplied with."""

    before: float
    per_second: float
    scale: float
    settings: dict[str, str]
    drain: float


# With the settings that Flower has by itself, as docs/faults.md has it.
REAL = Pace(before=15, per_second=330, scale=1, settings={}, drain=150)
# For `make check`: leases of two seconds, and about a thousand tasks.
SHORT = Pace(before=2.5, per_second=180, scale=0.06, settings={"FLOWER_LEASE": "2", "FLOWER_BEAT": "0.2", "FLOWER_PROBE": "0.5"}, drain=40)


@asynccontextmanager
async def server() -> AsyncIterator[Cluster]:
    """A PostgreSQL of the harness's own, with its ordinary settings; nobody but the faults starts it again."""
    with _folder() as root:
        cluster = Cluster(root)
        try:
            await cluster.make()
            await cluster.start()
            yield cluster
        finally:
            await cluster.stop()


@asynccontextmanager
async def small_server() -> AsyncIterator[Cluster]:
    """One on a disk of 400 MiB, kept alive by Flower as an embedded one is. Only root can make such a disk."""
    with _folder() as root, small_disk(root):
        async with embedded.running(root / embedded.NAME) as running:
            yield Cluster(running.folder)


@contextmanager
def small_disk(place: Path, size: str = "400m") -> Iterator[None]:
    """Mount a disk of *size* at *place*."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=711", "none", str(place)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


@contextmanager
def _folder() -> Iterator[Path]:
    """A folder that every user may pass through: root's server is another one."""
    root = Path(tempfile.mkdtemp(prefix="flower-faults-"))
    root.chmod(0o711)
    try:
        yield root
    finally:
        shutil.rmtree(root, ignore_errors=True)


class Field:
    """What a fault works with. `seconds`: a real time at this pace."""

    def __init__(self, cluster: Cluster, folder: Path, url: str, pace: Pace, rng: random.Random) -> None:
        self.cluster, self.folder, self.url, self.pace, self.rng = cluster, folder, url, pace, rng
        self.ledger = Ledger(folder / "ledger")
        self.workers: list[Process] = []
        self.routes: list[Route] = []
        self.marks: list[Mark] = []
        self.deaths: dict[int, float] = {}
        self.notes: dict[str, object] = {}
        self.may_stay_suspended: frozenset[str] = frozenset()
        self.pool = Pool(url, role="test", size=8)
        self.load = Load(self.pool, rng, per_second=pace.per_second)
        self._stack = AsyncExitStack()

    def seconds(self, real: float) -> float:
        return real * self.pace.scale

    # Processes.

    async def start(self, *arguments: str, route: Route | None = None, path: Path | None = None) -> Process:
        """Start a worker, over *route* or straight to the server; of the Flower in *path*, if one is given."""
        settings = self.pace.settings | {VARIABLE: str(self.ledger.path), "FLOWER_LOG_FORMAT": "json"}
        process = Process(
            self.folder,
            route.url if route else self.url,
            "--no-http",
            *(arguments or ("--concurrency", "40")),
            module="tests.faults.app",
            path=path,
            settings=settings,
        )
        self.workers.append(process)
        return process

    async def begun(self) -> None:
        """Wait until every process of this field that runs has a row."""
        for process in self.workers:
            if process.is_running:
                await process.begun()

    def kill(self, process: Process) -> None:
        """kill -9, noted."""
        process.send(signal.SIGKILL)
        self.deaths[process.pid] = time.monotonic()

    def any(self) -> Process:
        """Return one of the processes that run."""
        return self.rng.choice([process for process in self.workers if process.is_running])

    async def route(self) -> Route:
        """Return a way to the server on which things may go wrong."""
        route = await self._stack.enter_async_context(tcp_route(self.url, unquote(urlsplit(self.url).password or "")))
        route.dice = self.rng.random
        self.routes.append(route)
        return route

    @asynccontextmanager
    async def mark(self, *processes: Process) -> AsyncIterator[None]:
        """The block is the fault; it meets *processes*."""
        began = time.monotonic()
        yield
        self.marks.append(Mark(began, time.monotonic(), frozenset(process.pid for process in processes)))

    # The server.

    async def crash(self) -> None:
        """End the server as a failing machine does, and start it again."""
        master = self.cluster.find()
        assert master is not None
        os.kill(master.process.pid, signal.SIGQUIT)
        await until(lambda: not master.lives, seconds=20)
        await self.cluster.start()

    async def restart(self, pause: float = 0) -> None:
        """Stop the server in order, and start it again after *pause* seconds."""
        await self.cluster.stop()
        await asyncio.sleep(pause)
        await self.cluster.start()

    async def can_write(self) -> bool:
        """Whether the server takes a row just now."""
        try:
            await self.pool.execute("INSERT INTO written DEFAULT VALUES")
        except (FlowerError, asyncpg.PostgresError):
            return False
        return True

    async def execute(self, statement: str, *values: object) -> None:
        """Send what may take long."""
        connection = await connect(self.url, role="test")
        await connection.execute(statement, *values, timeout=None)
        await connection.close()

    # The whole course.

    @asynccontextmanager
    async def at_work(self, *, workers: int = WORKERS, hostile_part: float = 0, routed: bool = False) -> AsyncIterator[None]:
        """Load before the block, in it, and as long after it; then everything is drained."""
        for _ in range(workers):
            await self.start(route=await self.route() if routed else None)
        await self.begun()
        self.load.hostile_part = hostile_part
        running, healing = asyncio.create_task(self.load.run()), asyncio.create_task(heal_failures(self.pool))
        try:
            await asyncio.sleep(self.pace.before)
            yield
            await asyncio.sleep(self.pace.before)
            self.load.stop()
            await asyncio.wait_for(running, 60)
            await self._drain()
        finally:
            running.cancel()
            healing.cancel()

    async def _drain(self) -> None:
        """Wait until nothing waits or runs any more, or for as long as the pace allows: what is left then is stuck."""
        end = time.monotonic() + self.pace.drain
        query = """SELECT NOT EXISTS (SELECT FROM kr_task_stat WHERE exec_status IN (0, 1)
            OR (exec_status = 2 AND outcome = 'failed' AND program = 'bad_at_first'))"""
        while not await self.pool.fetchval(query) and time.monotonic() < end:
            await asyncio.sleep(_ROUND_SECONDS)

    def longest_gap(self) -> float:
        """Return the longest time, during the last fault, in which no task ended."""
        mark = self.marks[-1]
        ends = [mark.began, *sorted(entry.at for entry in self.ledger.entries() if entry.what == "end" and mark.began < entry.at < mark.healed)]
        return round(max(later - before for before, later in pairwise([*ends, mark.healed])), 2)

    async def verdict(self) -> Verdict:
        """Look at everything that is left."""
        connection = await connect(self.url, role="test")
        try:
            return check(await self._seen(connection))
        finally:
            await connection.close()

    async def _seen(self, connection: Connection) -> Seen:
        rows = await connection.fetch("""
            SELECT t.*, t.exec_status::integer AS status, EXISTS (SELECT FROM kr_worker w WHERE w.worker_id = t.worker_id) AS held FROM kr_task_stat t""")
        parents: dict[tuple[str, int], list[tuple[str, int]]] = {}
        for edge in await connection.fetch("SELECT task_flow_id, parent_seq, task_exec_seq FROM kr_task_edge"):
            parents.setdefault((edge["task_flow_id"], int(edge["task_exec_seq"])), []).append((edge["task_flow_id"], int(edge["parent_seq"])))
        return Seen(
            acknowledged=frozenset(self.load.acknowledged),
            rows=[
                Row(row["task_flow_id"], int(row["task_exec_seq"]), row["program"] or "", row["status"], row["outcome"], row["held"]) for row in rows
            ],
            ends=[(row["flow"], int(row["seq"])) for row in await connection.fetch("SELECT flow, seq FROM ended")],
            parents=parents,
            entries=self.ledger.entries(),
            marks=self.marks,
            deaths=self.deaths,
            deadlocks=await connection.fetchval("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"),
            may_stay_suspended=self.may_stay_suspended,
        )

    async def close(self) -> None:
        """End every process, stopped ones too, the routes and the sessions."""
        for process in self.workers:
            process.kill()
        await self._stack.aclose()
        await self.pool.close()


@asynccontextmanager
async def field(cluster: Cluster, pace: Pace, seed: int) -> AsyncIterator[Field]:
    """A database of its own on *cluster*, with the workflows of the load, and a folder."""
    name = f"fault_{uuid4().hex[:8]}"
    admin = await connect(cluster.url, role="test")
    await admin.execute(f"CREATE DATABASE {name}")
    await admin.close()
    url = with_database(cluster.url, name)
    await migrate(url)
    connection = await connect(url, role="test")
    await prepare(connection)
    await connection.close()
    folder = Path(tempfile.mkdtemp(prefix="flower-fault-"))
    found = Field(cluster, folder, url, pace, random.Random(seed))
    try:
        yield found
    finally:
        await found.close()
        shutil.rmtree(folder, ignore_errors=True)
