"""One worker whose every turn is called by the test: what the dispatcher does, without a process, a loop or a clock.

Also the few words in which these tests write and read rows as a person with psql would.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from flower.core.figures import Counted
from flower.core.model import Claim, Outcome, Program
from flower.core.status import Status, Why
from flower.database.pool import Connection, Pool
from flower.database.store import Store
from flower.database.store.cycle import Answer, Position
from flower.database.store.workers import Worker

# Rounds after which whatever is not quiet never will be.
_MOST_ROUNDS = 2_000


class Engine:
    """A worker with a row in kr_worker. Each method is one call of the dispatcher's, or a loop of them that ends when nothing is left to do."""

    def __init__(self, pool: Pool, *, slots: int = 100) -> None:
        self.store = Store(pool)
        self.worker_id = uuid4()
        self.slots = slots
        self.held: dict[UUID, Claim] = {}
        self.position: Position | None = None
        self._pool = pool

    async def enroll(self, *programs: str | Program, lease_seconds: float = 3_600) -> Engine:
        """Come to work with *programs*; a bare name takes any parameter."""
        known = [Program(program, None) if isinstance(program, str) else program for program in programs]
        worker = Worker(self.worker_id, "test", 1, "0", self.slots, tuple(program.name for program in known), None)
        await self.store.workers.enroll(worker, known, lease_seconds)
        return self

    async def enroll_again(self, *programs: str) -> None:
        """Come to work, whether or not a row of this worker is there."""
        await self.leave()
        await self.enroll(*programs)

    async def leave(self) -> None:
        await self.store.workers.leave(self.worker_id, Counted())

    async def turn(self, outcomes: Sequence[Outcome] = (), *, slots: int = 0, look: bool = False, careful: bool = False) -> Answer:
        """Send one cycle. Keeps what was claimed, and the position, as the dispatcher does."""
        answer = await self.store.cycle.turn(self.worker_id, outcomes, slots, look=look, careful=careful, position=self.position)
        written = {outcome.claim.claim_id for outcome in outcomes} - set(answer.locked)
        self.held = {claim_id: claim for claim_id, claim in self.held.items() if claim_id not in written}
        self.held |= {claim.claim_id: claim for claim in answer.claimed}
        if len(answer.claimed) < slots:
            self.position = None
        elif slots or look:
            self.position = answer.position
        return answer

    async def claim(self, slots: int = 100) -> list[Claim]:
        """Look until nothing is left to look at, and claim up to *slots* tasks from the start."""
        await self.look()
        self.position = None
        return list((await self.turn(slots=slots)).claimed)

    async def one(self) -> Claim:
        """Claim the one task that is there to be claimed."""
        (claim,) = await self.claim()
        return claim

    async def look(self) -> None:
        """Look until nothing is left to look at, or what is left is held by other sessions."""
        before = None
        for _ in range(_MOST_ROUNDS):
            answer = await self.turn(look=True)
            if answer.sleep_seconds is None or answer.sleep_seconds > 0.05:
                return
            before, unchanged = await self._picture(), before
            if before == unchanged:
                return
        raise AssertionError("the engine does not come to rest")

    async def _picture(self) -> tuple[object, ...]:
        """Return something that changes whenever a look changes anything."""
        (picture,) = await self._pool.fetch("""
            SELECT (SELECT sum(hashtext(concat_ws('/', kind, task_flow_id, task_exec_seq, name))) FROM kr_recount),
                (SELECT sum(hashtext(concat_ws('/', id, stage))) FROM kr_signal),
                (SELECT sum(hashtext(concat_ws('/', task_flow_id, task_exec_seq, gate, waits_seq, waits_for))) FROM kr_task_stat WHERE exec_status = 0)
        """)
        return tuple(picture)

    async def finish(self, *claims: Claim, value: str = "null", look: bool = False) -> Answer:
        return await self.turn([Outcome(claim, Status.FINISH, value=value) for claim in claims], look=look)

    async def fail(self, claim: Claim, *, retry_after: float | None = None) -> Answer:
        """Fail for good, or, with *retry_after*, for this attempt."""
        error = json.dumps({"type": "ValueError", "message": "it broke"})
        if retry_after is None:
            return await self.turn([Outcome(claim, Status.SUSPEND, Why.FAILED, error)])
        return await self.turn([Outcome(claim, Status.WAIT, Why.FAILED, error, after_seconds=retry_after)])

    async def hand_back(self, *claims: Claim) -> Answer:
        return await self.turn([Outcome(claim, Status.WAIT, unharmed=True) for claim in claims])

    async def run_all(self) -> list[tuple[str, Decimal]]:
        """Run everything that can run, each task with success, and return it in the order of its starts."""
        order: list[tuple[str, Decimal]] = []
        done: list[Outcome] = []
        for _ in range(_MOST_ROUNDS):
            claimed = (await self.turn(done, slots=self.slots, look=True)).claimed or await self.claim(self.slots)
            if not claimed:
                return order
            order += [(claim.flow_id, claim.seq) for claim in claimed]
            done = [Outcome(claim, Status.FINISH, value="null") for claim in claimed]
        raise AssertionError("the engine does not come to an end")


