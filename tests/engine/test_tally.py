"""What a worker counts of what it has recorded, and that the database hears of it, once."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from uuid import uuid4

import pytest

from flower.core.figures import Counted
from flower.core.model import Claim, Outcome
from flower.core.status import Status, Why
from flower.database.pool import Connection
from flower.database.store.workers import Workers
from flower.engine.heartbeat import Lease
from flower.engine.tally import Tally, count
from flower.sdk.context import context
from flower.sdk.ending import Skip, Suspend
from flower.sdk.retry import Backoff
from tests.engine.living import LEASE, ended, insert, living, stands, tried, until

# No beat comes but the first: what is handed over is handed over at the end.
ONE_BEAT = Lease(60, 20)


async def counted(connection: Connection) -> Counted:
    """Return what stands in kr_minute, of all minutes and workers."""
    row = await connection.fetchrow(
        "SELECT coalesce(sum(finished), 0)::int, coalesce(sum(failed), 0)::int, coalesce(sum(retried), 0)::int FROM kr_minute"
    )
    assert row is not None
    return Counted(*row)


async def ok() -> None: ...


async def fails() -> None:
    raise ValueError


async def skips() -> None:
    raise Skip("nothing to do")


async def asks() -> None:
    raise Suspend("look at this")


def an_outcome(status: Status, why: Why | None = None) -> Outcome:
    return Outcome(Claim("flow", Decimal(1), "workflow", "step", "program", "{}", 1, uuid4()), status, why)


def test_an_approval_a_skip_and_what_goes_back_unharmed_are_neither_finished_nor_failed() -> None:
    finished = [an_outcome(Status.FINISH)] * 3
    failed = [an_outcome(Status.SUSPEND, why) for why in (Why.FAILED, Why.POISON, Why.INVALID)]
    neither = [an_outcome(Status.SUSPEND, Why.APPROVAL), an_outcome(Status.IGNORE, Why.SKIPPED), an_outcome(Status.WAIT)]

    assert count([*finished, *failed, *neither, an_outcome(Status.WAIT, Why.FAILED)]) == Counted(finished=3, failed=3, retried=1)


async def test_counts_from_many_threads_are_all_there() -> None:
    tally = Tally()

    def add() -> None:
        for _ in range(2_000):
            tally.add(Counted(1, 2, 3))

    await asyncio.gather(*(asyncio.to_thread(add) for _ in range(8)))

    assert tally.counted == Counted(16_000, 32_000, 48_000)


async def test_each_beat_hands_over_what_was_recorded_since_the_last(database_url: str, connection: Connection) -> None:
    async with living(database_url, ok, tried(fails, attempts=2, backoff=Backoff(0.01)), skips, asks):
        await insert(connection, "ok", count=30)
        await insert(connection, "fails", first=31, count=2)
        await insert(connection, "skips", first=33)
        await insert(connection, "asks", first=34)
        await ended(connection)

        await until(lambda: is_so(connection, Counted(finished=30, failed=2, retried=2)))

        await insert(connection, "ok", flow="more", count=5)
        await until(lambda: is_so(connection, Counted(finished=35, failed=2, retried=2)))
    assert await counted(connection) == Counted(finished=35, failed=2, retried=2)
    assert await connection.fetchval("SELECT count(DISTINCT worker_id) FROM kr_minute") == 1


async def is_so(connection: Connection, expected: Counted) -> bool:
    return await counted(connection) == expected


async def test_what_no_beat_has_said_is_handed_over_at_the_end(database_url: str, connection: Connection) -> None:
    async with living(database_url, ok, lease=ONE_BEAT):
        await insert(connection, "ok", count=10)
        await ended(connection)
    assert await counted(connection) == Counted(finished=10)


async def test_what_is_refused_is_not_counted(database_url: str, connection: Connection) -> None:
    entered, passes = asyncio.Event(), asyncio.Event()

    async def stubborn() -> None:
        entered.set()
        while not passes.is_set():
            try:
                await passes.wait()
            except asyncio.CancelledError:
                continue

    async with living(database_url, stubborn, ok, lease=ONE_BEAT):
        await insert(connection, "stubborn")
        await entered.wait()
        await connection.execute("UPDATE kr_task_stat SET exec_status = 3")
        passes.set()
        await insert(connection, "ok", flow="other")
        await stands(connection, 3, flow="other")
    assert await counted(connection) == Counted(finished=1)


async def test_a_task_that_committed_its_own_transaction_is_counted(database_url: str, connection: Connection) -> None:
    async def own() -> None:
        async with context().transaction() as own:
            await own.execute("SELECT 1")

    async with living(database_url, own, lease=ONE_BEAT):
        await insert(connection, "own")
        await stands(connection, 3)
    assert await counted(connection) == Counted(finished=1)


async def test_a_beat_whose_answer_was_lost_counts_once(database_url: str, connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    beat, lost = Workers.beat, 0

    async def beat_twice(self: Workers, *arguments: object) -> bool:
        nonlocal lost
        lost += 1
        await beat(self, *arguments)  # type: ignore[arg-type]
        return await beat(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Workers, "beat", beat_twice)
    async with living(database_url, ok):
        await insert(connection, "ok", count=10)
        await ended(connection)
        await until(lambda: is_so(connection, Counted(finished=10)))
        before = lost
        await until(lambda: lost > before + 2)
    assert await counted(connection) == Counted(finished=10)


async def test_a_task_that_the_sweep_suspends_is_counted_as_failed(database_url: str, connection: Connection) -> None:
    async with living(database_url, ok):
        await connection.execute("""
            INSERT INTO kr_task_stat (task_flow_id, task_exec_seq, depends_task_exec_seq, task_id, task_seq, exec_status, parameters, program, crashes,
                    gate, claim_id, worker_id)
                VALUES ('hand', 1, -1, 'hand', 1, 1, '{}', 'ok', 2, 'slot', gen_random_uuid(), gen_random_uuid())""")
        await stands(connection, 2, seconds=5 * LEASE.seconds)
        await until(lambda: is_so(connection, Counted(failed=1)))
