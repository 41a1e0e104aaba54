"""What somebody with psql writes, a living worker honours: statuses, times, priorities, pauses, limits, rows."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator

import pytest
from structlog.testing import capture_logs

from flower import context
from flower.database.pool import Connection
from flower.engine.heartbeat import Lease
from tests.engine.living import LEASE, NO_PROBE_SECONDS, Living, define, ended, insert, living, rows, set_by_hand, set_within, stands, start, until

# Of the row that a hand changes: at once is promised as 0.1 s, and this machine may be busy.
AT_ONCE_SECONDS = 1.0


class Held:
    """What a task did that runs until it is released, or cancelled."""

    def __init__(self) -> None:
        self.entered, self.cancelled, self.release = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.times_entered = 0


@pytest.fixture
def held() -> Held:
    return Held()


@pytest.fixture
async def worker(database_url: str, held: Held) -> AsyncIterator[Living]:
    """Has `hold`, which runs until it is released and returns even when it is cancelled, and `quick`. Only the bell wakes it."""

    async def hold() -> str:
        held.times_entered += 1
        held.entered.set()
        try:
            await held.release.wait()
        except asyncio.CancelledError:
            held.cancelled.set()
            return "late"
        return "in time"

    async def quick() -> int:
        return int(context().seq)

    async with living(database_url, hold, quick, slots=2, probe_seconds=NO_PROBE_SECONDS) as worker:
        yield worker
        held.release.set()


async def running_with_a_dependent(connection: Connection, held: Held) -> str:
    await define(connection, "held", ("hold", None), ("quick", None))
    flow = await start(connection, "held")
    await set_within(held.entered)
    return flow


async def test_a_row_inserted_by_hand_runs(worker: Living, connection: Connection) -> None:
    await insert(connection, "quick")
    tasks = await stands(connection, 3, seconds=AT_ONCE_SECONDS)
    assert (tasks[0]["result"], tasks[0]["attempt"], tasks[0]["name"]) == ("1", 1, "quick")
    assert tasks[0]["registered_ts"] <= tasks[0]["started_ts"] <= tasks[0]["finished_ts"]


@pytest.mark.parametrize(("status", "outcome"), [(9, "skipped"), (3, None)])
async def test_0_to_9_and_to_3_release_the_dependents(worker: Living, connection: Connection, status: int, outcome: str | None) -> None:
    await insert(connection, "quick", run_after=await connection.fetchval("SELECT clock_timestamp() + interval '1 h'"))
    await insert(connection, "quick", first=2, depends_task_exec_seq=1)
    await stands(connection, 0, 0)

    await set_by_hand(connection, 1, status)

    tasks = await stands(connection, status, 3, seconds=AT_ONCE_SECONDS)
    assert (tasks[0]["outcome"], tasks[0]["attempt"]) == (outcome, 0)


@pytest.mark.parametrize(("status", "outcome", "dependent"), [(9, "skipped", 3), (3, None, 3), (2, None, 0)], ids=["skipped", "handed in", "stopped"])
async def test_a_running_task_that_a_hand_ends_gets_cancelled_error_and_its_late_result_is_refused(
    worker: Living, connection: Connection, held: Held, status: int, outcome: str | None, dependent: int
) -> None:
    flow = await running_with_a_dependent(connection, held)
    with capture_logs() as logs:
        await set_by_hand(connection, 1, status, flow=flow)
        await set_within(held.cancelled, seconds=AT_ONCE_SECONDS)
        await stands(connection, status, dependent, flow=flow)
        await until(lambda: "task.taken_away" in [log["event"] for log in logs])
    await insert(connection, "quick")
    await stands(connection, 3)  # one more cycle: it would have written what came late
    tasks = await stands(connection, status, dependent, flow=flow)
    assert (tasks[0]["outcome"], tasks[0]["result"], held.times_entered) == (outcome, None, 1)


async def test_a_result_that_a_hand_hands_in_while_the_task_runs_stays(worker: Living, connection: Connection, held: Held) -> None:
    flow = await running_with_a_dependent(connection, held)
    await connection.execute("UPDATE kr_task_stat SET exec_status = 3, result = '\"by hand\"' WHERE task_flow_id = $1 AND task_exec_seq = 1", flow)
    await set_within(held.cancelled, seconds=AT_ONCE_SECONDS)
    tasks = await stands(connection, 3, 3, flow=flow)
    assert json.loads(tasks[0]["result"]) == "by hand"


async def test_1_to_0_takes_a_task_away_and_runs_it_again(worker: Living, connection: Connection, held: Held) -> None:
    flow = await running_with_a_dependent(connection, held)
    held.entered.clear()

    await set_by_hand(connection, 1, 0, flow=flow)

    await set_within(held.cancelled, seconds=AT_ONCE_SECONDS)
    await set_within(held.entered, seconds=AT_ONCE_SECONDS)
    await stands(connection, 1, 0, flow=flow)
    held.release.set()
    tasks = await stands(connection, 3, 3, flow=flow)
    assert (json.loads(tasks[0]["result"]), tasks[0]["attempt"], held.times_entered) == ("in time", 2, 2)


async def test_a_running_row_that_is_deleted_stops_its_function(worker: Living, connection: Connection, held: Held) -> None:
    flow = await running_with_a_dependent(connection, held)
    await connection.execute("DELETE FROM kr_task_stat WHERE task_flow_id = $1", flow)
    await set_within(held.cancelled, seconds=AT_ONCE_SECONDS)
    assert await rows(connection, flow) == []


@pytest.mark.parametrize("status", [2, 3])
async def test_2_to_0_and_3_to_0_run_a_task_again_and_nothing_else(worker: Living, connection: Connection, status: int) -> None:
    await insert(connection, "quick", exec_status=status)
    await insert(connection, "quick", first=2, exec_status=3)
    await connection.execute("INSERT INTO kr_task_edge (task_flow_id, parent_seq, task_exec_seq) VALUES ('hand', 1, 2)")
    await set_by_hand(connection, 1, 0)
    tasks = await stands(connection, 3, 3, seconds=AT_ONCE_SECONDS)
    assert [task["attempt"] for task in tasks] == [1, 0]


async def test_1_by_hand_belongs_to_no_worker_and_goes_back_within_one_sweep(worker: Living, connection: Connection) -> None:
    await insert(connection, "quick", exec_status=1)
    await insert(connection, "quick", first=2, run_after=await connection.fetchval("SELECT clock_timestamp() + interval '1 h'"))
    await set_by_hand(connection, 2, 1)
    tasks = await stands(connection, 3, 3, seconds=LEASE.beat_seconds + AT_ONCE_SECONDS)
    assert [(task["attempt"], task["crashes"]) for task in tasks] == [(1, 0), (1, 0)]


async def test_run_after_holds_a_waiting_task_and_lets_it_go(worker: Living, connection: Connection, held: Held) -> None:
    await insert(connection, "hold", flow="busy", count=2)
    await stands(connection, 1, 1, flow="busy")
    await insert(connection, "quick", count=2)
    await connection.execute(
        "UPDATE kr_task_stat SET run_after = clock_timestamp() + interval '1 h' WHERE task_flow_id = 'hand' AND task_exec_seq = 1"
    )
    held.release.set()
    await stands(connection, 0, 3)

    await connection.execute("UPDATE kr_task_stat SET run_after = NULL WHERE task_flow_id = 'hand'")

    await stands(connection, 3, 3, seconds=AT_ONCE_SECONDS)


async def test_a_priority_changed_while_a_task_waits_counts_at_once(database_url: str, connection: Connection, held: Held) -> None:
    ran: list[int] = []

    async def work() -> None:
        ran.append(int(context().seq))
        await held.release.wait()

    async with living(database_url, work, slots=1, probe_seconds=NO_PROBE_SECONDS):
        await insert(connection, "work", first=1)
        await stands(connection, 1)
        await insert(connection, "work", first=2, count=3)
        await connection.execute("UPDATE kr_task_stat SET task_priority = -5 WHERE task_exec_seq = 4")
        await connection.execute("UPDATE kr_task_stat SET task_priority = 5 WHERE task_exec_seq = 2")
        # Looked at: while all slots are taken, that may take as long as one look waits for the next.
        await until(lambda: connection.fetchval("SELECT count(*) = 3 FROM kr_task_stat WHERE gate = 'slot'"), seconds=AT_ONCE_SECONDS)
        held.release.set()
        await ended(connection)
    assert ran == [1, 4, 3, 2]


async def test_a_pause_holds_a_workflow_until_its_row_is_gone(worker: Living, connection: Connection) -> None:
    await define(connection, "paused", ("quick", None), ("quick", None))
    await connection.execute("INSERT INTO ms_pause (task_id) VALUES ('paused')")
    flow = await start(connection, "paused")
    await insert(connection, "quick")
    await stands(connection, 3)
    await until(lambda: connection.fetchval("SELECT gate = 'pause' FROM kr_task_stat WHERE task_flow_id = $1 AND task_exec_seq = 1", flow))

    await connection.execute("DELETE FROM ms_pause")

    await stands(connection, 3, 3, flow=flow, seconds=AT_ONCE_SECONDS)


async def test_a_pause_that_ends_by_itself_lets_all_go_within_a_second_though_nobody_rings(worker: Living, connection: Connection) -> None:
    await connection.execute(
        "INSERT INTO ms_pause (kind, task_id, until_ts) VALUES ('program', 'quick', clock_timestamp() + interval '1 s'), ('limit', '*', 'infinity')"
    )
    await insert(connection, "quick", count=3)
    await until(lambda: connection.fetchval("SELECT count(*) = 3 FROM kr_task_stat WHERE waits_for = 'program:quick'"), seconds=AT_ONCE_SECONDS)

    await ended(connection)

    late = await connection.fetchval("SELECT extract(epoch FROM max(started_ts) - min(registered_ts))::float8 FROM kr_task_stat")
    assert 0.5 < late < 2


async def test_a_limit_holds_as_many_as_it_says_and_a_change_counts_at_once(database_url: str, connection: Connection) -> None:
    inside, opened = 0, asyncio.Semaphore(0)

    async def work() -> None:
        nonlocal inside
        inside += 1
        await opened.acquire()
        inside -= 1

    async with living(database_url, work, slots=50, probe_seconds=NO_PROBE_SECONDS):
        await connection.execute("INSERT INTO ms_limit (name, slots) VALUES ('narrow', 0)")
        await insert(connection, "work", count=30, limits=["narrow"])
        await insert(connection, "work", flow="other")
        await until(lambda: inside == 1)
        await connection.execute("UPDATE ms_limit SET slots = 3")
        await until(lambda: inside == 4, seconds=AT_ONCE_SECONDS)
        await connection.execute("UPDATE ms_limit SET slots = 7")
        await until(lambda: inside == 8, seconds=AT_ONCE_SECONDS)
        await connection.execute("DELETE FROM ms_limit")
        await until(lambda: inside == 31, seconds=AT_ONCE_SECONDS)
        for _ in range(31):
            opened.release()
        assert {task["status"] for task in await ended(connection)} == {3}


async def test_no_more_than_a_limit_run_at_once_in_two_workers(database_url: str, connection: Connection) -> None:
    inside = most = 0

    async def work() -> None:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        await asyncio.sleep(0.001)
        inside -= 1

    await connection.execute("INSERT INTO ms_limit (name, slots) VALUES ('narrow', 3)")
    async with living(database_url, work, slots=20), living(database_url, work, slots=20):
        await insert(connection, "work", count=100, limits=["narrow"])
        tasks = await ended(connection)
    assert {(task["status"], task["attempt"]) for task in tasks} == {(3, 1)}
    assert most == 3


async def test_a_program_that_nobody_has_waits_and_runs_as_soon_as_a_worker_brings_it(
    worker: Living, database_url: str, connection: Connection
) -> None:
    async def foreign() -> None: ...

    await insert(connection, "foreign")
    await insert(connection, "quick", first=2)
    await stands(connection, 0, 3)
    await until(lambda: connection.fetchval("SELECT gate = 'program' AND waits_for = 'foreign' FROM kr_task_stat WHERE program = 'foreign'"))
    async with living(database_url, foreign, probe_seconds=NO_PROBE_SECONDS):
        await stands(connection, 3, 3)
    await insert(connection, "foreign", first=3)
    await insert(connection, "quick", first=4)
    await stands(connection, 3, 3, 0, 3)
    assert len(worker.lives) == 1


async def test_a_retry_starts_at_its_time_and_nobody_polls_for_it(database_url: str, connection: Connection) -> None:
    started_at = 0.0

    async def work() -> None:
        nonlocal started_at
        started_at = time.time()

    async with living(database_url, work, probe_seconds=NO_PROBE_SECONDS, lease=Lease(60, 20)) as worker:
        sent = 0
        turn = worker.life._store.cycle.turn

        async def counted(*values: object, **named: object) -> object:
            nonlocal sent
            sent += 1
            return await turn(*values, **named)  # type: ignore[arg-type]

        worker.life._store.cycle.turn = counted  # type: ignore[method-assign, assignment]
        due = await connection.fetchval("SELECT clock_timestamp() + interval '1.2 s'")
        await insert(connection, "work", run_after=due)
        await stands(connection, 3)
    assert 0 <= started_at - due.timestamp() < 0.5
    assert sent <= 8, sent
