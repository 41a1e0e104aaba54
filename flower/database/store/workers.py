"""Workers: coming, staying alive, being given up, going."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from flower.core.figures import Counted, LiveWorker, Noticed
from flower.core.model import Claim, Program
from flower.database.pool import Connection, Pool
from flower.database.queries import query
from flower.database.store.rows import json_of


@dataclass(frozen=True, slots=True)
class Worker:
    """One Flower process that is alive. *leaked*: how many attempts of it go on though they were told to stop."""

    worker_id: UUID
    host: str
    pid: int
    version: str
    slots: int
    programs: tuple[str, ...]
    started_at: datetime | None
    leaked: int = 0


@dataclass(frozen=True, slots=True)
class Swept:
    """What a sweep found: workers given up, tasks that wait again, tasks suspended as poison."""

    lost: tuple[UUID, ...]
    taken_back: int
    poisoned: int


@dataclass(frozen=True, slots=True)
class Probed:
    """Whether a cycle would find work, seconds until the next time gate opens (None: none), and this worker's running rows.

    *scheduled*: in how many seconds a schedule is to be looked at, None: none is.
    """

    work: bool
    seconds: float | None
    running: int
    scheduled: float | None


class Workers:
    """Sends the statements about workers."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def enroll(self, worker: Worker, programs: Sequence[Program], lease_seconds: float) -> None:
        """Write the row of *worker* and what its *programs* take."""
        await self._pool.execute(
            query("enroll"),
            worker.worker_id,
            worker.host,
            worker.pid,
            worker.version,
            worker.slots,
            [program.name for program in programs],
            [json.dumps(asdict(program)) for program in programs],
            lease_seconds,
        )

    async def leaked(self, worker_id: UUID, count: int) -> None:
        """Note how many attempts of a worker go on though they were told to stop."""
        await self._pool.execute(query("leaked"), worker_id, count)

    async def place_of(self, program: str) -> str | None:
        """Return where the function of *program* stands, `file:line`, as its latest worker said; None if none ever did."""
        place: str | None = await self._pool.fetchval(query("program_place"), program)
        return place

    async def beat(self, worker_id: UUID, lease_seconds: float, recorded: Counted) -> bool:
        """Prolong the lease, and say all that was *recorded* since the worker came. False: it was given up for lost and must not go on."""
        row = await self._pool.fetchrow(query("beat"), worker_id, lease_seconds, recorded.finished, recorded.failed, recorded.retried)
        return row is not None

    async def sweep(self) -> Swept:
        """Give up lost workers and take back what nobody holds."""
        (row,) = await self._pool.fetch(query("sweep"))
        return Swept(tuple(row["lost"]), row["taken_back"], row["poisoned"])

    async def probe(self, worker_id: UUID, nonce: str) -> Probed:
        """Ask whether there is work, and send *nonce* to the channel flower_probe."""
        (row,) = await self._pool.fetch(query("probe"), worker_id, nonce)
        return Probed(row["work"], row["seconds"], row["running"], row["scheduled"])

    async def held(self, worker_id: UUID) -> tuple[Claim, ...]:
        """Return what the table says this worker holds, with empty parameters."""
        rows = await self._pool.fetch(query("held"), worker_id)
        return tuple(Claim(row["flow"], row["seq"], row["workflow"], row["name"], row["program"], "{}", row["attempt"], row["claim"]) for row in rows)

    async def gone(self, claims: Sequence[Claim]) -> frozenset[UUID]:
        """Return those of *claims* that this worker no longer holds."""
        rows = await self._pool.fetch(
            query("gone"), [claim.flow_id for claim in claims], [claim.seq for claim in claims], [claim.claim_id for claim in claims]
        )
        return frozenset(row["claim"] for row in rows)

    async def notice(self, claim: Claim, *, kind: str, message: str, where: str) -> bool:
        """Note something in the row of *claim*. False: somebody has locked the row, or the claim is gone."""
        row = await self._pool.fetchrow(query("notice"), claim.flow_id, claim.seq, claim.claim_id, kind, message, where)
        return row is not None

    async def finish(self, connection: Connection, claim: Claim, value: str) -> bool:
        """Record over *connection*, in its transaction, that *claim* has finished with the JSON text *value*. False: the claim is gone."""
        return bool(await connection.fetchval(query("finish"), claim.flow_id, claim.seq, claim.claim_id, value))

    async def progress(self, said: Mapping[UUID, tuple[Claim, float, float | None]]) -> None:
        """Write how far running attempts are: by claim id, the claim, what is done, and of how much."""
        claims = [claim for claim, _, _ in said.values()]
        await self._pool.execute(
            query("progress"),
            [claim.flow_id for claim in claims],
            [claim.seq for claim in claims],
            [claim.claim_id for claim in claims],
            [done for _, done, _ in said.values()],
            [total for _, _, total in said.values()],
        )

    async def leave(self, worker_id: UUID, recorded: Counted) -> None:
        """Remove the row of a worker that ends in order, and say all that was *recorded* since it came."""
        await self._pool.execute(query("leave"), worker_id, recorded.finished, recorded.failed, recorded.retried)

    async def alive(self) -> tuple[Worker, ...]:
        """Return the workers that are alive, the oldest first."""
        rows = await self._pool.fetch(query("live_workers"))
        return tuple(
            Worker(row["worker_id"], row["host"], row["pid"], row["version"], row["slots"], tuple(row["programs"]), row["started_ts"], row["leaked"])
            for row in rows
        )

    async def list(self) -> tuple[LiveWorker, ...]:
        """Return the workers that are alive, with what each runs now, the oldest first."""
        return tuple(_live(row) for row in await self._pool.fetch(query("workers")))

    async def noticed(self, limit: int = 50) -> tuple[Noticed, ...]:
        """Return up to *limit* tasks that run now and of which their worker has noticed something, the latest first."""
        rows = await self._pool.fetch(query("noticed"), limit)
        return tuple(_noticed(row) for row in rows)


def _live(row: asyncpg.Record) -> LiveWorker:
    return LiveWorker(
        worker_id=row["worker_id"],
        host=row["host"],
        pid=row["pid"],
        version=row["version"],
        slots=row["slots"],
        running=row["running"],
        leaked=row["leaked"],
        programs=tuple(row["programs"]),
        started_at=row["started_ts"],
        beat_at=row["beat_ts"],
        silent_seconds=row["silent"],
        lease_until=row["lease_until"],
    )


def _noticed(row: asyncpg.Record) -> Noticed:
    return Noticed(
        flow_id=row["flow_id"],
        seq=row["seq"],
        workflow=row["workflow"],
        name=row["name"],
        program=row["program"],
        worker_id=row["worker_id"],
        notice=json_of(row["notice"]),
    )
