"""The engine's one call: claims that fence, locks that nobody waits for, outcomes that spoil a batch, workers that are lost."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic
from uuid import uuid4

import asyncpg
import pytest

from flower.core.figures import Counted
from flower.core.model import Claim, Outcome
from flower.core.status import Status
from flower.database.pool import Connection, Pool
from flower.database.queries import query
from tests.sql.engine import Engine, define, edge, gates, put, row, seqs, statuses, write

# Far less than a session of a user's may hold a lock, far more than a cycle takes on a busy machine.
SOON = 1.0


@asynccontextmanager
async def holding(session: Connection, statement: str) -> AsyncIterator[None]:
    """While inside, *session* has an open transaction in which it did *statement*; then it rolls back."""
    transaction = session.transaction()
    await transaction.start()
    await session.execute(statement)
    try:
        yield
    finally:
        await transaction.rollback()


def finished(claim: Claim, value: str = "null") -> Outcome:
    return Outcome(claim, Status.FINISH, value=value)


# Claims


async def test_only_the_holder_of_the_current_claim_writes(engine: Engine, pool: Pool, connection: Connection) -> None:
    lost = await Engine(pool).enroll("Ok", lease_seconds=-1)
    await write(connection, "f", 1)
    first = (await lost.claim())[0]
    await engine.store.workers.sweep()
    second = await engine.one()

    for outcome in (finished(first, '"late"'), Outcome(first, Status.SUSPEND, value="{}"), Outcome(first, Status.WAIT, unharmed=True)):
        assert (await lost.turn([outcome])).refused == (first.claim_id,)

    assert (await row(connection, "f", 1))["claim_id"] == second.claim_id
    assert (await engine.finish(second, value='"good"')).refused == ()
    assert (await engine.finish(second, value='"again"')).refused == (second.claim_id,)
    assert (await row(connection, "f", 1))["result"] == "good"


async def test_one_outcome_sent_twice_in_one_call_is_written_once(engine: Engine, connection: Connection) -> None:
    await write(connection, "f", 1)
    claim = await engine.one()

    answer = await engine.turn([finished(claim), finished(claim)])

    assert (answer.refused, answer.locked) == ((), ())
    assert await statuses(connection, "f") == {1: 3}


async def test_a_late_outcome_in_one_call_with_the_current_one_is_refused_alone(engine: Engine, connection: Connection) -> None:
    await write(connection, "f", 1)
    first = await engine.one()
    await put(connection, "f", 1, 0)
    second = await engine.one()

    answer = await engine.turn([finished(first, '"late"'), finished(second, '"good"')])

    assert answer.refused == (first.claim_id,)
    assert (await row(connection, "f", 1))["result"] == "good"


async def test_a_worker_that_was_given_up_claims_nothing(engine: Engine, connection: Connection) -> None:
    await write(connection, "f", 1)
    await engine.look()
    await engine.leave()

    assert (await engine.turn(slots=10)).claimed == ()


async def test_attempts_grow_and_what_is_handed_back_unharmed_uses_up_no_try(engine: Engine, connection: Connection) -> None:
    await write(connection, "f", 1)

    await engine.hand_back(await engine.one())
    task = await row(connection, "f", 1)
    assert (task["attempt"], task["tries"], task["gate"], task["error"], task["worker_id"]) == (1, 0, "slot", None, None)

    await engine.fail(await engine.one(), retry_after=0)
    task = await row(connection, "f", 1)
    assert (task["attempt"], task["tries"]) == (2, 1)
    assert (await engine.one()).attempt == 3
    kept = await connection.fetch("SELECT attempt, exec_status, outcome, error IS NULL FROM kr_task_attempt ORDER BY attempt")
    assert [tuple(found) for found in kept] == [(1, 0, None, True), (2, 0, "failed", False)]


async def test_a_claim_begins_behind_its_last_position_and_goes_back_for_what_a_hand_wrote_before_it(engine: Engine, connection: Connection) -> None:
    for seq in range(1, 6):
        await write(connection, "f", seq)
    await engine.look()
    assert seqs((await engine.turn(slots=2)).claimed) == [1, 2]

    await write(connection, "urgent", 1, task_priority=-1)
    answer = await engine.turn(slots=2, look=True)

    assert [(claim.flow_id, float(claim.seq)) for claim in answer.claimed] == [("urgent", 1), ("f", 3)]


async def test_a_released_task_that_is_older_than_the_position_is_claimed_at_once(engine: Engine, connection: Connection) -> None:
    await write(connection, "old", 1)
    await write(connection, "old", 2, 1)
    for seq in range(1, 9):
        await write(connection, "f", seq)
    await engine.look()
    first = (await engine.turn(slots=1)).claimed
    assert seqs((await engine.turn(slots=2)).claimed) == [1, 2]

    answer = await engine.turn([finished(first[0])], slots=2)

    assert [(claim.flow_id, float(claim.seq)) for claim in answer.claimed] == [("old", 2), ("f", 3)]


@pytest.mark.parametrize("by_hand", [True, False])
async def test_a_registration_held_open_under_load_is_claimed_first_after_its_commit(
    engine: Engine, connection: Connection, other: Connection, by_hand: bool
) -> None:
    await define(connection, "w", {})
    transaction = other.transaction()
    await transaction.start()
    if by_hand:
        await write(other, "held", 1)
        held = "held"
    else:
        held = await other.fetchval("SELECT flower_register('w')")
    await connection.fetch("SELECT flower_register('w') FROM generate_series(1, 50)")
    done: list[Outcome] = []
    for _ in range(4):
        claimed = (await engine.turn(done, slots=5, look=True)).claimed
        assert held not in {claim.flow_id for claim in claimed}
        done = [finished(claim) for claim in claimed]

    await transaction.commit()
    if not by_hand:
        engine.position = None  # the dispatcher goes back to the start once a second

    assert (await engine.turn(done, slots=5, look=True)).claimed[0].flow_id == held


async def test_a_worker_may_come_twice_under_its_id_because_the_first_answer_was_lost(engine: Engine, connection: Connection) -> None:
    await engine.enroll("Ok")

    assert await connection.fetchval("SELECT count(*) FROM kr_worker") == 1


async def test_two_cyclers_at_once_start_each_task_once_and_lose_none(engine: Engine, pool: Pool, connection: Connection) -> None:
    second = await Engine(pool).enroll("Ok")
    await define(connection, "w", {}, {"depends_on": [1]}, {"depends_on": [1]}, {"depends_on": [2, 3]})
    await connection.fetch("SELECT flower_register('w') FROM generate_series(1, 100)")
    started: list[tuple[str, float]] = []

    async def work(worker: Engine) -> None:
        done: list[Outcome] = []
        idle = 0
        while idle < 20:
            answer = await worker.turn(done, slots=10, look=True)
            started.extend((claim.flow_id, float(claim.seq)) for claim in answer.claimed)
            idle = 0 if answer.claimed or done else idle + 1
            # What the other had locked just then comes back as not written.
            again = [outcome for outcome in done if outcome.claim.claim_id in answer.locked]
            done = again + [finished(claim) for claim in answer.claimed]

    await asyncio.gather(work(engine), work(second))

    assert max(Counter(started).values()) == 1
    assert await connection.fetchval("SELECT count(*) FROM kr_task_stat WHERE exec_status = 3") == 400 == len(started)


# Locks of others


async def test_an_outcome_whose_row_is_locked_is_not_written_and_is_written_when_sent_again(
    engine: Engine, connection: Connection, other: Connection
) -> None:
    for seq in (1, 2):
        await write(connection, "f", seq)
    await write(connection, "f", 3, 1)
    one, two = await engine.claim()

    async with holding(other, "SELECT FROM kr_task_stat WHERE task_exec_seq = 1 FOR UPDATE"):
        answer = await engine.finish(one, two)
        assert (answer.locked, answer.refused) == ((one.claim_id,), ())
        assert await statuses(connection, "f") == {1: 1, 2: 3, 3: 0}

    assert (await engine.finish(one)).locked == ()
    assert seqs(await engine.claim()) == [3]


async def test_a_child_that_is_locked_when_its_parent_ends_is_looked_at_again(engine: Engine, connection: Connection, other: Connection) -> None:
    await write(connection, "f", 1)
    await write(connection, "f", 2, 1)
    (parent,) = await engine.claim()

    async with holding(other, "SELECT FROM kr_task_stat WHERE task_exec_seq = 2 FOR UPDATE"):
        assert (await engine.finish(parent)).locked == ()

    await engine.look()
    assert seqs(await engine.claim()) == [2]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE kr_task_stat SET task_priority = 1 WHERE task_flow_id = 'held' AND task_exec_seq = 1",
        "UPDATE kr_task_stat SET task_priority = 1 WHERE task_flow_id = 'held' AND task_exec_seq = 2",
        "UPDATE kr_task_stat SET task_priority = 1 WHERE task_flow_id = 'held'",
        "DELETE FROM kr_task_stat WHERE task_flow_id = 'held' AND task_exec_seq = 2",
        "DELETE FROM kr_task_edge WHERE task_flow_id = 'held'",
        """INSERT INTO kr_task_stat (task_flow_id, task_exec_seq, depends_task_exec_seq, task_id, task_seq, exec_status, parameters, program, limits)
            VALUES ('held', 9, 1, 'w', 1, 0, '{}', 'Ok', '{l}')""",
        "UPDATE ms_limit SET slots = 2",
        "SELECT FROM kr_task_stat WHERE task_flow_id = 'held' FOR SHARE",
        "SELECT FROM kr_flow_stat FOR UPDATE",
        "SELECT FROM kr_worker FOR UPDATE",
    ],
)
async def test_an_open_transaction_of_a_user_slows_no_other_flow_and_nothing_is_lost(
    engine: Engine, connection: Connection, other: Connection, statement: str
) -> None:
    await connection.execute("INSERT INTO ms_limit VALUES ('l', 1)")
    await write(connection, "held", 1)
    await write(connection, "held", 2, 1)
    await write(connection, "held", 3, 2, limits=["l"])
    running = await engine.one()
    for flow in range(5):
        for seq in range(1, 4):
            await write(connection, f"free{flow}", seq, seq - 1 or -1)
    done, late, ran, longest = [finished(running)], [], 0, 0.0

    async with holding(other, statement):
        for _ in range(8):
            began = monotonic()
            answer = await engine.turn(done, slots=10, look=True)
            longest = max(longest, monotonic() - began)
            late = [outcome for outcome in done if outcome.claim.claim_id in answer.locked]
            ran += sum(claim.flow_id.startswith("free") for claim in answer.claimed)
            done = late + [finished(claim) for claim in answer.claimed]

    assert longest < SOON
    assert ran == 15
    await engine.turn(done, look=True)
    await engine.run_all()
    assert set((await statuses(connection, "held")).values()) == {3}


async def test_a_child_that_a_session_holds_while_its_parent_ends_is_released_when_the_session_lets_go(
    engine: Engine, connection: Connection, other: Connection
) -> None:
    await write(connection, "f", 1)
    await write(connection, "f", 2, 1)
    claim = await engine.one()

    async with holding(other, "SELECT FROM kr_task_stat WHERE task_exec_seq = 2 FOR UPDATE"):
        await engine.finish(claim)
        assert (await engine.turn(look=True)).sleep_seconds == pytest.approx(0.05)

    assert seqs(await engine.claim()) == [2]


async def test_a_parent_that_a_session_holds_while_its_child_is_looked_at_is_looked_at_again(
    engine: Engine, connection: Connection, other: Connection
) -> None:
    await write(connection, "f", 1, status=2)
    await write(connection, "f", 2, 1)
    transaction = other.transaction()
    await transaction.start()
    await put(other, "f", 1, 3)
    await engine.look()
    assert (await gates(connection, "f"))[2] == "dependencies 1"

    await transaction.commit()

    assert seqs(await engine.claim()) == [2]


async def test_600_rows_that_a_session_holds_do_not_keep_others_from_being_looked_at(
    engine: Engine, connection: Connection, other: Connection
) -> None:
    for flow, count in (("held", 600), ("free", 10)):
        await connection.execute(
            """INSERT INTO kr_task_stat (task_flow_id, task_exec_seq, depends_task_exec_seq, task_id, task_seq, exec_status, parameters, program)
                SELECT $1, g, -1, 'by_hand', 1, 0, '{}', 'Ok' FROM generate_series(1, $2::integer) g""",
            flow, count,
        )  # fmt: skip
    async with holding(other, "SELECT FROM kr_task_stat WHERE task_flow_id = 'held' FOR UPDATE"):
        claimed: list[Claim] = []
        for _ in range(4):
            claimed += (await engine.turn(slots=20, look=True)).claimed
        assert [claim.flow_id for claim in claimed] == ["free"] * 10

    assert len(await engine.claim(1_000)) == 600


# Values


@pytest.mark.parametrize("value", [r'"a\u0000b"', "no json", "[" * 20_000 + "]" * 20_000, '{"n": 1e500000}'])
async def test_one_value_among_100_that_cannot_be_stored_harms_no_other(engine: Engine, connection: Connection, value: str) -> None:
    for seq in range(1, 101):
        await write(connection, "f", seq)
    claims = await engine.claim()
    outcomes = [finished(claim, value if claim.seq == 50 else f'"{claim.seq}"') for claim in claims]

    with pytest.raises(asyncpg.PostgresError) as raised:
        await engine.turn(outcomes)
    assert (raised.value.sqlstate or "")[:2] in {"22", "54"}
    assert set((await statuses(connection, "f")).values()) == {1}
    answer = await engine.turn(outcomes, slots=5, careful=True)

    (spoilt,) = answer.unstorable
    assert Counter((await statuses(connection, "f")).values()) == {3: 99, 2: 1}
    assert (await row(connection, "f", 99))["result"] == "99"
    task = await row(connection, "f", 50)
    assert (task["exec_status"], task["outcome"], task["error"]["type"]) == (2, "failed", "Unstorable")
    assert spoilt == claims[49].claim_id


@pytest.mark.parametrize("seconds", [1e30, float("inf"), float("nan")])
async def test_a_delay_that_no_time_can_hold_is_a_long_one(engine: Engine, connection: Connection, seconds: float) -> None:
    for seq in (1, 2):
        await write(connection, "f", seq)
    one, two = await engine.claim()

    await engine.turn([Outcome(one, Status.WAIT, value="{}", after_seconds=seconds), finished(two)])

    assert await statuses(connection, "f") == {1: 0, 2: 3}
    assert await connection.fetchval("SELECT run_after > now() + interval '50 years' FROM kr_task_stat WHERE task_exec_seq = 1")


async def test_a_careful_call_refuses_and_skips_as_any_other(engine: Engine, connection: Connection, other: Connection) -> None:
    for seq in (1, 2, 3):
        await write(connection, "f", seq)
    await write(connection, "f", 4, 3)
    one, two, three = await engine.claim()
    await put(connection, "f", 1, 9)

    async with holding(other, "SELECT FROM kr_task_stat WHERE task_exec_seq = 2 FOR UPDATE"):
        answer = await engine.turn([finished(one), finished(two), finished(three)], slots=5, careful=True)

    assert (answer.refused, answer.locked, seqs(answer.claimed)) == ((one.claim_id,), (two.claim_id,), [4])


# Notices


async def notice(engine: Engine, claim: Claim) -> bool:
    return await engine.store.workers.notice(claim, kind="LoopBlocked", message="it blocked", where="app.py:7 in wait")


async def test_a_notice_is_no_change_by_hand_and_is_cleared_by_the_next_claim_only(engine: Engine, connection: Connection) -> None:
    await write(connection, "f", 1)
    claim = await engine.one()
    before = dict(await row(connection, "f", 1))

    assert await notice(engine, claim)

    after = dict(await row(connection, "f", 1))
    assert json.loads(after.pop("notice")).items() >= {"type": "LoopBlocked", "message": "it blocked", "where": "app.py:7 in wait"}.items()
    assert {**after, "notice": None} == before
    assert await connection.fetchval("SELECT count(*) FROM kr_recount") == 0
    await engine.hand_back(claim)
    assert (await row(connection, "f", 1))["notice"] is not None
    await engine.one()
    assert (await row(connection, "f", 1))["notice"] is None


async def test_a_notice_comes_too_late_once_the_claim_is_gone(engine: Engine, connection: Connection) -> None:
    await write(connection, "f", 1)
    claim = await engine.one()
    await engine.hand_back(claim)
    second = await engine.one()

    assert not await notice(engine, claim)
    await engine.finish(second)
    assert not await notice(engine, second)

    assert (await row(connection, "f", 1))["notice"] is None


async def test_a_notice_waits_for_nobody_who_has_locked_the_row(engine: Engine, connection: Connection, other: Connection) -> None:
    await write(connection, "f", 1)
    claim = await engine.one()
    async with other.transaction():
        await other.execute("UPDATE kr_task_stat SET parameters = '{\"n\": 1}'")
        async with asyncio.timeout(0.5):
            assert not await notice(engine, claim)
    assert await notice(engine, claim)


# Lost workers


async def test_a_worker_whose_lease_ended_loses_its_tasks_and_a_live_one_keeps_its_own(engine: Engine, pool: Pool, connection: Connection) -> None:
    lost = await Engine(pool).enroll("Ok", lease_seconds=-1)
    for seq in (1, 2):
        await write(connection, "f", seq)
    await engine.claim(1)
    await lost.claim(1)

    swept = await engine.store.workers.sweep()

    assert (swept.lost, swept.taken_back, swept.poisoned) == ((lost.worker_id,), 1, 0)
    assert await statuses(connection, "f") == {1: 1, 2: 0}
    task = await row(connection, "f", 2)
    assert (task["crashes"], task["tries"], task["worker_id"]) == (1, 0, None)
    assert (await engine.one()).attempt == 2
    assert await lost.store.workers.beat(lost.worker_id, 30, Counted()) is False
    (kept,) = await connection.fetch("SELECT error FROM kr_task_attempt")
    assert json.loads(kept["error"])["type"] == "WorkerLost"


async def lose(pool: Pool, connection: Connection, times: int) -> None:
    """Let *times* workers be lost while they hold every task that they can get."""
    sweeper = Engine(pool)
    for _ in range(times):
        lost = await Engine(pool).enroll("Ok")
        await lost.claim()
        await connection.execute("UPDATE kr_worker SET lease_until = '-infinity' WHERE worker_id = $1", lost.worker_id)
        await sweeper.store.workers.sweep()


async def test_the_third_lost_worker_makes_a_task_poison_until_a_hand_sets_it_back(pool: Pool, connection: Connection) -> None:
    await write(connection, "f", 1)
    await write(connection, "f", 2, 1)

    await lose(pool, connection, 2)
    assert (await row(connection, "f", 1))["crashes"] == 2
    await lose(pool, connection, 1)

    task = await row(connection, "f", 1)
    assert (task["exec_status"], task["outcome"], task["attempt"], task["error"]["type"]) == (2, "poison", 3, "WorkerLost")
    await put(connection, "f", 1, 0)
    engine = await Engine(pool).enroll("Ok")
    assert [seq for _, seq in await engine.run_all()] == [1, 2]


async def test_suspects_come_one_at_a_time_to_each_worker(pool: Pool, connection: Connection) -> None:
    for seq in (1, 2, 3):
        await write(connection, "f", seq)
    await lose(pool, connection, 2)
    for seq in (4, 5):
        await write(connection, "f", seq)
    one, two = await Engine(pool).enroll("Ok"), await Engine(pool).enroll("Ok")

    first = await one.claim()
    assert sorted(seqs(first)) == [1, 4, 5]
    assert await one.claim() == []
    assert seqs(await two.claim()) == [2]

    await one.finish(next(claim for claim in first if claim.seq == 1))
    assert seqs(await one.claim()) == [3]


async def test_a_suspect_has_its_turn_while_all_slots_are_wanted(pool: Pool, connection: Connection) -> None:
    await write(connection, "suspect", 1)
    await lose(pool, connection, 2)
    await write(connection, "urgent", 1, task_priority=-20)
    for seq in range(1, 20):
        await write(connection, "f", seq)
    engine = await Engine(pool).enroll("Ok")

    first, second = await engine.claim(1), await engine.claim(1)
    third = await engine.claim(5)

    assert [claim.flow_id for claim in (*first, *second)] == ["urgent", "suspect"]
    assert seqs(third) == [1, 2, 3, 4, 5]


async def test_a_row_that_names_a_worker_that_never_was_is_taken_back(engine: Engine, connection: Connection) -> None:
    await connection.execute("SET session_replication_role = replica")
    await write(connection, "f", 1, status=1, worker_id=uuid4(), claim_id=uuid4(), name="one")
    await connection.execute("SET session_replication_role = DEFAULT")

    assert (await engine.store.workers.sweep()).taken_back == 1

    assert seqs(await engine.claim()) == [1]


async def test_what_a_sweep_finds_locked_it_takes_back_the_next_time(engine: Engine, pool: Pool, connection: Connection, other: Connection) -> None:
    lost = await Engine(pool).enroll("Ok", lease_seconds=-1)
    for seq in (1, 2):
        await write(connection, "f", seq)
    await lost.claim()

    async with holding(other, "SELECT FROM kr_task_stat WHERE task_exec_seq = 1 FOR UPDATE"):
        assert (await engine.store.workers.sweep()).taken_back == 1
    assert (await engine.store.workers.sweep()).taken_back == 1


# Bells


async def heard(session: Connection, channel: str) -> list[str]:
    rung: list[str] = []
    await session.add_listener(channel, lambda *_: rung.append(channel))
    return rung


async def test_flower_end_rings_for_an_awaited_flow_when_nothing_is_left_to_do(engine: Engine, connection: Connection, other: Connection) -> None:
    await write(connection, "f", 1)
    await write(connection, "f", 2, 1)
    await write(connection, "g", 1)
    one, free = await engine.claim()
    rung = await heard(other, "flower_end")
    async with engine.store.flows.awaited("f"):
        await engine.finish(free)
        await other.fetchval("SELECT 1")
        assert rung == []

        await engine.finish(one)
        await engine.fail(await engine.one())
        await other.fetchval("SELECT 1")
        assert rung
        rung.clear()

        await put(connection, "f", 2, 9)
        await engine.look()
        await other.fetchval("SELECT 1")
        assert rung
    assert await connection.fetchval("SELECT count(*) FROM kr_waiter") == 0


async def test_what_comes_to_a_slot_and_is_not_taken_here_rings_for_the_other_workers(
    engine: Engine, pool: Pool, connection: Connection, other: Connection
) -> None:
    await Engine(pool).enroll("Ok")
    await write(connection, "f", 1)
    for seq in (2, 3):
        await write(connection, "f", seq, 1)
    claim = await engine.one()
    rung = await heard(other, "flower")

    await engine.turn([finished(claim)], slots=1)

    await other.fetchval("SELECT 1")
    assert rung == ["flower"]


async def test_a_probe_sees_work_only_where_there_is_some(engine: Engine, connection: Connection) -> None:
    await engine.look()
    assert (await engine.store.workers.probe(engine.worker_id, "")).work is False
    await write(connection, "f", 1)
    assert (await engine.store.workers.probe(engine.worker_id, "")).work is True
    await engine.look()
    assert (await engine.store.workers.probe(engine.worker_id, "")).work is True
    await engine.claim()
    probed = await engine.store.workers.probe(engine.worker_id, "")
    assert (probed.work, probed.running, probed.seconds) == (False, 1, None)


async def test_what_a_worker_holds_by_the_table_is_what_it_claimed(engine: Engine, connection: Connection) -> None:
    for seq in (1, 2):
        await write(connection, "f", seq)
    await edge(connection, "f", 1, 3)
    claims = await engine.claim()

    held = await engine.store.workers.held(engine.worker_id)

    assert {claim.claim_id for claim in held} == {claim.claim_id for claim in claims}


async def test_two_lanes_of_a_worker_do_not_take_a_suspect_each(pool: Pool, connection: Connection) -> None:
    for seq in (1, 2):
        await write(connection, "f", seq)
    await lose(pool, connection, 2)
    engine = await Engine(pool).enroll("Ok")
    await engine.look()
    no_outcomes: list[object] = [[]] * 8

    async with connection.transaction():
        look, careful, from_start = False, False, [None] * 4
        rows = await connection.fetch(query("cycle"), engine.worker_id, *no_outcomes, 5, look, careful, *from_start)
        assert [row["seq"] for row in rows] == [1]
        assert (await engine.turn(slots=5)).claimed == ()

    assert (await engine.turn(slots=5)).claimed == ()


async def test_an_attempt_is_kept_also_where_somebody_added_a_column_to_its_table(pool: Pool, connection: Connection) -> None:
    await write(connection, "f", 1)
    await connection.execute("ALTER TABLE kr_task_attempt ADD COLUMN note text")
    engine = await Engine(pool).enroll("Ok")

    await engine.turn([Outcome(await engine.one(), Status.WAIT, unharmed=True)])

    kept = await connection.fetchrow("SELECT * FROM kr_task_attempt")
    assert kept is not None
    assert (kept["task_flow_id"], kept["attempt"], kept["exec_status"], kept["worker_id"]) == ("f", 1, 0, engine.worker_id)
    assert kept["started_ts"] is not None
