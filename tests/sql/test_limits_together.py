"""What limits keep where several rules meet: order, unique keys, rates and the rest of an engine that has nothing to do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from flower.core.model import Claim, Outcome
from flower.core.status import Status
from flower.database.pool import Connection, Pool
from tests.sql.engine import Engine, define, gates, write
from tests.sql.test_limits import TENANTS, write_many

NOW = datetime(2026, 1, 10, tzinfo=UTC)
UNIQUE = '{"unique": {"key": "k", "policy": "queue"}}'


def done(*claims: Claim) -> Sequence[Outcome]:
    return [Outcome(claim, Status.FINISH, value="null") for claim in claims]


async def many(connection: Connection, count: int, limits: str, flow: str = "f") -> None:
    """Write *count* flows of one task; *limits* is SQL, n the number of the flow."""
    await connection.execute(
        f"""INSERT INTO kr_task_stat (task_flow_id, task_exec_seq, depends_task_exec_seq, task_id, task_seq, exec_status, parameters, program, limits, registered_ts)
            SELECT '{flow}' || n, 1, -1, 'by_hand', 1, 0, '{{}}', 'Ok', {limits}, $1::timestamptz + n * interval '1 ms' FROM generate_series(1, {count}) n""",
        NOW,
    )


async def test_the_parts_of_a_queue_are_found_without_reading_it(engine: Engine, connection: Connection) -> None:
    await connection.execute("INSERT INTO ms_limit (name, slots) VALUES ('stripe', 0)")
    await many(connection, 5_000, "ARRAY['stripe', 'tenant:' || n % 3]")
    await engine.look()
    await connection.execute("ANALYZE kr_task_stat")

    async def read() -> int:
        await connection.execute("SELECT pg_stat_force_next_flush()")
        return int(await connection.fetchval("SELECT idx_tup_read FROM pg_stat_user_indexes WHERE indexrelname = 'kr_task_queue'"))

    before = await read()
    assert len(await connection.fetch("SELECT kr_parts('stripe')")) >= 3
    assert await read() - before < 100


@pytest.mark.parametrize(
    "older", [{"task_priority": -20, "registered_ts": NOW}, {"registered_ts": NOW - timedelta(hours=1)}], ids=["urgent", "older"]
)
async def test_on_a_busy_worker_too_the_first_of_a_queue_comes_first(pool: Pool, connection: Connection, older: dict[str, Any]) -> None:
    engine = await Engine(pool, slots=10).enroll("Ok")
    await connection.execute("INSERT INTO ms_limit (name, slots) VALUES ('l', 2)")
    await write_many(connection, "slow", 40, ["l"], registered=NOW - timedelta(minutes=1))
    await write_many(connection, "fill", 1_000, [], registered=NOW)
    await engine.look()
    running = list((await engine.turn(slots=10)).claimed)
    slow, fill = [c for c in running if c.flow_id == "slow"], [c for c in running if c.flow_id == "fill"]
    await write(connection, "first", 1, limits=["l"], **older)
    await engine.turn(done(fill[0]), slots=1, look=True)  # it is looked at while none of l ends
    await connection.execute("UPDATE kr_task_stat SET started_ts = started_ts - interval '1 min' WHERE exec_status = 1")

    answer = await engine.turn(done(slow[0]), slots=1)

    assert [claim.flow_id for claim in answer.claimed] == ["first"]


async def test_the_most_urgent_comes_first_whatever_else_those_before_it_name(engine: Engine, connection: Connection) -> None:
    await connection.execute("INSERT INTO ms_limit (name, slots) VALUES ('stripe', 1)")
    await many(connection, 1_000, "ARRAY['stripe', 'tenant:' || n]")  # no rule holds for tenant:
    running = await engine.claim()
    await write(connection, "urgent", 1, limits=["stripe", "tenant:x"], task_priority=-20, registered_ts=NOW)
    await engine.look()

    await engine.finish(*running)

    assert [claim.flow_id for claim in await engine.claim()] == ["urgent"]


@pytest.mark.parametrize("limits", [["tenant:a", "tenant:b"], ["tenant:a", "tenant:b", "tenant:c", "tenant:d"]])
async def test_a_task_with_several_names_of_a_pattern_is_one_task(pool: Pool, connection: Connection, limits: list[str]) -> None:
    engine = await Engine(pool, slots=4).enroll("Ok")
    await connection.execute(TENANTS.format(100))
    await write_many(connection, "f", 20, limits)
    running = await engine.claim(4)
    assert len(running) == 4

    await engine.finish(*running[:2])
    await engine.store.workers.probe(engine.worker_id, "")

    assert len(await engine.claim(2)) == 2


async def test_a_pattern_for_everything_lets_no_second_flow_of_a_unique_key_in(engine: Engine, connection: Connection) -> None:
    await connection.execute("INSERT INTO ms_limit (name, slots) VALUES ('*', 10)")
    await define(connection, "w", {"name": "a"})
    for _ in range(3):
        await connection.fetchval("SELECT flower_register('w', '{}', $1)", UNIQUE)
    await write(connection, "x", 1, limits=["x"])

    assert Counter(claim.workflow for claim in await engine.claim()) == {"w": 1, "by_hand": 1}


@pytest.mark.parametrize(("limits", "gate"), [(["zeta"], "limit zeta"), ([], "slot")])
async def test_nobody_is_sent_back_to_a_limit_on_flows(pool: Pool, connection: Connection, limits: list[str], gate: str) -> None:
    engine = await Engine(pool, slots=1).enroll("Ok")
    await connection.execute("INSERT INTO ms_limit (name, slots) VALUES ('*', 5)")
    await define(connection, "w", {"name": "a", "limits": limits})
    flow = await connection.fetchval("SELECT flower_register('w', '{}', $1)", UNIQUE)
    await engine.look()
    await write(connection, "urgent", 1, limits=["alpha"], task_priority=-20)
    await engine.look()

    assert await gates(connection, flow) == {1: gate}
    for _ in range(2):
        await engine.finish(*await engine.claim(1))
        await engine.store.workers.probe(engine.worker_id, "")
    assert await connection.fetchval("SELECT count(*) FROM kr_task_stat WHERE exec_status = 3") == 2


async def test_it_rests_while_the_more_urgent_waits_for_a_rate(pool: Pool, connection: Connection) -> None:
    engine = await Engine(pool, slots=2).enroll("Ok")
    await connection.execute("INSERT INTO ms_limit (name, slots, rate) VALUES ('tenant:*', 1, NULL), ('api', NULL, '1/day')")
    await write_many(connection, "busy", 2, [], registered=NOW)
    await write(connection, "first", 1, limits=["api"])
    await engine.finish(*[claim for claim in await engine.claim(3) if claim.flow_id == "first"])
    await write(connection, "plain", 1, limits=["tenant:acme"])
    await engine.look()
    assert await gates(connection, "plain") == {1: "slot"}
    await write(connection, "urgent", 1, limits=["api", "tenant:acme"], task_priority=-20)

    sleeps = [(await engine.turn(look=True)).sleep_seconds for _ in range(10)]

    assert sleeps[-1] != 0.05


async def test_it_rests_while_those_of_a_pattern_wait_for_a_slot(pool: Pool, connection: Connection) -> None:
    engine = await Engine(pool, slots=3).enroll("Ok")
    await connection.execute(TENANTS.format(9))
    await write_many(connection, "b", 10, ["tenant:b"], registered=NOW)
    await engine.claim(1)
    await write_many(connection, "free", 2, [], registered=NOW - timedelta(days=100))
    await engine.claim(2)
    await write_many(connection, "a", 1, ["tenant:a"], registered=NOW + timedelta(hours=1))
    await engine.look()
    await write_many(connection, "b2", 1, ["tenant:b"], registered=NOW + timedelta(hours=2))

    sleeps = [(await engine.turn(look=True)).sleep_seconds for _ in range(20)]

    assert sleeps[-1] is None


@pytest.mark.parametrize("rule", ["('l', 1, '1/h')", "('l', NULL, '1/h')", "('l*', 1, '1/h')"])
async def test_who_is_sent_back_takes_no_start_of_the_rate_with_it(pool: Pool, connection: Connection, rule: str) -> None:
    engine = await Engine(pool, slots=1).enroll("Ok")
    await connection.execute(f"INSERT INTO ms_limit (name, slots, rate) VALUES {rule}")
    await write(connection, "busy", 1)
    busy = await engine.claim(1)
    await write(connection, "plain", 1, limits=["l"])
    await engine.look()
    await write(connection, "urgent", 1, limits=["l"], task_priority=-20)
    await engine.look()

    await engine.finish(*busy)

    assert len(await engine.claim(1)) == 1


@pytest.mark.parametrize(
    ("rules", "limits"),
    [("('l', NULL, '100/s')", ["l"]), ("('tenant:*', NULL, '100/s'), ('stripe', 0, NULL)", ["tenant:a", "stripe"])],
    ids=["no slot", "other limit"],
)
async def test_nobody_looks_for_a_rate_while_something_else_holds(pool: Pool, connection: Connection, rules: str, limits: list[str]) -> None:
    engine = await Engine(pool, slots=1).enroll("Ok")
    await connection.execute(f"INSERT INTO ms_limit (name, slots, rate) VALUES {rules}")
    await write_many(connection, "f", 2, limits)
    await engine.claim(1)
    for _ in range(3):
        answer = await engine.turn(look=True)
    assert answer.sleep_seconds is None
