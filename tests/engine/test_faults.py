"""What breaks between a worker and its database: sessions that end, answers and notifications that never come."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from urllib.parse import unquote, urlsplit

import pytest
from structlog.testing import capture_logs

from flower import context
from flower.database.pool import Connection
from flower.database.queries import query
from flower.engine.heartbeat import Lease
from tests.database.routes import tcp_route
from tests.engine.living import LEASE, NO_PROBE_SECONDS, ended, insert, living, set_by_hand, set_within, stands, until

# Time enough between giving up and being given up, on a machine that is busy.
LONGER = Lease(4, 0.2)

AUDIT = """
CREATE TABLE finish (flow text, seq numeric);
CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN
    INSERT INTO finish VALUES (NEW.task_flow_id, NEW.task_exec_seq);
    RETURN NULL;
END$$;
CREATE TRIGGER audit AFTER UPDATE ON kr_task_stat FOR EACH ROW WHEN (NEW.exec_status = 3 AND OLD.exec_status <> 3) EXECUTE FUNCTION audit();
"""


async def end_sessions(connection: Connection, role: str = "%") -> int:
    """End the sessions of workers, as an administrator or a failing network does."""
    ended: int = await connection.fetchval(
        """
        SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
        WHERE datname = current_database() AND application_name LIKE 'flower/_%/' || $1 AND application_name NOT LIKE 'flower/-/%'""",
        role,
    )
    return ended


async def test_a_task_that_ends_while_sessions_are_cut_is_neither_lost_nor_run_nor_finished_twice(database_url: str, connection: Connection) -> None:
    ran: Counter[int] = Counter()

    async def work() -> None:
        await asyncio.sleep(0.02)
        ran[int(context().seq)] += 1

    await connection.execute(AUDIT)
    cuts = 0
    async with living(database_url, work, slots=10) as worker:
        await insert(connection, "work", count=500)
        for seen in range(10, 450, 15):
            await until(lambda: len(ran) > seen)  # noqa: B023 - answered before the next turn
            cuts += await end_sessions(connection)
        tasks = await ended(connection, seconds=20)
        assert len(worker.lives) == 1
    assert cuts > 30
    assert ran == Counter(range(1, 501))
    assert {(task["status"], task["tries"]) for task in tasks} == {(3, 1)}
    assert await connection.fetchval("SELECT count(*) = 500 AND count(DISTINCT seq) = 500 FROM finish")


async def test_tasks_whose_claim_was_answered_to_nobody_are_handed_back_unharmed(database_url: str, connection: Connection) -> None:
    async def work() -> None: ...

    async with living(database_url, work) as worker:
        with capture_logs() as logs:
            async with connection.transaction():
                await insert(connection, "work", count=5)
                no_outcomes: list[object] = [[]] * 8
                from_start, look, careful = [None] * 4, True, False
                claimed = await connection.fetch(query("cycle"), worker.id, *no_outcomes, 3, look, careful, *from_start)
                assert [row["kind"] for row in claimed].count("claimed") == 3
            tasks = await ended(connection)
        assert [log["event"] for log in logs].count("claim.handed_back") == 3
    assert {(task["status"], task["tries"], task["crashes"]) for task in tasks} == {(3, 1, 0)}
    assert sorted(task["attempt"] for task in tasks) == [1, 1, 2, 2, 2]


async def test_a_claim_that_is_answered_after_the_stop_is_handed_back_unharmed(database_url: str, connection: Connection) -> None:
    ran: list[int] = []

    async def work() -> None:
        ran.append(1)
        await asyncio.sleep(60)

    # The claim cannot end before the test lets it.
    await connection.execute("""
        CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN PERFORM pg_advisory_xact_lock(7); RETURN NEW; END$$;
        CREATE TRIGGER wait BEFORE UPDATE ON kr_task_stat FOR EACH ROW WHEN (NEW.exec_status = 1) EXECUTE FUNCTION wait();
        SELECT pg_advisory_lock(7)""")
    async with living(database_url, work, grace_seconds=1) as worker:
        await insert(connection, "work", count=3)
        await until(lambda: connection.fetchval("SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted)"))
        worker.stop.ask()
        await connection.execute("SELECT pg_advisory_unlock(7)")
        await worker.end()
        tasks = await stands(connection, 0, 0, 0)
    # The other lane may have asked before the stop, too, and been given what this one handed back.
    assert {task["attempt"] for task in tasks} <= {1, 2}
    assert {(task["tries"], task["crashes"]) for task in tasks} == {(0, 0)}
    assert ran == []
    assert await connection.fetchval("SELECT count(*) FROM kr_worker") == 0


async def test_a_listener_that_is_ended_twenty_times_hears_again_within_a_second(database_url: str, connection: Connection) -> None:
    async def work() -> None: ...

    slowest = 0.0
    async with living(database_url, work, probe_seconds=NO_PROBE_SECONDS):
        for seq in range(1, 21):
            await until(lambda: end_sessions(connection, "listener"))
            sent_at = time.monotonic()
            await insert(connection, "work", first=seq)
            await stands(connection, *[3] * seq)
            slowest = max(slowest, time.monotonic() - sent_at)
    assert slowest < 1


async def test_a_listener_that_hears_nothing_is_found_out_and_work_starts_nevertheless(database_url: str, connection: Connection) -> None:
    async def work() -> None: ...

    async with living(database_url, work) as worker:
        listener = worker.life._listener
        await until(lambda: listener.state == "ok")
        deaf = listener._connection
        assert deaf is not None
        await deaf.execute("UNLISTEN *")
        await insert(connection, "work")
        await stands(connection, 3, seconds=2)
        await until(lambda: listener._connection not in {None, deaf} and listener.state == "ok")


async def test_a_route_that_swallows_everything_for_a_while_loses_nothing(database_url: str, connection: Connection) -> None:
    ran: Counter[int] = Counter()

    async def work() -> None:
        await asyncio.sleep(0.01)
        ran[int(context().seq)] += 1

    password = unquote(urlsplit(database_url).password or "")
    async with tcp_route(database_url, password) as route, living(route.url, work) as worker:
        await insert(connection, "work", count=300)
        await until(lambda: len(ran) >= 50)
        route.passes.clear()
        silent_from = time.monotonic()
        await until(lambda: time.monotonic() - silent_from > LEASE.own_seconds / 3)
        route.passes.set()
        tasks = await ended(connection)
        assert len(worker.lives) == 1
    assert ran == Counter(range(1, 301))
    assert {(task["status"], task["tries"]) for task in tasks} == {(3, 1)}


async def test_an_outcome_that_came_while_the_database_was_away_and_is_refused_is_said(database_url: str, connection: Connection) -> None:
    begun, ends = asyncio.Event(), asyncio.Event()

    async def work() -> int:
        if context().attempt == 1:
            begun.set()
            await ends.wait()
        return context().attempt

    password = unquote(urlsplit(database_url).password or "")
    async with tcp_route(database_url, password) as route, living(route.url, work, lease=LONGER) as worker:
        await insert(connection, "work")
        await set_within(begun)
        route.passes.clear()
        await set_by_hand(connection, 1, 0)
        with capture_logs() as logs:
            ends.set()
            await until(lambda: worker.life._dispatcher.unwritten)
            route.passes.set()
            (task,) = await stands(connection, 3)
        assert task["result"] == "2"
        assert [log["event"] for log in logs].count("task.result_refused") == 1


class Hold:
    """A task that runs until it is cancelled, and notes when."""

    def __init__(self) -> None:
        self.entered, self.cancelled, self.cancelled_at, self.times = asyncio.Event(), asyncio.Event(), 0.0, 0

    async def hold(self) -> int:
        self.times += 1
        if self.times > 1:
            return self.times
        self.entered.set()
        try:
            await asyncio.sleep(60)
        finally:
            self.cancelled_at = time.time()
            self.cancelled.set()
        raise AssertionError("nobody cancelled it")


@pytest.mark.parametrize("is_stopping", [False, True], ids=["working", "stopping"])
async def test_a_worker_that_is_cut_off_stops_its_tasks_before_its_lease_ends(
    database_url: str, connection: Connection, *, is_stopping: bool
) -> None:
    hold, password = Hold(), unquote(urlsplit(database_url).password or "")
    async with tcp_route(database_url, password) as route, living(route.url, hold.hold, lease=LONGER, grace_seconds=600) as worker:
        await insert(connection, "hold")
        await set_within(hold.entered)
        first = worker.id
        route.passes.clear()
        if is_stopping:
            worker.stop.ask()
        lease_until = await connection.fetchval("SELECT extract(epoch FROM lease_until)::float8 FROM kr_worker")
        await set_within(hold.cancelled)
        assert hold.cancelled_at < lease_until
        route.passes.set()
        if is_stopping:
            return
        (task,) = await stands(connection, 3, seconds=20)
        assert worker.id != first
    # a claim of the old life may have lain in the route, and is handed back unharmed
    assert (task["result"], task["tries"]) == ("2", 1)


@pytest.mark.parametrize("role", ["engine", "heartbeat", "listener"])
async def test_a_worker_goes_on_when_one_of_its_sessions_ends(database_url: str, connection: Connection, role: str) -> None:
    async def work() -> None: ...

    async with living(database_url, work, lease=Lease(60, 0.1)) as worker:
        await insert(connection, "work")
        await stands(connection, 3)
        await until(lambda: end_sessions(connection, role))
        await insert(connection, "work", first=2)
        await stands(connection, 3, 3)
        before = await connection.fetchval("SELECT beat_ts FROM kr_worker")
        await until(lambda: connection.fetchval("SELECT beat_ts > $1 FROM kr_worker", before))
        assert len(worker.lives) == 1


def refusing(when: str, words: str = "RAISE EXCEPTION 'not this one: secret'") -> str:
    """A trigger of somebody's that raises for task 7 when the row is as *when* says."""
    return f"""
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN {words.replace("'", "''")}; RETURN NEW; END';
        CREATE TRIGGER refuse BEFORE UPDATE ON kr_task_stat FOR EACH ROW WHEN (NEW.task_exec_seq = 7 AND ({when})) EXECUTE FUNCTION refuse()"""


