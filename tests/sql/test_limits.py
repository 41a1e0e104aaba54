"""Limits by pattern and by key, rates, and turns among the keys of a pattern."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from flower.database.pool import Connection, Pool
from tests.sql.engine import Engine, define, gates, seqs, write
from tests.sql.test_plans import read

PICKED = '{"customer": {"$task": "pick"}}'
TENANTS = "INSERT INTO ms_limit (name, slots) VALUES ('tenant:*', {})"


async def write_many(connection: Connection, flow: str, count: int, limits: list[str], **columns: Any) -> None:
    """Write *count* tasks of a flow, 1 to *count*, that depend on nothing."""
    await connection.execute(
        """INSERT INTO kr_task_stat (task_flow_id, task_exec_seq, depends_task_exec_seq, task_id, task_seq, exec_status, parameters, program, limits, task_priority, registered_ts)
           SELECT $1, n, -1, 'by_hand', n, 0, '{}', 'Ok', $3::text[], $4, coalesce($5::timestamptz, clock_timestamp()) FROM generate_series(1, $2::integer) n""",
        flow,
        count,
        limits,
        columns.get("priority", 0),
        columns.get("registered"),
    )


async def order(engine: Engine, most: int) -> list[str]:
    """Run one task after the other and return their flows, in the order of their starts."""
    found: list[str] = []
    claims = list((await engine.turn(slots=engine.slots, look=True)).claimed) or await engine.claim(engine.slots)
    while claims and len(found) < most:
        found += [claim.flow_id for claim in claims]
        answer = await engine.finish(*claims)
        assert not answer.refused
        claims = list((await engine.turn(slots=engine.slots, look=True)).claimed) or await engine.claim(engine.slots)
    return found


async def set_limit(connection: Connection, name: str, **options: Any) -> Any:
    return json.loads(await connection.fetchval("SELECT flower_limit($1, $2)", name, json.dumps(options)))


# Patterns and keys


async def test_each_key_of_a_pattern_has_its_slots_a_row_of_its_own_wins_and_the_longest_pattern_does(engine: Engine, connection: Connection) -> None:
    await connection.execute("INSERT INTO ms_limit (name, slots) VALUES ('tenant:*', 2), ('tenant:big*', 4), ('tenant:bigger', 5), ('*', 3)")
    for key in ("a", "b", "big", "bigger"):
        await write_many(connection, key, 9, [f"tenant:{key}"])
    await write_many(connection, "other", 9, ["other"])

    claims = await engine.claim()

    assert Counter(claim.flow_id for claim in claims) == {"a": 2, "b": 2, "big": 4, "bigger": 5, "other": 3}


async def test_a_key_is_what_the_flow_was_given_or_what_an_earlier_task_returned(engine: Engine, connection: Connection) -> None:
    await connection.execute(TENANTS.format(1))
    await define(connection, "direct", {"name": "a", "limits": ["tenant:{customer}"]})
    await define(connection, "later", {"name": "pick"}, {"name": "b", "limits": ["tenant:{customer}"], "parameters": PICKED})
    for customer in ("acme", "acme", "zeta"):
        await connection.fetchval("SELECT flower_register('direct', $1)", json.dumps({"customer": customer}))
    await connection.fetchval("SELECT flower_register('later')")

    first = await engine.claim()
    assert sorted(claim.name for claim in first) == ["a", "a", "pick"]
    pick = next(claim for claim in first if claim.name == "pick")
    await engine.finish(pick, value='"acme"')
    await engine.look()

    assert await connection.fetchval("SELECT limits FROM kr_task_stat WHERE name = 'b'") == ["tenant:acme"]
    assert (await gates(connection, pick.flow_id))[2] == "limit tenant:acme"


@pytest.mark.parametrize(
    ("customer", "name"),
    [("a b/ü{x}", "tenant:a b/ü{x}"), (7, "tenant:7"), (None, "tenant:"), ([1, "x"], 'tenant:[1, "x"]'), ("*", "tenant:*"), ("", "tenant:")],
)
async def test_any_value_makes_a_key(engine: Engine, connection: Connection, customer: object, name: str) -> None:
    await connection.execute(TENANTS.format(1))
    await define(connection, "direct", {"limits": ["tenant:{customer}"]})
    for _ in range(2):
        await connection.fetchval("SELECT flower_register('direct', $1)", json.dumps({"customer": customer}))

    assert len(await engine.claim()) == 1
    assert await connection.fetchval("SELECT waits_for FROM kr_task_stat WHERE gate = 'limit'") == name


async def test_a_key_over_512_bytes_is_refused_where_a_flow_starts_and_stops_the_task_where_a_result_makes_it(
    engine: Engine, connection: Connection
) -> None:
    await define(connection, "direct", {"limits": ["tenant:{customer}"]})
    await define(connection, "later", {"name": "pick"}, {"name": "b", "limits": ["tenant:{customer}"], "parameters": PICKED})
    with pytest.raises(asyncpg.PostgresError, match="512 bytes") as refused:
        await connection.fetchval("SELECT flower_register('direct', $1)", json.dumps({"customer": "x" * 506}))
    assert refused.value.sqlstate == "FL422"
    await connection.fetchval("SELECT flower_register('direct', $1)", json.dumps({"customer": "x" * 505}))
    flow = await connection.fetchval("SELECT flower_register('later')")

    claims = await engine.claim()
    await engine.finish(next(claim for claim in claims if claim.flow_id == flow), value=json.dumps("x" * 506))
    await engine.look()

    assert await connection.fetchrow("SELECT exec_status, outcome, error ->> 'type' FROM kr_task_stat WHERE name = 'b'") == (
        2,
        "invalid",
        "LimitTooLong",
    )


async def test_changed_parameters_change_the_key_of_a_task_that_waits(engine: Engine, connection: Connection) -> None:
    await connection.execute(TENANTS.format(0))
    await write(connection, "f", 1, limits=["tenant:{customer}"], parameters='{"customer": "a"}')
    await engine.look()
    assert await gates(connection, "f") == {1: "limit tenant:a"}

    await connection.execute("""UPDATE kr_task_stat SET parameters = '{"customer": "b"}'""")
    await engine.look()

    assert await gates(connection, "f") == {1: "limit tenant:b"}


@pytest.mark.parametrize("customer", ["workflow:x", "unique:digest:shop-7"])
async def test_no_value_makes_a_limit_on_flows(engine: Engine, connection: Connection, customer: str) -> None:
    await connection.execute("INSERT INTO ms_limit (name, slots) VALUES ('*', 1)")
    await define(connection, "w", {"limits": ["{customer}"]})
    for _ in range(3):
        await connection.fetchval("SELECT flower_register('w', $1)", json.dumps({"customer": customer}))

    assert len(await engine.claim()) == 1
    await connection.execute("UPDATE kr_task_stat SET task_priority = 1 WHERE exec_status = 0")
    await engine.look()
    assert await connection.fetchval("SELECT max(cardinality(limits)) FROM kr_task_stat") == 1


async def test_the_last_characters_that_there_are_make_keys_like_others(engine: Engine, connection: Connection) -> None:
    await connection.execute("INSERT INTO ms_limit (name, slots) VALUES ('tenant:*', 1), ('tenant:a*', 1)")
    for flow, key in (("a", "a\U0010ffffx"), ("b", "\U0010ffff" * 3), ("c", "b")):
        await write_many(connection, flow, 2, [f"tenant:{key}"])

    assert sorted(claim.flow_id for claim in await engine.claim()) == ["a", "b", "c"]
    assert (await engine.store.workers.probe(engine.worker_id, "")).work is False


async def test_a_bell_that_was_lost_beside_a_pattern_for_everything_is_rung_by_the_probe(engine: Engine, connection: Connection) -> None:
    names = ("z", "tenant:a", "unique", "workflow:w")
    await connection.execute(
        "INSERT INTO ms_limit (name, slots) VALUES ('*', 1), ('z', 0), ('tenant:*', 1), ('tenant:a*', 0), ('unique', 0), ('workflow:w', 0)"
    )
    for name in names[:3]:
        await write(connection, name, 1, limits=[name])
    await write(connection, "flow", 1, task_id="w")
    assert await engine.claim() == []
    await connection.execute("SET session_replication_role = replica; UPDATE ms_limit SET slots = 5; SET session_replication_role = DEFAULT")

    assert {row[0] for row in await connection.fetch("SELECT kr_open_doors()")} == {"*", "tenant:a*", "workflow:w"}


async def test_a_row_that_refuses_its_slot_stops_itself_and_not_its_limit(engine: Engine, connection: Connection) -> None:
    await connection.execute("""
        INSERT INTO ms_limit (name, slots) VALUES ('l', 1);
        CREATE FUNCTION frozen() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'frozen'; END $$;
        CREATE TRIGGER frozen BEFORE UPDATE ON kr_task_stat FOR EACH ROW WHEN (NEW.task_flow_id = 'bad' AND (NEW.gate = 'slot' OR NEW.exec_status = 1)) EXECUTE FUNCTION frozen();
    """)
    await write(connection, "bad", 1, limits=["l"])
    await write(connection, "good", 1, limits=["l"])
    with pytest.raises(asyncpg.PostgresError, match="frozen"):
        await engine.turn(slots=5, look=True)
    for _ in range(3):
        await engine.turn(slots=0, look=True, careful=True)

    assert [claim.flow_id for claim in (await engine.turn(slots=5, look=True, careful=True)).claimed] == ["good"]
    assert await connection.fetchval("SELECT outcome FROM kr_task_stat WHERE task_flow_id = 'bad'") == "invalid"


async def test_the_limits_of_a_function_hold_where_a_step_names_none(engine: Engine, connection: Connection) -> None:
    await connection.execute(
        "INSERT INTO ms_limit (name, slots) VALUES ('stripe', 0); UPDATE kr_program SET limits = '{stripe}' WHERE program = 'Ok'"
    )
    await define(connection, "w", {"name": "a"}, {"name": "b", "limits": [], "depends_on": []})
    flow = await connection.fetchval("SELECT flower_register('w')")
    await write(connection, "hand", 1)
    await engine.look()

    assert (await gates(connection, flow), await gates(connection, "hand")) == ({1: "limit stripe", 2: "slot"}, {1: "limit stripe"})


async def test_a_pattern_that_goes_lets_all_of_its_keys_go_on(engine: Engine, connection: Connection) -> None:
    await connection.execute(TENANTS.format(0))
    for number in range(150):
        await write(connection, "f", number, limits=[f"tenant:{number}"])
    assert await engine.claim() == []

    await connection.execute("DELETE FROM ms_limit")

    assert len(await engine.claim(200)) == 150


async def test_a_pattern_that_changes_counts_at_once(engine: Engine, connection: Connection) -> None:
    await connection.execute(TENANTS.format(0))
    for key in "ab":
        await write_many(connection, key, 3, [f"tenant:{key}"])
    assert await engine.claim() == []

    await connection.execute("UPDATE ms_limit SET slots = 1")
    assert sorted(claim.flow_id for claim in await engine.claim()) == ["a", "b"]
    await connection.execute("INSERT INTO ms_limit (name, slots) VALUES ('tenant:b', 3)")

    assert [claim.flow_id for claim in await engine.claim()] == ["b", "b"]


# Fairness


async def test_slots_go_round_among_the_keys_of_a_pattern(pool: Pool, connection: Connection) -> None:
    engine = await Engine(pool, slots=1).enroll("Ok")
    await connection.execute(TENANTS.format(1))
    for key in "abc":
        await write_many(connection, key, 3, [f"tenant:{key}"])

    assert "".join(await order(engine, 9)) == "abcabcabc"


async def test_one_tenants_thousand_tasks_do_not_delay_anothers_single_task(pool: Pool, connection: Connection) -> None:
    engine = await Engine(pool, slots=1).enroll("Ok")
    await connection.execute(TENANTS.format(10))
    await write_many(connection, "big", 1_000, ["tenant:big"], registered=datetime(2026, 1, 1, tzinfo=UTC))
    running = await engine.claim(1)
    await write(connection, "small", 1, limits=["tenant:small"])
    await engine.look()

    await engine.finish(*running)

    assert [claim.flow_id for claim in (await engine.turn(slots=1, look=True)).claimed] == ["small"]


async def test_turns_are_kept_where_another_limit_is_the_scarce_one(engine: Engine, connection: Connection) -> None:
    await connection.execute("INSERT INTO ms_limit (name, slots) VALUES ('stripe', 2), ('tenant:*', 2)")
    await write_many(connection, "acme", 50, ["stripe", "tenant:acme"])
    running = await engine.claim()
    assert [claim.flow_id for claim in running] == ["acme", "acme"]
    for flow in ("beta", "gamma"):
        await write(connection, flow, 1, limits=["tenant:" + flow, "stripe"])
    await engine.look()

    await engine.finish(running[0])

    assert [claim.flow_id for claim in await engine.claim()] == ["beta"]
    await engine.finish(running[1])
    assert [claim.flow_id for claim in await engine.claim()] == ["gamma"]


async def test_who_keeps_a_turn_is_let_in_when_somebody_leaves_the_other_limit_who_names_no_tenant(engine: Engine, connection: Connection) -> None:
    await connection.execute("INSERT INTO ms_limit (name, slots) VALUES ('stripe', 1), ('tenant:*', 2)")
    await write(connection, "plain", 1, limits=["stripe"])
    running = await engine.claim()
    await write(connection, "acme", 1, limits=["stripe", "tenant:acme"])
    await engine.look()
    assert (await engine.turn(look=True)).sleep_seconds is None

    await engine.finish(*running)

    assert [claim.flow_id for claim in (await engine.turn(slots=1)).claimed] == ["acme"]


@pytest.mark.parametrize("count", [4, 1_000])
async def test_who_needs_no_scarce_limit_passes_those_of_its_key_that_do(engine: Engine, connection: Connection, count: int) -> None:
    await connection.execute("INSERT INTO ms_limit (name, slots) VALUES ('stripe', 0), ('tenant:*', 2)")
    await write_many(connection, "stripe", count, ["stripe", "tenant:acme"])
    await write(connection, "free", 1, limits=["tenant:acme"])
    await write(connection, "paypal", 1, limits=["tenant:acme", "paypal"])

    assert [claim.flow_id for claim in await engine.claim()] == ["free", "paypal"]


async def test_those_that_may_run_are_found_among_very_many_sets_of_limits_that_may_not(engine: Engine, connection: Connection) -> None:
    await connection.execute("INSERT INTO ms_limit (name, slots) VALUES ('wallet:*', 0), ('tenant:*', 2)")
    for wallet in range(200):
        await write(connection, f"shut{wallet}", 1, limits=["tenant:acme", f"wallet:{wallet}"])
    await connection.execute("INSERT INTO ms_limit (name, slots) VALUES ('wallet:open', 1)")
    await write(connection, "free", 1, limits=["tenant:acme", "wallet:open"])

    while not (claims := await engine.claim()):
        await engine.store.workers.probe(engine.worker_id, "")
    assert [claim.flow_id for claim in claims] == ["free"]


@pytest.mark.parametrize("analysed", [True, False])
async def test_what_may_run_is_found_by_index_beside_20_000_that_wait_in_each_of_two_parts(
    engine: Engine, connection: Connection, analysed: bool
) -> None:
    await connection.execute("INSERT INTO ms_limit (name, slots) VALUES ('stripe', 0), ('l', 2)")
    await write_many(connection, "plain", 20_000, ["l"])
    await write_many(connection, "stripe", 20_000, ["l", "stripe"])
    await connection.execute("UPDATE kr_task_stat SET gate = 'limit', waits_for = 'l'; DELETE FROM kr_recount")
    if analysed:
        await connection.execute("VACUUM ANALYZE")

    async with connection.transaction():
        await connection.execute("SET LOCAL plan_cache_mode = force_generic_plan; SET LOCAL enable_seqscan = off")
        ((plan,),) = await connection.fetch("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) SELECT kr_heads('{l}', '{3}', NULL)")

    assert read(json.loads(plan)[0]["Plan"]) < 1_000


async def test_a_unique_key_makes_no_other_queue(engine: Engine, connection: Connection) -> None:
    await connection.execute("INSERT INTO ms_limit (name, slots) VALUES ('tenant:*', 1)")
    for number in range(100):
        await write(connection, f"flow{number}", 1, limits=["tenant:acme", f"unique:by_hand/{number}"])
    await engine.look()

    assert await order(engine, 100) == [f"flow{number}" for number in range(100)]


async def test_a_key_that_may_run_is_found_behind_very_many_that_may_not(engine: Engine, connection: Connection) -> None:
    await connection.execute("INSERT INTO ms_limit (name, slots) VALUES ('stripe', 0), ('tenant:*', 2)")
    for key in range(300):
        await write(connection, f"stripe{key}", 1, limits=["stripe", f"tenant:{key}"])
    await write(connection, "free", 1, limits=["tenant:zero"])

    assert [claim.flow_id for claim in await engine.claim()] == ["free"]
    assert (await engine.turn(look=True)).sleep_seconds is None


async def test_a_turn_is_a_turn_also_before_older_tasks_without_that_limit(pool: Pool, connection: Connection) -> None:
    engine = await Engine(pool, slots=4).enroll("Ok")
    await connection.execute(TENANTS.format(10))
    old, newer = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)
    await write_many(connection, "big", 100, ["tenant:big"], registered=old)
    await write_many(connection, "free", 100, [], registered=newer)
    await write(connection, "small", 1, limits=["tenant:small"])

    started = await order(engine, 8)

    assert "small" in started
    assert "free" not in started


async def test_the_more_urgent_comes_before_its_turn_and_ageing_lets_nobody_starve(pool: Pool, connection: Connection) -> None:
    engine = await Engine(pool, slots=1).enroll("Ok")
    await connection.execute(TENANTS.format(1))
    now = datetime.now(UTC)
    await write_many(connection, "old", 1, ["tenant:a"], registered=now - timedelta(hours=13))
    await write_many(connection, "plain", 2, ["tenant:b"], registered=now)
    await write_many(connection, "urgent", 2, ["tenant:c"], priority=-3, registered=now)

    assert await order(engine, 5) == ["old", "urgent", "urgent", "plain", "plain"]


async def test_nobody_inherits_the_urgency_of_another_key(pool: Pool, connection: Connection) -> None:
    engine = await Engine(pool, slots=1).enroll("Ok")
    await connection.execute(TENANTS.format(1))
    now = datetime.now(UTC)
    await write_many(connection, "urgent", 2, ["tenant:a"], priority=-20, registered=now)
    await write_many(connection, "late", 2, ["tenant:b"], priority=19, registered=now)
    await write_many(connection, "free", 2, [], registered=now)

    assert await order(engine, 6) == ["urgent", "urgent", "free", "free", "late", "late"]


async def test_whoever_has_fewest_running_comes_first(pool: Pool, connection: Connection) -> None:
    engine = await Engine(pool, slots=4).enroll("Ok")
    await connection.execute(TENANTS.format(10))
    await write_many(connection, "a", 20, ["tenant:a"])
    running = await engine.claim(4)
    assert [claim.flow_id for claim in running] == ["a"] * 4
    await write_many(connection, "b", 20, ["tenant:b"])
    await engine.look()

    await engine.finish(*running)

    assert [claim.flow_id for claim in (await engine.turn(slots=4)).claimed] == ["b", "a", "b", "a"]


async def test_no_capacity_is_lost_while_anything_can_run(pool: Pool, connection: Connection) -> None:
    engine = await Engine(pool, slots=10).enroll("Ok")
    await connection.execute(TENANTS.format(3))
    for key, count in (("a", 50), ("b", 2), ("c", 7), ("d", 1)):
        await write_many(connection, key, count, [f"tenant:{key}"])
    left = Counter(a=50, b=2, c=7, d=1)
    held = await engine.claim(10)
    while held:
        running = Counter(claim.flow_id for claim in held)
        assert len(held) == min(10, sum(min(3, left[key]) for key in left)), (running, left)
        assert max(running.values()) <= 3
        await engine.finish(held[0])
        left[held[0].flow_id] -= 1
        held = held[1:] + list((await engine.turn(slots=10 - len(held) + 1, look=True)).claimed)
        held += await engine.claim(10 - len(held)) if len(held) < 10 else []


async def test_no_more_are_let_in_than_the_workers_have_slots_and_a_new_worker_gets_its_share(pool: Pool, connection: Connection) -> None:
    engine = await Engine(pool, slots=4).enroll("Ok")
    await connection.execute("INSERT INTO ms_limit (name, slots) VALUES ('l', 1000000)")
    await write_many(connection, "f", 50, ["l"])
    await engine.look()
    inside = "SELECT count(*) FROM kr_task_stat WHERE gate = 'slot'"
    assert await connection.fetchval(inside) == 4

    other = await Engine(pool, slots=10).enroll("Ok")
    await engine.look()

    assert await connection.fetchval(inside) == 14
    assert len(await other.claim(10)) == 10


async def test_whoever_only_waits_for_a_slot_gives_its_place_in_a_limit_to_a_more_urgent_one(engine: Engine, connection: Connection) -> None:
    await connection.execute("INSERT INTO ms_limit (name, slots) VALUES ('l', 2)")
    await write_many(connection, "plain", 3, ["l"])
    running = await engine.claim(1)  # of the two that are let in
    await write(connection, "urgent", 1, limits=["l"], task_priority=-20)
    await engine.look()

    assert [*(await gates(connection, "plain")).values()] == [None, "limit l", "limit l"]
    assert await gates(connection, "urgent") == {1: "slot"}
    assert [claim.flow_id for claim in await engine.claim()] == ["urgent"]
    await engine.finish(*running)
    assert [(claim.flow_id, claim.seq) for claim in await engine.claim()] == [("plain", 2)]


async def test_nor_do_those_of_another_key_keep_it_when_a_pattern_lets_nobody_in(pool: Pool, connection: Connection) -> None:
    engine = await Engine(pool, slots=2).enroll("Ok")
    await connection.execute(TENANTS.format(9))
    await write_many(connection, "plain", 5, ["tenant:a"])
    await engine.look()
    assert [*(await gates(connection, "plain")).values()].count("slot") == 2
    await write(connection, "urgent", 1, limits=["tenant:b"], task_priority=-20)
    await engine.look()

    assert [claim.flow_id for claim in await engine.claim(1)] == ["urgent"]
    assert [*(await gates(connection, "plain")).values()].count("slot") == 1


# Rates


async def test_a_rate_spreads_starts_and_the_engine_sleeps_until_the_next_is_due(engine: Engine, connection: Connection) -> None:
    await connection.execute("INSERT INTO ms_limit (name, rate) VALUES ('l', '10/min')")
    await write_many(connection, "f", 3, ["l"])
    assert seqs(await engine.claim()) == [1]
    answer = await engine.turn(slots=10, look=True)
    assert answer.claimed == ()
    assert answer.sleep_seconds is not None
    assert 5 < answer.sleep_seconds <= 6
    assert "the next may start" in (
        await connection.fetchval("SELECT 'the next may start ' || (reasons -> 0 ->> 'until') FROM flower_why WHERE seq = 2")
    )

    await connection.execute("UPDATE kr_turn SET free_at = free_at - interval '6 s', look_at = look_at - interval '6 s'")
    assert (await engine.store.workers.probe(engine.worker_id, "")).work is True

    assert seqs(await engine.claim()) == [2]
    assert await engine.claim() == []


async def test_what_a_rate_has_not_used_is_not_saved_up(engine: Engine, connection: Connection) -> None:
    await connection.execute(
        "INSERT INTO ms_limit (name, rate) VALUES ('l', '100/s'); INSERT INTO kr_turn (name, free_at) VALUES ('l', now() - interval '1 day')"
    )
    await write_many(connection, "f", 100, ["l"])

    assert len((await engine.turn(slots=100, look=True)).claimed) == 10


async def test_a_rate_that_becomes_faster_counts_at_once_and_one_that_goes_leaves_nothing_to_look_at(engine: Engine, connection: Connection) -> None:
    await connection.execute("INSERT INTO ms_limit (name, rate) VALUES ('l', '1/day')")
    await write_many(connection, "f", 3, ["l"])
    assert seqs(await engine.claim()) == [1]

    await connection.execute("UPDATE ms_limit SET rate = '100/s'")
    assert ((await engine.turn(slots=5, look=True)).sleep_seconds or 0) < 0.2
    await connection.execute("UPDATE kr_turn SET free_at = now(), look_at = now()")
    assert seqs((await engine.turn(slots=5, look=True)).claimed) == [2, 3]

    await connection.execute("UPDATE ms_limit SET rate = '1/day'")
    await write_many(connection, "g", 2, ["l"])
    await engine.look()
    await connection.execute("DELETE FROM ms_limit; DELETE FROM kr_task_stat; UPDATE kr_turn SET look_at = now() WHERE look_at IS NOT NULL")
    await engine.look()
    assert (await engine.turn(look=True)).sleep_seconds is None


async def test_while_slots_and_not_the_rate_hold_a_task_nobody_looks_again(engine: Engine, connection: Connection) -> None:
    await connection.execute("INSERT INTO ms_limit (name, slots, rate) VALUES ('l', 1, '100/s')")
    await write_many(connection, "f", 2, ["l"])
    assert len(await engine.claim()) == 1

    assert (await engine.turn(look=True)).sleep_seconds is None


async def test_each_key_has_a_rate_of_its_own_and_slots_count_besides(engine: Engine, connection: Connection) -> None:
    await connection.execute("INSERT INTO ms_limit (name, slots, rate) VALUES ('tenant:*', 1, '1/h')")
    for key in "ab":
        await write_many(connection, key, 2, [f"tenant:{key}"])
    running = await engine.claim()
    assert sorted(claim.flow_id for claim in running) == ["a", "b"]

    await engine.finish(*running)

    assert await engine.claim() == []
    await connection.execute("UPDATE ms_limit SET rate = NULL")
    assert len(await engine.claim()) == 2


# What people set


@pytest.mark.parametrize(
    ("name", "options", "path"),
    [
        ("l", {"slots": -1}, "slots"),
        ("l", {"slots": 1.5}, "slots"),
        ("l", {"slots": "4"}, "slots"),
        ("l", {"slots": 2**31}, "slots"),
        ("l", {"rate": "0/min"}, "rate"),
        ("l", {"rate": "0.00/s"}, "rate"),
        ("l", {"rate": "-1/s"}, "rate"),
        ("l", {"rate": "10"}, "rate"),
        ("l", {"rate": "10/week"}, "rate"),
        ("l", {"rate": "0.000001/day"}, "rate"),
        ("workflow:w", {"rate": "1/h"}, "rate"),
        ("unique:w:k", {"slots": 2}, "name"),
        ("l", {"rate": 10}, "rate"),
        ("l", {"slots": None, "rate": None}, "slots"),
        ("l", {}, "slots"),
        ("l", {"slot": 1}, "slot"),
        ("", {"slots": 1}, "name"),
        ("x" * 513, {"slots": 1}, "name"),
        ("a*b", {"slots": 1}, "name"),
        ("**", {"slots": 1}, "name"),
        ("tenant:{customer}", {"slots": 1}, "name"),
    ],
)
async def test_a_limit_that_makes_no_sense_is_refused(connection: Connection, name: str, options: dict[str, Any], path: str) -> None:
    with pytest.raises(asyncpg.PostgresError) as refused:
        await set_limit(connection, name, **options)

    assert (refused.value.sqlstate, json.loads(refused.value.detail or "")[0]["path"]) == ("FL422", path)
    assert await connection.fetchval("SELECT count(*) FROM ms_limit") == 0


@pytest.mark.parametrize("values", ["('l', -1, NULL)", "('l', 1, '0/s')", "('l', 1, 'often')", "('a*b', 1, NULL)", "('', 1, NULL)"])
async def test_a_hand_cannot_write_what_is_refused_either(connection: Connection, values: str) -> None:
    with pytest.raises(asyncpg.CheckViolationError):
        await connection.execute(f"INSERT INTO ms_limit (name, slots, rate) VALUES {values}")


async def test_what_is_not_named_stays_and_a_removed_limit_is_answered_once_more(connection: Connection) -> None:
    assert await set_limit(connection, "stripe", slots=4) == {"name": "stripe", "slots": 4, "rate": None}
    assert await set_limit(connection, "stripe", rate="10/min") == {"name": "stripe", "slots": 4, "rate": "10/min"}
    assert await set_limit(connection, "stripe", slots=None) == {"name": "stripe", "slots": None, "rate": "10/min"}
    assert (await set_limit(connection, "stripe", remove=True))["removed"] is True
    with pytest.raises(asyncpg.PostgresError, match="no limit"):
        await set_limit(connection, "stripe", remove=True)


async def test_the_list_says_who_is_inside_and_who_waits(engine: Engine, connection: Connection) -> None:
    await connection.execute("INSERT INTO ms_limit (name, slots, rate) VALUES ('tenant:*', 1, '1/h'), ('idle', 0, NULL)")
    for key in "ab":
        await write_many(connection, key, 3, [f"tenant:{key}"])
    await engine.claim()

    idle, tenants = await engine.store.limits.list()
    assert (idle.of_flows, tenants.of_flows) == (False, False)

    assert (idle.slots, idle.running, idle.waiting, idle.holders) == (0, 0, 0, ())
    assert (tenants.running, tenants.ready, tenants.waiting, set(tenants.holders)) == (2, 0, 4, {"a/1", "b/1"})


async def test_of_a_limit_on_flows_the_list_counts_flows(engine: Engine, connection: Connection) -> None:
    await connection.execute("INSERT INTO ms_limit (name, slots) VALUES ('workflow:w', 1)")
    await define(connection, "w", {"name": "a"}, {"name": "b", "depends_on": []})
    flows = [await connection.fetchval("SELECT flower_register('w')") for _ in range(3)]
    await engine.claim()

    (limit,) = await engine.store.limits.list()

    assert (limit.of_flows, limit.running, limit.waiting, limit.holders) == (True, 1, 2, (flows[0],))