async def write(
    connection: Connection, flow: str, seq: object, after: object = -1, *, status: object = 0, program: str | None = "Ok", **columns: object
) -> None:
    """Insert a row into kr_task_stat by hand; *columns* are the others, by their names."""
    values = {
        "task_flow_id": flow,
        "task_exec_seq": _number(seq),
        "depends_task_exec_seq": _number(after),
        "task_id": "by_hand",
        "task_seq": Decimal(1),
        "exec_status": _number(status),
        "parameters": "{}",
        **columns,
    }
    if program is not None:
        values["program"] = program
    places = ", ".join(f"${n}" for n in range(1, len(values) + 1))
    await connection.execute(f"INSERT INTO kr_task_stat ({', '.join(values)}) VALUES ({places})", *values.values())


async def edge(connection: Connection, flow: str, parent: object, child: object) -> None:
    """Insert an edge by hand."""
    await connection.execute(
        "INSERT INTO kr_task_edge (task_flow_id, parent_seq, task_exec_seq) VALUES ($1, $2, $3)", flow, _number(parent), _number(child)
    )


async def put(connection: Connection, flow: str, seq: object, status: int) -> None:
    """Set exec_status by hand."""
    await connection.execute(
        "UPDATE kr_task_stat SET exec_status = $3 WHERE task_flow_id = $1 AND task_exec_seq = $2", flow, _number(seq), Decimal(status)
    )


async def row(connection: Connection, flow: str, seq: object) -> dict[str, Any]:
    """Return a task as it stands, JSON decoded."""
    found = await connection.fetchrow("SELECT * FROM kr_task_stat WHERE task_flow_id = $1 AND task_exec_seq = $2", flow, _number(seq))
    assert found is not None, f"there is no task {seq} in {flow}"
    return {**found, **{name: json.loads(found[name]) for name in ("result", "error") if found[name] is not None}}


async def statuses(connection: Connection, flow: str) -> dict[float, int]:
    """Return the status of each task of *flow*."""
    rows = await connection.fetch("SELECT task_exec_seq, exec_status FROM kr_task_stat WHERE task_flow_id = $1 ORDER BY 1", flow)
    return {float(found[0]): int(found[1]) for found in rows}


async def gates(connection: Connection, flow: str) -> dict[float, str | None]:
    """Return the gate of each task of *flow*, with what it waits for there: `dependencies 1`, `limit api`, `slot`."""
    rows = await connection.fetch(
        "SELECT task_exec_seq, concat_ws(' ', gate, waits_seq, waits_for) FROM kr_task_stat WHERE task_flow_id = $1 ORDER BY 1", flow
    )
    return {float(found[0]): found[1] or None for found in rows}


async def define(connection: Connection, workflow: str, *steps: Mapping[str, object]) -> None:
    """Insert a definition, all at once; a step without task_seq and program gets the next number and Ok."""
    async with connection.transaction():
        for number, step in enumerate(steps, start=1):
            values = {"task_id": workflow, "task_seq": Decimal(number), "program": "Ok", **step}
            places = ", ".join(f"${n}" for n in range(1, len(values) + 1))
            await connection.execute(f"INSERT INTO ms_task_definition ({', '.join(values)}) VALUES ({places})", *values.values())


def seqs(claims: Sequence[Claim]) -> list[float]:
    """Return the seqs of *claims*, in their order."""
    return [float(claim.seq) for claim in claims]


def _number(value: object) -> Decimal:
    return value if isinstance(value, Decimal) else Decimal(str(value))
