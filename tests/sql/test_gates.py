"""Time, pause, program, limit: who is held at which gate, and that every door lets all through that it should."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from time import monotonic
from uuid import UUID

import asyncpg
import pytest

from flower.core.model import Outcome
from flower.core.status import Status
from flower.database.pool import Connection, Pool
from tests.sql.engine import Engine, edge, gates, put, row, seqs, statuses, write

FAR = "clock_timestamp() + interval '1 hour'"


async def write_many(
    connection: Connection, count: int, *, flow: str = "f", program: str = "Ok", limits: list[str] | None = None, workflow: str = "by_hand"
) -> None:
    await connection.execute(
        """INSERT INTO kr_task_stat (task_flow_id, task_exec_seq, depends_task_exec_seq, task_id, task_seq, exec_status, parameters, program, limits)
            SELECT $1, g, -1, $5, 1, 0, '{}', $3, $4::text[] FROM generate_series(1, $2::integer) g""",
        flow, count, program, limits, workflow,
    )  # fmt: skip


async def inside(connection: Connection, name: str) -> int:
    """How many tasks of this limit run or may be claimed."""
    return int(
        await connection.fetchval(
            "SELECT count(*) FROM kr_task_stat WHERE limits @> ARRAY[$1] AND (exec_status = 1 OR (exec_status = 0 AND gate = 'slot'))", name
        )
    )


# Time


async def test_a_retry_waits_at_the_gate_time_and_comes_back_when_its_delay_is_over(engine: Engine, connection: Connection) -> None:
    await write(connection, "f", 1)
    await engine.fail(await engine.one(), retry_after=0.3)

    task = await row(connection, "f", 1)
    assert (task["gate"], task["exec_status"], task["outcome"], task["error"]["message"], task["tries"]) == ("time", 0, "failed", "it broke", 1)
    answer = await engine.turn(look=True, slots=1)
    assert answer.claimed == ()
    assert 0 < (answer.sleep_seconds or 0) <= 0.3

    await asyncio.sleep(answer.sleep_seconds or 0)  # what the dispatcher does: the answer said when to look
    assert (await engine.one()).attempt == 2


async def test_the_next_time_gate_is_said_and_one_that_never_opens_is_not(engine: Engine, connection: Connection) -> None:
    await write(connection, "f", 1)
    await write(connection, "f", 2)
    await connection.execute("UPDATE kr_task_stat SET run_after = 'infinity' WHERE task_exec_seq = 2")
    await connection.execute(f"UPDATE kr_task_stat SET run_after = {FAR} WHERE task_exec_seq = 1")
    await engine.look()

    assert 3_500 < ((await engine.turn(look=True)).sleep_seconds or 0) <= 3_600
    await connection.execute("DELETE FROM kr_task_stat WHERE task_exec_seq = 1")
    await engine.look()
    assert (await engine.turn(look=True)).sleep_seconds is None


# Program


async def test_a_program_that_nobody_has_stands_at_its_gate_until_a_worker_brings_it_and_again_when_that_one_goes(
    engine: Engine, pool: Pool, connection: Connection
) -> None:
    await write_many(connection, 700, program="Rare")
    await write(connection, "g", 1)
    assert [claim.flow_id for claim in await engine.claim()] == ["g"]
    assert set((await gates(connection, "f")).values()) == {"program Rare"}

    rare = await Engine(pool).enroll("Rare")
    await engine.look()
    assert set((await gates(connection, "f")).values()) == {"slot"}
    assert seqs(await rare.claim(2)) == [1, 2]

    await rare.leave()
    await engine.look()
    assert [gate for gate in (await gates(connection, "f")).values() if gate] == ["program Rare"] * 698


async def test_each_worker_claims_only_what_it_has(engine: Engine, pool: Pool, connection: Connection) -> None:
    rare = await Engine(pool).enroll("Rare")
    both = await Engine(pool).enroll("Rare", "Ok")
    for seq in range(1, 10):
        await write(connection, "f", seq, program="Ok" if seq % 3 else "Rare")

    assert seqs(await engine.claim(2)) == [1, 2]
    assert seqs(await rare.claim(2)) == [3, 6]
    assert seqs(await both.claim()) == [4, 5, 7, 8, 9]


async def test_a_worker_does_not_claim_the_program_of_one_that_has_gone_before_anybody_looked(
    engine: Engine, pool: Pool, connection: Connection
) -> None:
    rare = await Engine(pool).enroll("Rare")
    await write(connection, "f", 1, program="Rare")
    await write(connection, "f", 2)
    await engine.look()
    await rare.leave()

    answer = await engine.turn(slots=10)

    assert seqs(answer.claimed) == [2]


async def test_where_workers_differ_rows_that_a_session_holds_do_not_stand_before_others(
    engine: Engine, pool: Pool, connection: Connection, other: Connection
) -> None:
    await Engine(pool).enroll("Rare")
    await write_many(connection, 30)
    await engine.look()
    async with other.transaction():
        await other.execute("SELECT FROM kr_task_stat WHERE task_exec_seq <= 20 FOR UPDATE")

        assert seqs(await engine.claim(5)) == [21, 22, 23, 24, 25]


# Pause


async def test_a_pause_holds_what_waits_and_not_what_runs_until_it_is_gone(engine: Engine, connection: Connection) -> None:
    await write_many(connection, 700)
    await write(connection, "f", 701, 1)
    await write(connection, "g", 1, task_id="other")
    running = (await engine.claim(1))[0]

    await connection.execute("INSERT INTO ms_pause (task_id) VALUES ('by_hand')")
    assert [claim.flow_id for claim in (await engine.turn(slots=10)).claimed] == ["g"]
    await engine.finish(running)
    await engine.look()
    assert set((await gates(connection, "f")).values()) == {None, "pause by_hand"}

    await connection.execute("DELETE FROM ms_pause")
    assert len(await engine.claim(1_000)) == 700


async def test_an_updated_pause_opens_the_one_and_closes_the_other(engine: Engine, connection: Connection) -> None:
    await connection.execute("INSERT INTO ms_pause (task_id) VALUES ('a')")
    await write(connection, "f", 1, task_id="a")
    await write(connection, "g", 1, task_id="b")
    await engine.look()

    await connection.execute("UPDATE ms_pause SET task_id = 'b'")
    await engine.look()

    assert (await gates(connection, "f"), await gates(connection, "g")) == ({1: "slot"}, {1: "pause b"})


async def test_the_gates_are_passed_in_their_order(engine: Engine, pool: Pool, connection: Connection) -> None:
    await connection.execute("INSERT INTO ms_limit VALUES ('l', 0)")
    await connection.execute("INSERT INTO ms_pause (task_id) VALUES ('by_hand')")
    await write(connection, "f", 1, status=2)
    await write(connection, "f", 2, 1, program="Rare", limits=["l"])
    await connection.execute(f"UPDATE kr_task_stat SET run_after = {FAR}")
    seen = []
    for step in (
        "UPDATE kr_task_stat SET exec_status = 3 WHERE task_exec_seq = 1",
        "UPDATE kr_task_stat SET run_after = NULL",
        "DELETE FROM ms_pause",
        None,
        "UPDATE ms_limit SET slots = 1",
    ):
        await engine.look()
        seen.append((await gates(connection, "f"))[2])
        if step:
            await connection.execute(step)
        else:
            await Engine(pool).enroll("Rare")
    await engine.look()
    seen.append((await gates(connection, "f"))[2])

    assert seen == ["dependencies 1", "time", "pause by_hand", "program Rare", "limit l", "slot"]


# Limits


async def test_no_more_than_its_slots_are_inside_a_limit_and_all_come_through(engine: Engine, connection: Connection) -> None:
    await connection.execute("INSERT INTO ms_limit VALUES ('l', 3)")
    await write_many(connection, 20, limits=["l"])
    await write_many(connection, 5, flow="free")
    await engine.look()
    order: list[float] = []
    claims = new = await engine.claim()
    assert len(claims) == 8
    while claims:
        order += seqs([claim for claim in new if claim.flow_id == "f"])
        await engine.finish(claims[0])
        assert await inside(connection, "l") <= 3
        new = await engine.claim()
        claims = claims[1:] + new

    assert order == list(range(1, 21))


async def test_a_task_goes_through_all_of_its_limits_or_none(engine: Engine, connection: Connection) -> None:
    await connection.execute("INSERT INTO ms_limit VALUES ('a', 2), ('b', 1)")
    for seq, limits in enumerate((["a", "b"], ["a", "b"], ["b"], ["a"]), start=1):
        await write(connection, "f", seq, limits=limits)

    first = await engine.claim()
    assert seqs(first) == [1, 4]
    assert await gates(connection, "f") == {1: None, 2: "limit b", 3: "limit b", 4: None}

    await engine.finish(first[0])
    second = await engine.claim()
    assert seqs(second) == [2]
    await engine.finish(*second)
    assert seqs(await engine.claim()) == [3]


async def test_a_limit_that_changes_counts_at_once(engine: Engine, connection: Connection) -> None:
    await connection.execute("INSERT INTO ms_limit VALUES ('l', 0)")
    await write_many(connection, 6, limits=["l"])
    assert await engine.claim() == []

    await connection.execute("UPDATE ms_limit SET slots = 2")
    running = await engine.claim()
    assert seqs(running) == [1, 2]

    await connection.execute("UPDATE ms_limit SET slots = 1")
    await engine.finish(running[0])
    assert await engine.claim() == []
    await engine.finish(running[1])
    assert seqs(await engine.claim()) == [3]

    await connection.execute("DELETE FROM ms_limit")
    assert seqs(await engine.claim()) == [4, 5, 6]


async def test_a_limit_without_a_row_does_not_hold_until_it_has_one(engine: Engine, connection: Connection) -> None:
    await write(connection, "f", 1, limits=["l"])
    assert seqs(await engine.claim()) == [1]

    await connection.execute("INSERT INTO ms_limit VALUES ('l', 1)")
    await write(connection, "f", 2, limits=["l"])

    assert await engine.claim() == []
    assert (await gates(connection, "f"))[2] == "limit l"


@pytest.mark.parametrize(
    "way_out",
    [
        "DELETE FROM kr_task_stat WHERE task_exec_seq = 1",
        "UPDATE kr_task_stat SET exec_status = 9 WHERE task_exec_seq = 1",
        "UPDATE kr_task_stat SET exec_status = 2 WHERE task_exec_seq = 1",
        "UPDATE kr_task_stat SET limits = NULL WHERE task_exec_seq = 1",
        f"UPDATE kr_task_stat SET run_after = {FAR} WHERE task_exec_seq = 1",
        "UPDATE kr_task_stat SET program = 'Rare' WHERE task_exec_seq = 1",
        "UPDATE kr_task_stat SET exec_status = 0 WHERE task_exec_seq = 3",
        "INSERT INTO ms_pause (task_id) VALUES ('first')",
        "INSERT INTO kr_task_edge (task_flow_id, parent_seq, task_exec_seq) VALUES ('f', 1, 1)",
        "INSERT INTO kr_task_edge (task_flow_id, parent_seq, task_exec_seq) VALUES ('f', 99, 1)",
    ],
)
@pytest.mark.parametrize("running", [False, True])
async def test_whoever_leaves_a_slot_in_whatever_way_makes_room_in_its_limits(
    engine: Engine, connection: Connection, way_out: str, running: bool
) -> None:
    await connection.execute("INSERT INTO ms_limit VALUES ('l', 1)")
    await write(connection, "f", 3, status=3)
    await write(connection, "f", 1, 3, limits=["l"], task_id="first")
    await write(connection, "f", 2, limits=["l"])
    await engine.look()
    assert (await gates(connection, "f"))[2] == "limit l"
    claims = await engine.claim(1) if running else []

    await connection.execute(way_out)
    if running:
        await engine.finish(*claims)
    await engine.look()

    assert (await gates(connection, "f"))[2] == "slot"


async def test_a_lost_worker_makes_room_in_its_limits(engine: Engine, pool: Pool, connection: Connection) -> None:
    await connection.execute("INSERT INTO ms_limit VALUES ('l', 1)")
    lost = await Engine(pool).enroll("Ok", lease_seconds=-1)
    await write(connection, "f", 1, limits=["l"], task_priority=1)
    await lost.claim()
    await write(connection, "f", 2, limits=["l"])
    await engine.look()

    await engine.store.workers.sweep()

    assert seqs(await engine.claim()) == [2]


async def test_the_most_urgent_is_admitted_first_and_one_whose_gate_has_closed_meanwhile_is_not(engine: Engine, connection: Connection) -> None:
    await connection.execute("INSERT INTO ms_limit VALUES ('l', 1)")
    await write_many(connection, 4, limits=["l"])
    claim = await engine.one()
    await connection.execute("UPDATE kr_task_stat SET task_priority = -3 WHERE task_exec_seq = 4")
    await connection.execute("UPDATE kr_task_stat SET task_priority = -2 WHERE task_exec_seq = 3")
    await engine.look()
    await connection.execute("SET session_replication_role = replica; UPDATE kr_task_stat SET run_after = 'infinity' WHERE task_exec_seq = 4")

    await engine.finish(claim)

    assert seqs(await engine.claim()) == [3]
    assert (await gates(connection, "f"))[4] == "time"


async def test_300_waiting_for_one_limit_while_another_is_full_do_not_keep_it_empty(engine: Engine, connection: Connection) -> None:
    await connection.execute("INSERT INTO ms_limit VALUES ('a', 5), ('b', 0)")
    await write_many(connection, 300, limits=["a", "b"])
    await write_many(connection, 10, flow="g", limits=["a"])

    assert [claim.flow_id for claim in await engine.claim()] == ["g"] * 5
    assert set((await gates(connection, "f")).values()) <= {"limit a", "limit b"}  # both are full
    assert (await engine.turn(look=True)).sleep_seconds is None


async def test_a_session_that_holds_the_row_of_a_limit_holds_up_nobody(engine: Engine, connection: Connection, other: Connection) -> None:
    await connection.execute("INSERT INTO ms_limit VALUES ('a', 1)")
    await write_many(connection, 3, limits=["a"])
    async with other.transaction():
        await other.execute("UPDATE ms_limit SET slots = 2 WHERE name = 'a'")

        assert seqs(await engine.claim()) == [1]

    assert seqs(await engine.claim()) == [2]


async def test_a_worker_that_lets_somebody_into_a_limit_is_not_waited_for_long(engine: Engine, connection: Connection, other: Connection) -> None:
    await connection.execute("INSERT INTO ms_limit VALUES ('a', 1)")
    await write(connection, "f", 1, limits=["a"])
    async with other.transaction():
        await other.fetch("SELECT kr_lock_limits('{a}')")
        began = monotonic()

        assert (await engine.turn(slots=1, look=True)).claimed == ()

        assert monotonic() - began < 0.5
    assert seqs(await engine.claim()) == [1]


async def test_whoever_comes_to_a_limit_by_what_has_just_ended_is_seen_before_all_that_wait_there_though_nobody_looks_from_the_start(
    engine: Engine, connection: Connection
) -> None:
    await connection.execute("INSERT INTO ms_limit VALUES ('a', 2)")
    await write_many(connection, 4, limits=["a"])
    await write(connection, "urgent", 1)
    await write(connection, "urgent", 2, 1, limits=["a"], task_priority=-20)
    await engine.look()
    first, second, parent = (await engine.turn(slots=3)).claimed
    assert (first.flow_id, second.flow_id, parent.flow_id) == ("f", "f", "urgent")
    assert engine.position is not None

    ended = [Outcome(claim, Status.FINISH, value="null") for claim in (first, parent)]

    assert [claim.flow_id for claim in (await engine.turn(ended, slots=1)).claimed] == ["urgent"]


async def test_a_worker_that_lets_tasks_into_a_limit_holds_up_only_that_limit(
    engine: Engine, pool: Pool, connection: Connection, other: Connection
) -> None:
    await connection.execute("INSERT INTO ms_limit VALUES ('a', 1), ('b', 1)")
    await write(connection, "f", 1, limits=["a"])
    await write(connection, "f", 2, limits=["b"])
    slow = await Engine(pool).enroll("Ok")
    async with other.transaction():
        await other.fetch("SELECT kr_lock_limits('{a}')")

        assert seqs(await engine.claim()) == [2]

    await slow.look()
    assert seqs(await engine.claim()) == [1]


async def test_a_probe_heals_a_door_whose_bell_was_lost(engine: Engine, pool: Pool, connection: Connection) -> None:
    await connection.execute("INSERT INTO ms_limit VALUES ('l', 0)")
    await connection.execute("INSERT INTO ms_pause (task_id) VALUES ('paused')")
    await write(connection, "f", 1, limits=["l"])
    await write(connection, "f", 2, task_id="paused")
    await write(connection, "f", 3, program="Rare")
    await engine.look()
    assert (await engine.store.workers.probe(engine.worker_id, "")).work is False
    await Engine(pool).enroll("Rare")
    await connection.execute("UPDATE ms_limit SET slots = 1; DELETE FROM ms_pause; DELETE FROM kr_recount")

    assert (await engine.store.workers.probe(engine.worker_id, "")).work is True
    await engine.look()

    assert await gates(connection, "f") == {1: "slot", 2: "slot", 3: "slot"}


async def test_a_negative_limit_is_refused(connection: Connection) -> None:
    with pytest.raises(asyncpg.CheckViolationError, match="slots_not_negative"):
        await connection.execute("INSERT INTO ms_limit VALUES ('l', -1)")


async def test_why_names_the_gate_of_each_waiting_task(engine: Engine, connection: Connection) -> None:
    await connection.execute("INSERT INTO ms_limit VALUES ('l', 0)")
    await write(connection, "f", 1, limits=["l"])
    await write(connection, "f", 2, 9)
    await write(connection, "f", 3, program="Rare")
    await write(connection, "f", 4, status=7)
    await engine.look()

    reasons = {float(waiting.seq): waiting.reason for waiting in await engine.store.flows.why("f")}

    assert set(reasons) == {1, 2, 3, 4}
    assert "l" in reasons[1]
    assert "9" in reasons[2]
    assert "Rare" in reasons[3]
    assert "7" in reasons[4]


async def test_why_names_all_reasons_at_once_and_nothing_where_there_is_none(engine: Engine, connection: Connection) -> None:
    await connection.execute("INSERT INTO ms_limit VALUES ('l', 0); INSERT INTO ms_pause (task_id, reason) VALUES ('held', 'vendor outage')")
    await write(connection, "f", 1, status=2, outcome="failed")
    await write(connection, "f", 2, 1, program="Okk", limits=["l"], task_id="held", run_after=datetime(2099, 1, 1, tzinfo=UTC))
    await write(connection, "f", 3)
    await engine.look()

    first, all_, none = await engine.store.flows.why("f")

    assert first.reasons == ("is suspended (failed): retry, ignore or complete it",)
    told = [
        "which is suspended (failed)",
        "waits until 2099",
        "the workflow 'held' is paused: vendor outage",
        "did you mean Ok?",
        "the limit 'l' is set to 0: nothing that names it starts",
    ]
    assert [part in reason for part, reason in zip(told, all_.reasons, strict=True)] == [True] * 5
    assert none.reasons == ("nothing: it starts as soon as a worker looks",)


async def test_why_says_that_no_slot_is_free_the_place_in_line_and_who_passes(pool: Pool, connection: Connection) -> None:
    engine = await Engine(pool, slots=1).enroll("Ok")
    await write(connection, "f", 1)
    await engine.claim(1)
    await write(connection, "g", 1, task_priority=5)
    await write(connection, "h", 1)
    await engine.look()

    (waiting,) = await engine.store.flows.why("g")

    assert "no slot is free (1 of 1 on 1 worker); place in line 2, passed by 1 of higher priority" in waiting.reason


async def test_a_parent_set_back_takes_its_child_from_the_slot(engine: Engine, connection: Connection) -> None:
    await write(connection, "f", 1, status=9)
    await write(connection, "f", 2, 1)
    await edge(connection, "f", 3, 2)
    await write(connection, "f", 3, status=3)
    await engine.look()
    assert (await gates(connection, "f"))[2] == "slot"

    await put(connection, "f", 3, 2)
    await engine.look()

    assert (await gates(connection, "f"))[2] == "dependencies 3"
    assert await statuses(connection, "f") == {1: 9, 2: 0, 3: 2}
    assert isinstance(engine.worker_id, UUID)


async def test_a_door_that_closes_behind_a_task_takes_it_back_from_every_later_gate(engine: Engine, pool: Pool, connection: Connection) -> None:
    rare = await Engine(pool).enroll("Rare")
    await connection.execute("INSERT INTO ms_limit VALUES ('l', 0)")
    await write(connection, "f", 1, limits=["l"])
    await write(connection, "f", 2, program="Nobody")
    await write(connection, "f", 3, crashes=2)
    await write(connection, "f", 4, program="Rare", limits=["l"], task_id="other")
    await engine.look()
    assert await gates(connection, "f") == {1: "limit l", 2: "program Nobody", 3: "slot", 4: "limit l"}

    await connection.execute("INSERT INTO ms_pause (task_id) VALUES ('by_hand')")
    await rare.leave()
    await engine.look()

    assert await gates(connection, "f") == {1: "pause by_hand", 2: "pause by_hand", 3: "pause by_hand", 4: "program Rare"}


async def test_a_worker_that_went_and_came_back_has_no_waiting_task_written(engine: Engine, connection: Connection) -> None:
    for seq in range(1, 6):
        await write(connection, "f", seq)
    await engine.look()
    places = "SELECT array_agg(ctid ORDER BY task_exec_seq) FROM kr_task_stat WHERE gate = 'slot'"
    before = await connection.fetchval(places)

    await engine.enroll_again("Ok")
    await engine.look()

    assert await connection.fetchval(places) == before
    assert len(before) == 5
