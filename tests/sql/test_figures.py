"""The figures of the whole, of workers and of workflows, as the database gives them."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from uuid import uuid4

import pytest

from flower.core.errors import UnknownRevision, UnknownWorkflow
from flower.core.figures import Count, Counted
from flower.core.status import Status
from flower.database.pool import Connection, Pool
from flower.database.store import Store
from tests.sql.engine import Engine, define, put, write

NONE = Count()


@pytest.fixture
def store(pool: Pool) -> Store:
    return Store(pool)


# What is not over.


async def test_of_an_empty_database_every_figure_is_nothing(store: Store) -> None:
    counts = await store.overview.open()

    assert set(counts.flows) == set(counts.tasks) == {"wait", "running", "suspend"}
    assert set(counts.gates) == {"new", "dependencies", "time", "pause", "signal", "program", "limit", "slot"}
    assert {*counts.flows.values(), *counts.tasks.values(), *counts.gates.values()} == {NONE}
    assert await store.overview.lag() is None
    assert await store.workers.list() == await store.workers.noticed() == ()
    minutes = await store.overview.throughput()
    assert len(minutes) == 60
    assert {minute.counted for minute in minutes} == {Counted()}
    assert {later.at - earlier.at for earlier, later in pairwise(minutes)} == {timedelta(minutes=1)}


async def test_tasks_are_counted_where_they_stand_and_flows_by_their_status(store: Store, engine: Engine, connection: Connection) -> None:
    await connection.execute("INSERT INTO ms_pause (task_id) VALUES ('paused'); INSERT INTO ms_limit VALUES ('full', 0)")
    await write(connection, "runs", 1)
    await write(connection, "runs", 2, 1)
    await engine.claim()
    await write(connection, "stands", 1, status=2)
    await write(connection, "stands", 2, 1)
    await write(connection, "stands", 3)
    await write(connection, "paused", 1, task_id="paused")
    await write(connection, "absent", 1, program="absent")
    await write(connection, "full", 1, limits=["full"])
    await write(connection, "waits", 1, program="WaitForSignal", parameters='{"name": "go"}')
    await write(connection, "over", 1, status=3)
    await connection.execute("UPDATE kr_task_stat SET run_after = now() + interval '1 hour' WHERE task_flow_id = 'stands' AND task_exec_seq = 3")
    await engine.look()
    await write(connection, "ready", 1)
    await engine.look()
    await write(connection, "fresh", 1)

    counts = await store.overview.open()

    assert {word: count.value for word, count in counts.tasks.items()} == {"wait": 9, "running": 1, "suspend": 1}
    assert counts.gates == {**dict.fromkeys(("new", "time", "pause", "signal", "program", "limit", "slot"), Count(1)), "dependencies": Count(2)}
    assert counts.flows == {"wait": Count(6), "running": Count(1), "suspend": Count(1)}


async def test_beyond_as_many_as_are_counted_it_says_that_there_are_more(pool: Pool, connection: Connection, engine: Engine) -> None:
    await connection.execute("""
        INSERT INTO kr_task_stat (task_flow_id, task_exec_seq, depends_task_exec_seq, task_id, task_seq, exec_status, parameters, program)
            SELECT 'f' || g, s, CASE s WHEN 1 THEN -1 ELSE 1 END, 'w', 1, 0, '{}', 'Ok' FROM generate_series(1, 20) g, generate_series(1, 2) s""")
    await engine.look()

    async def counted(most: int, few: int) -> set[tuple[object, ...]]:
        return {tuple(row) for row in await pool.fetch("SELECT * FROM kr_open_counts($1, $2)", most, few)}

    assert await counted(100, 100) == {("gate", "slot", 20, False), ("gate", "dependencies", 20, False), ("flow", "wait", 20, False)}
    assert await counted(20, 20) == {("gate", "slot", 20, False), ("gate", "dependencies", 10, True), ("flow", "wait", 20, False)}
    assert await counted(5, 3) == {("gate", "slot", 5, True), ("gate", "dependencies", 3, True), ("flow", "wait", 3, True)}


async def test_the_lag_counts_from_the_last_that_kept_the_first_in_line_from_running(store: Store, engine: Engine, connection: Connection) -> None:
    await write(connection, "f", 1)
    await write(connection, "f", 2, 1)
    await connection.execute("UPDATE kr_task_stat SET registered_ts = now() - interval '1 hour'")
    assert 3_599 < (await lag_after_look(store, engine)) < 3_700

    await engine.finish(await engine.one())
    assert (await lag_after_look(store, engine)) < 60
    await connection.execute("UPDATE kr_task_stat SET finished_ts = now() - interval '10 minutes' WHERE task_exec_seq = 1")
    assert 599 < (await lag_after_look(store, engine)) < 700

    await connection.execute("UPDATE kr_task_stat SET run_after = now() - interval '5 minutes' WHERE task_exec_seq = 2")
    assert 299 < (await lag_after_look(store, engine)) < 400


async def lag_after_look(store: Store, engine: Engine) -> float:
    await engine.look()
    seconds = await store.overview.lag()
    assert seconds is not None
    return seconds


# What was recorded.


async def test_beats_say_totals_and_what_is_new_counts_once_for_its_minute(store: Store, engine: Engine) -> None:
    workers, me = store.workers, engine.worker_id
    for total in (Counted(10, 1, 2), Counted(10, 1, 2), Counted(15, 1, 4)):
        assert await workers.beat(me, 30, total)
    await workers.leave(me, Counted(16, 1, 4))

    minutes = await store.overview.throughput()

    assert sum((minute.counted for minute in minutes), Counted()) == Counted(16, 1, 4)
    assert sum((minute.counted for minute in minutes[-2:]), Counted()) == Counted(16, 1, 4)


async def test_a_worker_that_was_given_up_hands_over_nothing(store: Store, engine: Engine) -> None:
    await engine.leave()

    assert not await store.workers.beat(engine.worker_id, 30, Counted(5))
    await store.workers.leave(engine.worker_id, Counted(5))

    assert sum((minute.counted for minute in await store.overview.throughput()), Counted()) == Counted()


async def test_the_sweep_forgets_what_is_older_than_a_day(store: Store, connection: Connection) -> None:
    await connection.execute("""
        INSERT INTO kr_minute SELECT date_trunc('minute', now()) - h * interval '1 hour', gen_random_uuid(), 1, 0, 0 FROM generate_series(0, 48) h""")

    await store.workers.sweep()

    assert await connection.fetchval("SELECT count(*) FROM kr_minute") in (24, 25)
    assert await connection.fetchval("SELECT min(minute) >= now() - interval '1 day' FROM kr_minute")
    assert sum((minute.counted for minute in await store.overview.throughput()), Counted()) == Counted(1)


# Workers, and what they see.


async def test_a_live_worker_has_what_it_runs_and_for_how_long_it_is_silent(store: Store, engine: Engine, connection: Connection) -> None:
    for seq in (1, 2, 3):
        await write(connection, "f", seq)
    first, *_ = await engine.claim(2)
    await connection.execute("UPDATE kr_worker SET beat_ts = beat_ts - interval '10 s'")
    assert await store.workers.notice(first, kind="LoopBlocked", message="it blocked", where="app.py:1 in f")
    await connection.execute("UPDATE kr_task_stat SET notice = '{}' WHERE exec_status = 0")

    (worker,), (noticed,) = await store.workers.list(), await store.workers.noticed()

    assert (worker.worker_id, worker.running, worker.slots) == (engine.worker_id, 2, 100)
    assert 10 <= worker.silent_seconds < 20
    assert worker.lease_until > worker.beat_at
    assert (noticed.flow_id, noticed.seq, noticed.worker_id, noticed.notice["where"]) == ("f", first.seq, engine.worker_id, "app.py:1 in f")


async def test_the_oldest_snapshot_is_that_of_the_transaction_that_keeps_dead_rows(store: Store, other: Connection) -> None:
    assert await store.overview.oldest_snapshot() is None
    async with other.transaction(isolation="repeatable_read"):
        await other.execute("SET application_name = 'a report'")
        await other.fetchval("SELECT count(*) FROM kr_task_stat")

        found = await store.overview.oldest_snapshot()

        assert found is not None
        assert (found.application, found.state, found.pid) == ("a report", "idle in transaction", other.get_server_pid())
        assert 0 <= found.seconds < 30
    assert await store.overview.oldest_snapshot() is None


async def test_the_sizes_are_of_the_database_and_of_our_tables(store: Store, connection: Connection) -> None:
    await connection.execute("CREATE TABLE theirs AS SELECT 1")

    sizes = await store.overview.sizes()

    assert {"kr_task_stat", "ms_task_definition", "kr_minute"} <= set(sizes.tables)
    assert "theirs" not in sizes.tables
    assert sizes.database > sum(sizes.tables.values()) > 0
    assert list(sizes.tables.values()) == sorted(sizes.tables.values(), reverse=True)


# Workflows.


async def test_a_history_tells_how_the_latest_flows_stand_the_newest_last(store: Store, engine: Engine, connection: Connection) -> None:
    for flow in ("finished", "running", "failed", "asked", "cancelled", "waits", "half"):
        await write(connection, flow, 1, task_id="a/b")
        await write(connection, flow, 2, 1, task_id="a/b")
    await engine.look()
    for flow in ("finished", "cancelled", "half"):
        await put(connection, flow, 1, 3)
    await put(connection, "finished", 2, 3)
    await connection.execute("UPDATE kr_task_stat SET exec_status = 9, outcome = 'cancelled' WHERE task_flow_id = 'cancelled' AND task_exec_seq = 2")
    await connection.execute(
        "UPDATE kr_task_stat SET exec_status = 2, outcome = 'failed' WHERE task_flow_id IN ('failed', 'half') AND task_exec_seq = CASE task_flow_id WHEN 'half' THEN 2 ELSE 1 END"
    )
    await connection.execute("UPDATE kr_task_stat SET exec_status = 2, outcome = 'approval' WHERE task_flow_id = 'asked' AND task_exec_seq = 1")
    await write(connection, "half", 3, task_id="a/b", run_after=await connection.fetchval("SELECT now() + interval '1 day'"))
    await connection.execute("UPDATE kr_task_stat SET task_priority = -20 WHERE task_flow_id = 'running' AND task_exec_seq = 1")
    await engine.claim(1)

    history = await store.workflows.history("a/b")

    found = {flow.flow_id: (flow.status, flow.outcome, flow.stalled, flow.seconds is not None, flow.partly) for flow in history.flows}
    assert found == {
        "finished": (Status.FINISH, None, False, True, False),
        "running": (Status.RUNNING, None, False, False, False),
        "failed": (Status.SUSPEND, "failed", True, False, False),
        "asked": (Status.SUSPEND, "approval", True, False, False),
        "cancelled": (Status.IGNORE, "cancelled", False, True, False),
        "waits": (Status.WAIT, None, False, False, False),
        "half": (Status.SUSPEND, "failed", False, False, False),
    }
    assert [flow.registered_at for flow in history.flows] == sorted(flow.registered_at for flow in history.flows)
    # The same that the list of flows says.
    listed = {flow.flow_id: (flow.status, flow.stalled, flow.finished_at) for flow in (await store.flows.list()).items}
    assert listed == {flow.flow_id: (flow.status, flow.stalled, flow.finished_at) for flow in history.flows}


async def test_of_a_flow_with_many_tasks_the_last_hundred_are_looked_at(store: Store, connection: Connection) -> None:
    await connection.execute("""
        INSERT INTO kr_task_stat (task_flow_id, task_exec_seq, depends_task_exec_seq, task_id, task_seq, exec_status, parameters, program, finished_ts)
            SELECT 'f' || n, g, -1, 'w', 1, 3, '{}', 'Ok', now() FROM generate_series(100, 101) n, generate_series(1, n) g""")
    await connection.execute("INSERT INTO kr_flow_stat (task_flow_id, task_id) VALUES ('f100', 'w'), ('f101', 'w')")

    history = await store.workflows.history("w")

    assert {flow.flow_id: (flow.status, flow.partly) for flow in history.flows} == {"f100": (Status.FINISH, False), "f101": (Status.FINISH, True)}


async def test_histories_come_in_the_order_that_was_asked_for_with_up_to_fifty_flows_each(store: Store, connection: Connection) -> None:
    await connection.execute(
        "INSERT INTO kr_flow_stat (task_flow_id, task_id, registered_ts) SELECT w || n, w, now() + n * interval '1 s' FROM unnest('{a,b}'::text[]) w, generate_series(1, 60) n"
    )

    b, none, a = await store.workflows.histories(["b", "none", "a"])

    assert [flow.flow_id for flow in b.flows] == [f"b{n}" for n in range(11, 61)]
    assert (none.workflow, none.flows, len(a.flows)) == ("none", (), 50)
    with pytest.raises(UnknownWorkflow):
        await store.workflows.history("none")


async def test_a_workflow_without_flows_has_an_empty_history(store: Store, connection: Connection) -> None:
    await define(connection, "new", {})

    assert (await store.workflows.history("new")).flows == ()


async def test_revisions_come_newest_first_and_say_who_made_them(store: Store, connection: Connection) -> None:
    await define(connection, "a/b", {"parameters": '{"n": 1}'})
    for n in (2, 3):
        await connection.execute("UPDATE ms_task_definition SET parameters = jsonb_build_object('n', $1::integer)", n)

    newest, *older = found = await store.workflows.revisions("a/b")

    assert [revision.revision for revision in found] == [3, 2, 1]
    assert (newest.steps[0]["parameters"], older[1].steps[0]["parameters"]) == ({"n": 3}, {"n": 1})
    assert [revision.is_current for revision in found] == [True, False, False]
    assert newest.by == await connection.fetchval("SELECT session_user")
    assert newest.source == "flower/-/test"
    assert [revision.revision for revision in await store.workflows.revisions("a/b", before=3, limit=1)] == [2]
    assert await store.workflows.revisions("a/b", before=1) == ()
    assert (await store.workflows.revision("a/b", 2)).steps[0]["parameters"] == {"n": 2}
    with pytest.raises(UnknownRevision):
        await store.workflows.revision("a/b", 4)
    with pytest.raises(UnknownWorkflow):
        await store.workflows.revision(str(uuid4()), 1)
