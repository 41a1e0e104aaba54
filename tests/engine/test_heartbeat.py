"""The heartbeat: the lease is kept whatever user code does to the loop, and given up in time when it cannot be kept."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from structlog.testing import capture_logs

from flower.database.pool import Connection
from flower.database.store.workers import Workers
from flower.engine.heartbeat import Heartbeat, Lease
from flower.engine.tally import Tally
from flower.engine.watch import Watch
from flower.sdk.registry import Registry
from tests.engine.living import LEASE, NO_PROBE_SECONDS, insert, living, set_within, stands, until

# Time enough between giving up and being given up, on a machine that is busy.
LONGER = Lease(4, 0.2)
NOBODY = "postgresql://flower:@/nobody?host=/nowhere"


def a_heartbeat(lease: Lease, on_lost: Callable[[str], None]) -> Heartbeat:
    """A heartbeat whose database is not there, in a process that has no tasks."""
    watch = Watch(registry=Registry(), claim_of=lambda _: None)
    return Heartbeat(url=NOBODY, schema="public", worker=uuid4(), lease=lease, watch=watch, tally=Tally(), on_lost=on_lost)


@pytest.mark.parametrize(("seconds", "own_seconds"), [(30, 25), (60, 55), (6, 5), (2, 2 - 1 / 3)])
def test_a_worker_gives_up_its_lease_before_others_may_take_over(seconds: float, own_seconds: float) -> None:
    assert Lease(seconds).own_seconds == pytest.approx(own_seconds)


async def test_code_that_blocks_the_loop_keeps_its_lease_and_runs_once(database_url: str, connection: Connection) -> None:
    ran: list[int] = []

    async def block() -> None:
        ran.append(1)
        time.sleep(1.5 * LEASE.seconds)  # noqa: ASYNC251 - this is the fault

    async with living(database_url, block) as worker:
        await insert(connection, "block")
        (task,) = await stands(connection, 3)
        assert len(worker.lives) == 1
    assert (ran, task["attempt"], task["crashes"]) == ([1], 1, 0)


async def test_nobody_takes_over_a_task_that_runs_longer_than_the_lease(database_url: str, connection: Connection) -> None:
    async def long() -> None:
        await asyncio.sleep(1.2 * LEASE.seconds)

    async with living(database_url, long), living(database_url, long):
        await insert(connection, "long")
        (task,) = await stands(connection, 3)
    assert (task["attempt"], task["crashes"]) == (1, 0)


async def test_a_lease_that_cannot_be_renewed_is_lost_once_and_in_time() -> None:
    lost: list[tuple[str, float]] = []
    heartbeat = a_heartbeat(LONGER, lambda why: lost.append((why, time.monotonic())))
    began_at = time.monotonic()
    heartbeat.start()
    await until(lambda: lost)
    await heartbeat.stop()
    ((why, at),) = lost
    assert why == "the lease could not be renewed in time"
    assert LONGER.own_seconds - 0.1 < at - began_at < LONGER.seconds


async def test_a_beat_that_waits_for_a_lock_of_a_user_does_not_keep_a_worker_from_giving_up(database_url: str, connection: Connection) -> None:
    entered, cancelled = asyncio.Event(), asyncio.Event()
    times_entered = 0

    async def hold() -> int:
        nonlocal times_entered
        times_entered += 1
        if times_entered == 1:
            entered.set()
            try:
                await asyncio.sleep(60)
            finally:
                cancelled.set()
        return times_entered

    async with living(database_url, hold, lease=LONGER) as worker:
        await insert(connection, "hold")
        await set_within(entered)
        first = worker.id
        async with connection.transaction():
            lease_seconds = await connection.fetchval("SELECT extract(epoch FROM lease_until - clock_timestamp())::float8 FROM kr_worker FOR UPDATE")
            locked_at = time.monotonic()
            await set_within(cancelled)
            assert time.monotonic() - locked_at < lease_seconds
        (task,) = await stands(connection, 3, seconds=15)
        assert worker.id != first
    assert (task["result"], task["attempt"]) == ("2", 2)


async def test_a_sweep_that_is_refused_does_not_end_the_beat(database_url: str, connection: Connection) -> None:
    async def work() -> None: ...

    await connection.execute("""
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'not this one'; END$$;
        CREATE TRIGGER refuse BEFORE UPDATE ON kr_task_stat FOR EACH ROW WHEN (NEW.task_flow_id = 'odd') EXECUTE FUNCTION refuse();
        INSERT INTO kr_task_stat (task_flow_id, task_exec_seq, depends_task_exec_seq, task_id, task_seq, exec_status, parameters, program)
            VALUES ('odd', 1, -1, 'odd', 1, 1, '{}', 'work')""")
    async with living(database_url, work, probe_seconds=NO_PROBE_SECONDS) as worker:
        with capture_logs() as logs:
            await until(lambda: "beat.failed" in [log["event"] for log in logs])
            beaten = await connection.fetchval("SELECT beat_ts FROM kr_worker")
            await until(lambda: connection.fetchval("SELECT beat_ts > $1::timestamptz + interval '0.5 s' FROM kr_worker", beaten))
        await insert(connection, "work")
        await stands(connection, 3)
        assert len(worker.lives) == 1


async def test_a_heartbeat_whose_database_never_answers_can_be_stopped() -> None:
    heartbeat = a_heartbeat(Lease(60, 20), lambda _: None)
    heartbeat.start()
    async with asyncio.timeout(5):
        await heartbeat.stop()


async def test_a_heartbeat_that_ends_on_something_unforeseen_ends_the_life_too(
    database_url: str, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work() -> None: ...

    beat, times = Workers.beat, 0

    async def beat_or_break(self: Workers, *arguments: Any) -> bool:
        nonlocal times
        times += 1
        if times == 3:
            raise RuntimeError("nobody has foreseen this")
        return await beat(self, *arguments)

    monkeypatch.setattr(Workers, "beat", beat_or_break)
    async with living(database_url, work) as worker:
        await until(lambda: len(worker.lives) == 2)
        await insert(connection, "work")
        await stands(connection, 3)