@pytest.mark.parametrize(
    ("trigger", "outcome", "type_"),
    [
        (refusing("NEW.exec_status = 3"), "failed", "Unstorable"),
        (refusing("NEW.exec_status = 3", "PERFORM no_such_column"), "failed", "Unstorable"),
        (refusing("NEW.exec_status = 1"), "invalid", "RowRefused"),
        (refusing("NEW.gate = 'slot'"), "invalid", "RowRefused"),
        ("ALTER TABLE kr_task_stat ADD CONSTRAINT ck CHECK (task_exec_seq <> 7 OR exec_status <> 1)", "invalid", "RowRefused"),
    ],
    ids=["end", "end-42", "claim", "gate", "check"],
)
async def test_a_user_trigger_or_constraint_that_refuses_one_row_stops_that_row_alone(
    database_url: str, connection: Connection, trigger: str, outcome: str, type_: str
) -> None:
    async def work() -> None: ...

    await connection.execute(trigger)
    async with living(database_url, work, slots=50) as worker:
        await insert(connection, "work", count=50)
        tasks = await ended(connection)
        assert worker.life.state == "ok"
    assert Counter(task["status"] for task in tasks) == {3: 49, 2: 1}
    assert (tasks[6]["outcome"], json.loads(tasks[6]["error"])["type"]) == (outcome, type_)


@pytest.mark.parametrize("when", ["NEW.exec_status IN (2, 3)", "NEW.exec_status IN (1, 2)", "NEW.gate = 'slot' OR NEW.exec_status = 2"])
async def test_a_row_that_takes_no_change_at_all_stops_no_other_and_goes_on_when_it_may(database_url: str, connection: Connection, when: str) -> None:
    async def work() -> None: ...

    await connection.execute(refusing(when))
    async with living(database_url, work, slots=20) as worker:
        with capture_logs() as logs:
            await insert(connection, "work", count=50)
            await until(lambda: connection.fetchval("SELECT count(*) = 49 FROM kr_task_stat WHERE exec_status = 3"))
            assert worker.life.state == "ok"
            await connection.execute("DROP TRIGGER refuse ON kr_task_stat")
            await stands(connection, *[3] * 50)
    assert "secret" not in str(logs)
