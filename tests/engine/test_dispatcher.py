"""The dispatcher on a real database: who runs, in which order, how many at once, and that no task can stop the others."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
from structlog.testing import capture_logs

from flower import context
from flower.database.pool import Connection, connect
from tests.engine.living import NO_PROBE_SECONDS, define, ended, insert, living, rows, set_by_hand, set_within, stands, start, until


class Crowd:
    """Counts who is inside at once. Nobody leaves before *full* have been inside at once, or after five seconds."""

    def __init__(self, full: int) -> None:
        self.inside = self.most = 0
        self._full = full
        self._filled = asyncio.Event()

    async def visit(self) -> None:
        self.inside += 1
        self.most = max(self.most, self.inside)
        if self.most >= self._full:
            self._filled.set()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._filled.wait(), 5)
        await asyncio.sleep(0.002)
        self.inside -= 1


def where() -> str:
    """Return which task this is, as `flow/seq`."""
    return context().key


async def test_a_chain_runs_in_order_and_hands_no_step_over_before_the_one_before_it_is_written(database_url: str, connection: Connection) -> None:
    ran: list[int] = []

    async def step() -> dict[str, int]:
        ran.append(int(context().seq))
        return {"seq": ran[-1]}

    await define(connection, "chain", *[("step", None)] * 20)
    async with living(database_url, step, probe_seconds=NO_PROBE_SECONDS):
        flow = await start(connection, "chain")
        tasks = await ended(connection, flow)
    assert ran == list(range(1, 21))
    assert [json.loads(task["result"]) for task in tasks] == [{"seq": seq} for seq in ran]
    assert all(before["finished_ts"] <= after["started_ts"] for before, after in pairwise(tasks))


async def test_the_two_sides_of_a_diamond_run_at_once_and_the_bottom_last(database_url: str, connection: Connection) -> None:
    ran: list[str] = []
    met = asyncio.Barrier(2)

    async def end() -> None:
        ran.append("end")

    async def side() -> None:
        await asyncio.wait_for(met.wait(), 5)
        ran.append("side")

    await define(connection, "diamond", ("end", []), ("side", [1]), ("side", [1]), ("end", [2, 3]))
    async with living(database_url, end, side, probe_seconds=NO_PROBE_SECONDS):
        flow = await start(connection, "diamond")
        await stands(connection, 3, 3, 3, 3, flow=flow)
    assert ran == ["end", "side", "side", "end"]


async def test_a_fan_joins_after_its_last_leaf(database_url: str, connection: Connection) -> None:
    ran: list[int] = []

    async def step() -> None:
        ran.append(int(context().seq))

    leaves = list(range(2, 202))
    await define(connection, "fan", ("step", []), *[("step", [1])] * 200, ("step", leaves))
    async with living(database_url, step, slots=16, probe_seconds=NO_PROBE_SECONDS):
        flow = await start(connection, "fan")
        await ended(connection, flow)
    assert (ran[0], sorted(ran[1:-1]), ran[-1]) == (1, leaves, 202)


async def test_a_failing_task_is_suspended_with_its_error_its_dependents_wait_and_0_by_hand_goes_on(
    database_url: str, connection: Connection
) -> None:
    is_broken, began_at = True, 0.0

    async def fine() -> None: ...

    async def fragile(width: int) -> int:
        nonlocal began_at
        began_at = time.monotonic()
        if is_broken:
            raise ValueError(f"no such width: {width}")
        return width

    await define(connection, "fragile", ("fine", None), ("fragile", None), ("fine", None), ("fine", None))
    async with living(database_url, fine, fragile, probe_seconds=NO_PROBE_SECONDS):
        flow = await start(connection, "fragile", {"width": -1})
        tasks = await stands(connection, 3, 2, 0, 0, flow=flow)
        error = json.loads(tasks[1]["error"])
        assert (tasks[1]["outcome"], error["type"], error["message"]) == ("failed", "ValueError", "no such width: -1")

        is_broken = False
        await set_by_hand(connection, 2, 0, flow=flow)
        committed_at = time.monotonic()

        tasks = await stands(connection, 3, 3, 3, 3, flow=flow)
    assert began_at - committed_at < 1
    assert (tasks[1]["error"], tasks[1]["result"], tasks[1]["attempt"]) == (None, "-1", 2)


@pytest.mark.parametrize("slots", [1, 7, 20, 41])
async def test_no_more_run_at_once_than_there_are_slots_and_not_fewer(database_url: str, connection: Connection, slots: int) -> None:
    crowd = Crowd(slots)

    async def visit() -> None:
        await crowd.visit()

    async with living(database_url, visit, slots=slots):
        await insert(connection, "visit", count=200)
        await ended(connection)
    assert crowd.most == slots


async def test_what_one_lane_has_just_claimed_is_no_stray_for_the_other(database_url: str, connection: Connection) -> None:
    async def work() -> None:
        await asyncio.sleep(0.001)

    async with living(database_url, work, slots=20) as worker:
        with capture_logs() as logs:
            await insert(connection, "work", count=2_000)
            while 0 in {row["status"] for row in await rows(connection)}:
                worker.life._dispatcher.doubt()
                await asyncio.sleep(0.001)
            tasks = await ended(connection)
    assert {(task["status"], task["attempt"]) for task in tasks} == {(3, 1)}
    assert "claim.handed_back" not in {log["event"] for log in logs}


async def test_a_def_that_blocks_its_thread_keeps_nobody_from_running(database_url: str, connection: Connection) -> None:
    released = threading.Event()

    def wait() -> str:
        assert released.wait(10)
        return threading.current_thread().name

    async def release() -> None:
        released.set()

    async with living(database_url, wait, release, slots=4):
        await insert(connection, "wait", count=3)
        await stands(connection, 1, 1, 1)
        await insert(connection, "release", first=4)
        tasks = await stands(connection, 3, 3, 3, 3)
    assert all(json.loads(task["result"]).startswith("flower-task") for task in tasks[:3])


async def test_what_a_task_raises_ends_that_task_and_neither_the_process_nor_its_neighbours(database_url: str, connection: Connection) -> None:
    escapes: list[type[BaseException]] = [SystemExit, KeyboardInterrupt, asyncio.CancelledError, GeneratorExit, StopIteration, BaseException]

    async def escape(number: int) -> None:
        raise escapes[number]

    def escape_in_thread(number: int) -> None:
        raise escapes[number]

    async def fine() -> None:
        await asyncio.sleep(0)

    async with living(database_url, escape, escape_in_thread, fine) as worker:
        for number in range(len(escapes)):
            await insert(connection, "escape", flow="escapes", first=2 * number + 1, parameters=json.dumps({"number": number}))
            await insert(connection, "escape_in_thread", flow="escapes", first=2 * number + 2, parameters=json.dumps({"number": number}))
            await insert(connection, "fine", first=10 * number + 1, count=10)
        escaped = await ended(connection, "escapes")
        fine_ones = await ended(connection)
        assert len(worker.lives) == 1
    assert [task["status"] for task in fine_ones] == [3] * 60
    assert {task["outcome"] for task in escaped} == {"failed"}
    assert [json.loads(task["error"])["type"] for task in escaped] == [kind.__name__ for kind in escapes for _ in range(2)]


async def test_a_result_that_cannot_be_stored_fails_its_own_task_among_a_hundred(database_url: str, connection: Connection) -> None:
    odd: dict[int, Any] = {10: "a\u0000b", 30: float("nan"), 50: object(), 70: "\ud800", 90: lambda: None}

    async def give() -> Any:
        await asyncio.sleep(0)
        return odd.get(int(context().seq), "fine")

    async with living(database_url, give, slots=100):
        await insert(connection, "give", count=100)
        tasks = await ended(connection)
    assert {task["task_exec_seq"] for task in tasks if task["status"] == 3 and json.loads(task["result"]) == "fine"} == set(range(1, 101)) - set(odd)
    assert all(task["status"] == 3 or json.loads(task["error"])["type"] == "ResultNotJson" for task in tasks)
    assert {tasks[seq - 1]["status"] for seq in (30, 50, 90)} == {2}


async def test_what_the_database_refuses_is_recorded_as_unstorable_and_its_batch_is_written(database_url: str, connection: Connection) -> None:
    async def give() -> str:
        await asyncio.sleep(0)
        return "odd" if context().seq == 50 else "fine"

    await connection.execute("ALTER TABLE kr_task_stat ADD CONSTRAINT no_odd_results CHECK (result <> '\"odd\"')")
    async with living(database_url, give, slots=100):
        await insert(connection, "give", count=100)
        tasks = await ended(connection)
    assert Counter(task["status"] for task in tasks) == {3: 99, 2: 1}
    assert (tasks[49]["outcome"], json.loads(tasks[49]["error"])["type"]) == ("failed", "Unstorable")
    assert {task["attempt"] for task in tasks} == {1}


async def test_an_urgent_newcomer_passes_a_saturated_worker_within_a_second(database_url: str, connection: Connection) -> None:
    ran: list[str] = []
    urgent = asyncio.Event()

    async def work() -> None:
        await asyncio.sleep(0.02)
        ran.append("work")
        if context().flow_id == "urgent":
            urgent.set()

    async with living(database_url, work, slots=2, probe_seconds=NO_PROBE_SECONDS):
        await insert(connection, "work", count=600)
        await until(lambda: len(ran) >= 10)
        await insert(connection, "work", flow="urgent", task_priority=-20)
        await set_within(urgent)
        assert len(ran) < 400
        await connection.execute("DELETE FROM kr_task_stat WHERE exec_status = 0")


@pytest.mark.parametrize("is_busy", [False, True], ids=["idle", "saturated"])
async def test_a_registration_that_was_held_open_starts_soon_after_its_commit(database_url: str, connection: Connection, *, is_busy: bool) -> None:
    started: dict[str, float] = {}
    ran: list[str] = []

    async def work() -> None:
        started.setdefault(context().workflow, time.monotonic())
        ran.append("work")
        await asyncio.sleep(0.005)

    await define(connection, "held open", ("work", None))
    async with living(database_url, work, slots=4, probe_seconds=NO_PROBE_SECONDS):
        other = await connect(database_url, role="test")
        async with connection.transaction():
            await start(connection, "held open")
            if is_busy:
                await insert(other, "work", count=3_000)
                await until(lambda: len(ran) >= 500)
        committed_at = time.monotonic()
        await other.close()
        await until(lambda: "held open" in started)
        # Promised: 0.1 s idle, 1.2 s saturated.
        assert started["held open"] - committed_at < (2 if is_busy else 1)
        await connection.execute("DELETE FROM kr_task_stat WHERE exec_status = 0")


@pytest.mark.parametrize(
    "held", ["task_exec_seq = 1", "task_exec_seq = 2", "task_exec_seq = 3"], ids=["a running row", "its dependent", "a waiting row"]
)
async def test_a_lock_that_a_user_holds_slows_nobody_else(database_url: str, connection: Connection, held: str) -> None:
    released = asyncio.Event()

    async def gated() -> None:
        await released.wait()

    async def work() -> None:
        await asyncio.sleep(0)

    other = await connect(database_url, role="test")
    async with living(database_url, gated, work):
        await insert(connection, "gated", flow="user")
        await stands(connection, 1, flow="user")
        await insert(connection, "work", flow="user", first=2, depends_task_exec_seq=1)
        await insert(connection, "work", flow="user", first=3, run_after=await connection.fetchval("SELECT clock_timestamp() + interval '0.3 s'"))
        async with connection.transaction():
            assert await connection.fetch(f"SELECT FROM kr_task_stat WHERE task_flow_id = 'user' AND {held} FOR UPDATE")
            released.set()
            began_at = time.monotonic()
            await insert(other, "work", count=300)
            await ended(other, seconds=5)
            assert time.monotonic() - began_at < 5
            assert 3 not in [
                row["status"]
                for row in await other.fetch(f"SELECT exec_status::int AS status FROM kr_task_stat WHERE task_flow_id = 'user' AND {held}")
            ]
        await stands(connection, 3, 3, 3, flow="user")
    await other.close()


async def test_two_workers_share_the_tasks_and_run_each_once(database_url: str, connection: Connection) -> None:
    ran: Counter[tuple[str, int]] = Counter()

    def worker_that_counts(name: str) -> Callable[..., Any]:
        async def work() -> None:
            await asyncio.sleep(0.002)
            ran[name, int(context().seq)] += 1

        return work

    async with living(database_url, worker_that_counts("a"), slots=8), living(database_url, worker_that_counts("b"), slots=8):
        await insert(connection, "work", count=300)
        tasks = await ended(connection)
    assert Counter(seq for _, seq in ran.elements()) == Counter(range(1, 301))
    assert {name for name, _ in ran} == {"a", "b"}
    assert {(task["status"], task["attempt"]) for task in tasks} == {(3, 1)}


@pytest.mark.parametrize("seq", ["NaN", "Infinity", "-Infinity", "1.5", "0", "-7"])
async def test_a_row_with_an_odd_number_does_not_stop_its_neighbours(database_url: str, connection: Connection, seq: str) -> None:
    async def work() -> None:
        await asyncio.sleep(0)

    async with living(database_url, work) as worker:
        await connection.execute(f"""
            INSERT INTO kr_task_stat
                (task_flow_id, task_exec_seq, depends_task_exec_seq, task_id, task_seq, exec_status, parameters, program, registered_ts)
            SELECT 'odd', s, -1, 'odd', 1, 0, '{{}}', 'work', '20000-01-01' FROM unnest('{{1, 2, {seq}, 3, 4}}'::numeric[]) s""")
        await insert(connection, "work", count=10)
        assert {task["status"] for task in await ended(connection)} == {3}
        assert {task["status"] for task in await ended(connection, "odd") if task["task_exec_seq"] in {1, 2, 3, 4}} == {3}
        assert len(worker.lives) == 1
    assert len(await rows(connection, "odd")) == 5


async def test_what_comes_while_the_only_lane_with_room_is_in_a_turn_starts_after_it(database_url: str, connection: Connection) -> None:
    begun: list[str] = []
    go_on = asyncio.Event()

    async def hold() -> None:
        begun.append(where())
        await go_on.wait()

    async with living(database_url, hold, slots=20, probe_seconds=NO_PROBE_SECONDS) as worker:
        lanes = worker.life._dispatcher._lanes
        while lanes[0].slots.has_room:
            flow = f"first {len(begun)}"
            await insert(connection, "hold", flow=flow)
            await until(partial(begun.__contains__, f"{flow}/1"))
        await until(lambda: all(lane._rest_until is None for lane in lanes))
        assert [lane.slots.has_room for lane in lanes] == [False, True]
        turn, is_done, may_answer = worker.life._store.cycle.turn, asyncio.Event(), asyncio.Event()

        async def answered_late(*values: Any, **named: Any) -> Any:
            answer = await turn(*values, **named)
            is_done.set()
            await may_answer.wait()
            return answer

        worker.life._store.cycle.turn = answered_late  # type: ignore[method-assign]
        await insert(connection, "hold", flow="second")
        await set_within(is_done)
        await insert(connection, "hold", flow="third")
        await asyncio.sleep(0.1)  # its bell has rung by now
        may_answer.set()
        await until(lambda: "third/1" in begun, seconds=2)
        go_on.set()
        await ended(connection, "third")
