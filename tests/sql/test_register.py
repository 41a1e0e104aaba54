"""flower_register: what it makes of a definition, what it refuses, and that it is part of its caller's transaction."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import RFC_4122, UUID

import asyncpg
import pytest

from flower.core.model import Program
from flower.database.pool import Connection, Pool
from tests.sql.engine import Engine, define, gates, seqs

REGISTER = "SELECT flower_register($1, $2, $3)"


async def register(connection: Connection, workflow: str = "w", parameters: object = None, **options: object) -> str:
    return str(await connection.fetchval(REGISTER, workflow, json.dumps(parameters or {}), json.dumps(options)))


async def edges(connection: Connection, flow: str) -> list[tuple[int, int]]:
    rows = await connection.fetch("SELECT parent_seq, task_exec_seq FROM kr_task_edge WHERE task_flow_id = $1 ORDER BY 2, 1", flow)
    return [(int(parent), int(child)) for parent, child in rows]


async def refused(connection: Connection, state: str, workflow: str = "w", parameters: object = None, options: object = None) -> list[dict[str, str]]:
    """Register, expect to be refused with *state*, and return the detail; nothing was written."""
    with pytest.raises(asyncpg.PostgresError) as raised:
        await connection.fetchval(
            REGISTER, workflow, json.dumps({} if parameters is None else parameters), json.dumps({} if options is None else options)
        )
    assert raised.value.sqlstate == state
    assert [await connection.fetchval(f"SELECT count(*) FROM {table}") for table in ("kr_task_stat", "kr_flow_stat", "kr_task_edge")] == [0, 0, 0]
    detail: list[dict[str, str]] = json.loads(raised.value.detail or "[]")
    return detail


# The graph


async def test_without_depends_on_each_step_waits_for_the_one_before(engine: Engine, connection: Connection) -> None:
    await define(connection, "w", {}, {}, {})

    flow = await register(connection)

    assert await edges(connection, flow) == [(1, 2), (2, 3)]
    assert [seq for _, seq in await engine.run_all()] == [1, 2, 3]


async def test_a_diamond_joins_when_both_parents_have_ended(engine: Engine, connection: Connection) -> None:
    await define(connection, "w", {}, {"depends_on": [1]}, {"depends_on": [1]}, {"depends_on": [2, 3]})

    flow = await register(connection)

    await engine.finish(await engine.one())
    left, right = await engine.claim()
    await engine.finish(right)
    assert await gates(connection, flow) == {1: None, 2: None, 3: None, 4: "dependencies 2"}
    await engine.finish(left)
    assert seqs(await engine.claim()) == [4]


async def test_an_empty_depends_on_starts_at_once(engine: Engine, connection: Connection) -> None:
    await define(connection, "w", {}, {"depends_on": []}, {})

    flow = await register(connection)

    assert await edges(connection, flow) == [(2, 3)]
    assert seqs(await engine.claim()) == [1, 2]


async def test_gaps_and_fractions_in_task_seq_become_1_to_n_in_their_order(engine: Engine, connection: Connection) -> None:
    await define(
        connection,
        "w",
        *({"task_seq": Decimal(seq)} for seq in ("20", "-3", "1.5", "1.25")),
        {"task_seq": Decimal(30), "depends_on": [Decimal("1.5"), -3]},
    )

    flow = await register(connection)

    rows = await connection.fetch("SELECT task_exec_seq, task_seq FROM kr_task_stat WHERE task_flow_id = $1 ORDER BY 1", flow)
    assert [(int(seq), str(step)) for seq, step in rows] == [(1, "-3"), (2, "1.25"), (3, "1.5"), (4, "20"), (5, "30")]
    assert await edges(connection, flow) == [(1, 2), (2, 3), (3, 4), (1, 5), (3, 5)]


async def test_greater_depth_goes_first_within_a_flow(engine: Engine, connection: Connection) -> None:
    await define(
        connection, "w", {"depends_on": []}, {"depends_on": [6]}, {"depends_on": [2]}, {"depends_on": []}, {"depends_on": [4]}, {"depends_on": []}
    )

    flow = await register(connection)

    rows = await connection.fetch("SELECT task_exec_seq, rank FROM kr_task_stat WHERE task_flow_id = $1 ORDER BY 1", flow)
    assert [rank for _, rank in rows] == [0, -1, -2, 0, -1, 0]
    claims = await engine.claim()
    assert seqs(claims) == [1, 4, 6]
    await connection.execute("UPDATE kr_task_stat SET exec_status = 0 WHERE task_exec_seq = 1")
    await engine.finish(*claims[1:])
    assert seqs(await engine.claim()) == [2, 5, 1]


async def test_a_dependency_named_twice_is_one_edge(engine: Engine, connection: Connection) -> None:
    await define(connection, "w", {}, {"depends_on": [1, 1]})

    assert await edges(connection, await register(connection)) == [(1, 2)]


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        ([{}, {"depends_on": [7]}], "has no step 7"),
        ([{}, {"depends_on": [None]}], "has no step NULL"),
        ([{"depends_on": [1]}], "circle: Ok → Ok"),
        ([{"depends_on": [3], "name": "a"}, {"depends_on": [1], "name": "b"}, {"depends_on": [2], "name": "c"}, {}], "circle: a → b → c → a"),
        ([{"name": "same"}, {"name": "same"}], "name 'same'"),
    ],
)
async def test_a_graph_that_cannot_run_is_refused_and_nothing_is_written(connection: Connection, steps: list[dict[str, object]], words: str) -> None:
    with pytest.raises(asyncpg.PostgresError) as raised:
        await define(connection, "w", *steps)

    assert raised.value.sqlstate == "FL422"
    (detail,) = json.loads(raised.value.detail or "[]")
    assert words in detail["message"]
    await refused(connection, "FL404")


async def test_a_workflow_without_rows_is_unknown(connection: Connection) -> None:
    await refused(connection, "FL404", "nothing")


async def test_steps_without_a_name_are_called_like_their_program(connection: Connection) -> None:
    await define(connection, "w", {}, {"program": "Other"}, {}, {"name": "own"}, {})

    flow = await register(connection)

    rows = await connection.fetch("SELECT name FROM kr_task_stat WHERE task_flow_id = $1 ORDER BY task_exec_seq", flow)
    assert [found["name"] for found in rows] == ["Ok", "Other", "Ok-2", "own", "Ok-3"]


# Parameters


async def parameters(connection: Connection, flow: str) -> list[dict[str, object]]:
    rows = await connection.fetch("SELECT parameters FROM kr_task_stat WHERE task_flow_id = $1 ORDER BY task_exec_seq", flow)
    return [json.loads(found["parameters"]) for found in rows]


async def test_of_pairs_a_null_key_is_dropped_a_null_value_is_empty_and_the_later_one_wins(connection: Connection) -> None:
    await define(
        connection,
        "w",
        {
            "param1_key": "a", "param1_value": "1", "param2_value": "lost", "param3_key": "b", "param4_key": "a", "param4_value": "2",
            "param5_key": "c", "param5_value": "3", "parameters": '{"c": 4}',
        },
    )  # fmt: skip

    assert await parameters(connection, await register(connection)) == [{"a": "2", "b": "", "c": 4}]


async def test_what_is_given_replaces_what_has_its_name_and_goes_only_to_the_steps_that_take_it(pool: Pool, connection: Connection) -> None:
    await define(
        connection,
        "w",
        {"program": "One", "param1_key": "a", "param1_value": "old"},
        {"program": "Two"},
        {"program": "Three", "param1_key": "extra", "param1_value": "old"},
    )
    await Engine(pool).enroll(Program("One", ("a", "b")), Program("Two", ("b",)), Program("Three", ()))  # newer than the definition

    flow = await register(connection, parameters={"a": [1], "b": None, "extra": "new"})

    assert await parameters(connection, flow) == [{"a": [1], "b": None}, {"b": None}, {"extra": "new"}]


async def test_a_name_that_no_step_takes_is_refused_only_when_every_program_is_known(pool: Pool, connection: Connection) -> None:
    await define(connection, "w", {"program": "One"}, {"program": "Later"})
    engine = await Engine(pool).enroll(Program("One", ("a",)))

    first = await register(connection, parameters={"a": 1, "wrong": 2})
    assert await parameters(connection, first) == [{"a": 1}, {"wrong": 2}]
    await connection.execute("TRUNCATE kr_task_stat")

    await engine.leave()
    await Engine(pool).enroll(Program("Later", ()))
    (detail,) = await refused(connection, "FL422", parameters={"a": 1, "wrong": 2})
    assert detail["path"] == "parameters.wrong"


async def test_a_program_that_takes_any_name_takes_what_no_other_step_is_known_to_take(pool: Pool, connection: Connection) -> None:
    await Engine(pool).enroll(Program("One", ("a",)), Program("Any", None))
    await define(connection, "w", {"program": "One"}, {"program": "Any"})

    flow = await register(connection, parameters={"a": 1, "b": 2})

    assert await parameters(connection, flow) == [{"a": 1}, {"b": 2}]


@pytest.mark.parametrize(
    ("given", "options", "path"),
    [
        ([], {}, "parameters"),
        ("text", {}, "parameters"),
        ({"a": "x" * 262_144}, {}, "parameters"),
        ({}, [], "options"),
        ({}, 5, "options"),
        ({}, "text", "options"),
        ({}, {"prioritty": 1}, "prioritty"),
        ({}, {"priority": 20}, "priority"),
        ({}, {"priority": -21}, "priority"),
        ({}, {"priority": 0.5}, "priority"),
        ({}, {"priority": "1"}, "priority"),
        ({}, {"priority": None}, "priority"),
        ({}, {"runAt": "2026-01-31T14:00:00"}, "runAt"),
        ({}, {"runAt": "tomorrow"}, "runAt"),
        ({}, {"runAt": "2026-13-31T14:00:00Z"}, "runAt"),
        ({}, {"runAt": 5}, "runAt"),
        ({}, {"idempotencyKey": ""}, "idempotencyKey"),
        ({}, {"idempotencyKey": 5}, "idempotencyKey"),
        ({}, {"idempotencyKey": "x" * 513}, "idempotencyKey"),
    ],
)
async def test_an_order_of_the_wrong_form_is_refused_with_its_path(connection: Connection, given: object, options: object, path: str) -> None:
    await define(connection, "w", {})

    (detail,) = await refused(connection, "FL422", parameters=given, options=options)

    assert detail["path"] == path


# Options


async def test_the_priority_of_an_order_goes_before_that_of_the_steps(engine: Engine, connection: Connection) -> None:
    await define(connection, "w", {"task_priority": 3}, {"task_priority": 4})

    plain, given = await register(connection), await register(connection, priority=-20)

    for flow, expected in ((plain, [3, 4]), (given, [-20, -20])):
        rows = await connection.fetch("SELECT task_priority FROM kr_task_stat WHERE task_flow_id = $1 ORDER BY task_exec_seq", flow)
        assert [int(found[0]) for found in rows] == expected
    assert [claim.flow_id for claim in await engine.claim()] == [given, plain]


async def test_a_run_at_holds_all_of_a_flow_until_then(engine: Engine, connection: Connection) -> None:
    await define(connection, "w", {}, {})

    flow = await register(connection, runAt="2999-01-31T14:00:00+01:00")

    assert await engine.claim() == []
    assert await gates(connection, flow) == {1: "time", 2: "dependencies 1"}
    assert await connection.fetchval("SELECT max(run_after) FROM kr_task_stat") == datetime(2999, 1, 31, 13, tzinfo=UTC)
    await connection.execute("UPDATE kr_task_stat SET run_after = NULL")
    assert [seq for _, seq in await engine.run_all()] == [1, 2]


async def test_a_run_at_in_the_past_starts_at_once(engine: Engine, connection: Connection) -> None:
    await define(connection, "w", {})
    await register(connection, runAt="2020-01-31T14:00Z")

    assert seqs(await engine.claim()) == [1]


async def test_the_same_idempotency_key_and_body_is_the_same_flow(connection: Connection) -> None:
    await define(connection, "w", {})
    await define(connection, "v", {})

    first = await register(connection, parameters={"a": 1, "b": 2}, idempotencyKey="k", priority=1)
    again = await register(connection, parameters={"b": 2, "a": 1}, priority=1, idempotencyKey="k")
    other = await register(connection, "v", idempotencyKey="k")

    assert first == again != other
    assert await connection.fetchval("SELECT count(*) FROM kr_task_stat") == 2
    order = ["w", ['{"a": 1, "b": 2}'] * 2, ['{"idempotencyKey": "k", "priority": 1}', '{"idempotencyKey": "new", "priority": 1}']]
    rows = await connection.fetch("SELECT * FROM kr_register($1, $2, $3) ORDER BY n", *order)
    assert [row["duplicate"] for row in rows] == [True, False]
    assert rows[0]["flow_id"] == first != rows[1]["flow_id"]


@pytest.mark.parametrize(("given", "options"), [({"a": 2}, {}), ({"a": 1}, {"priority": 1})])
async def test_the_same_idempotency_key_with_another_body_is_refused(connection: Connection, given: object, options: dict[str, Any]) -> None:
    await define(connection, "w", {})
    await register(connection, parameters={"a": 1}, idempotencyKey="k")

    with pytest.raises(asyncpg.PostgresError) as raised:
        await register(connection, parameters=given, idempotencyKey="k", **options)

    assert raised.value.sqlstate == "FL409"
    assert await connection.fetchval("SELECT count(*) FROM kr_task_stat") == 1


@pytest.mark.parametrize("ends", ["commit", "rollback"])
async def test_of_two_transactions_with_one_idempotency_key_the_second_waits_for_the_first(
    connection: Connection, other: Connection, ends: str
) -> None:
    await define(connection, "w", {})
    transaction = connection.transaction()
    await transaction.start()
    first = await register(connection, idempotencyKey="k")
    waits = asyncio.create_task(register(other, idempotencyKey="k"))
    async with asyncio.timeout(10):
        # Not from pg_stat_activity: within a transaction that stays as it was at the first look.
        while not await connection.fetchval("SELECT cardinality(pg_blocking_pids($1)) > 0", other.get_server_pid()):
            await asyncio.sleep(0)

    await (transaction.commit() if ends == "commit" else transaction.rollback())

    assert (await waits == first) == (ends == "commit")
    assert await connection.fetchval("SELECT count(*) FROM kr_task_stat") == 1


# The transaction


async def test_rolled_back_it_never_existed(engine: Engine, connection: Connection) -> None:
    await define(connection, "w", {})
    transaction = connection.transaction()
    await transaction.start()
    await register(connection, idempotencyKey="k")
    await transaction.rollback()

    assert await engine.claim() == []
    for table in ("kr_task_stat", "kr_flow_stat", "kr_task_edge", "kr_recount"):
        assert await connection.fetchval(f"SELECT count(*) FROM {table}") == 0


async def test_it_starts_with_the_commit_of_other_work_and_not_before(engine: Engine, connection: Connection) -> None:
    await connection.execute("CREATE TABLE orders (flow text)")
    await define(connection, "w", {})

    async with connection.transaction():
        await connection.execute("INSERT INTO orders SELECT flower_register('w')")
        assert await engine.claim() == []

    claim = await engine.one()
    assert claim.flow_id == await connection.fetchval("SELECT flow FROM orders")


async def test_many_flows_in_one_statement_are_in_the_order_of_their_rows(engine: Engine, connection: Connection) -> None:
    await define(connection, "w", {})

    rows = await connection.fetch("SELECT flower_register('w') AS flow FROM generate_series(1, 20)")

    flows = [found["flow"] for found in rows]
    assert len(set(flows)) == 20
    assert [claim.flow_id for claim in await engine.claim()] == flows


async def test_a_flow_registered_in_a_pause_or_without_its_program_waits_at_that_gate(engine: Engine, connection: Connection) -> None:
    await connection.execute("INSERT INTO ms_pause (task_id) VALUES ('w')")
    await define(connection, "w", {})
    await define(connection, "v", {"program": "Nobody"})

    paused, unknown = await register(connection), await register(connection, "v")

    assert await engine.claim() == []
    assert (await gates(connection, paused), await gates(connection, unknown)) == ({1: "pause w"}, {1: "program Nobody"})


# Many at once

TOGETHER = "SELECT n, flow_id, duplicate FROM kr_register($1, $2, $3) ORDER BY n"
MANY = 2_000


async def test_orders_that_share_a_call_each_keep_what_is_theirs(pool: Pool, connection: Connection) -> None:
    await define(connection, "w", {"parameters": '{"size": 1}'}, {})
    given, options = ["{}", '{"size": 2}', '{"size": 3}'], ["{}", '{"priority": 7}', '{"runAt": "2999-01-01T00:00:00Z"}']

    flows = [row["flow_id"] for row in await connection.fetch(TOGETHER, "w", given, options)]

    rows = {
        row["task_flow_id"]: row
        for row in await connection.fetch("SELECT *, parameters ->> 'size' AS size FROM kr_task_stat WHERE task_exec_seq = 1")
    }
    assert [rows[flow]["size"] for flow in flows] == ["1", "2", "3"]
    assert [rows[flow]["task_priority"] for flow in flows] == [0, 7, 0]
    assert [rows[flow]["run_after"] is not None for flow in flows] == [False, False, True]
    assert [await edges(connection, flow) for flow in flows] == [[(1, 2)]] * 3


async def test_a_key_that_comes_twice_in_one_call_makes_one_flow(connection: Connection) -> None:
    await define(connection, "w", {})

    rows = await connection.fetch(TOGETHER, "w", ["{}"] * 3, ['{"idempotencyKey": "k"}', "{}", '{"idempotencyKey": "k"}'])

    assert rows[0]["flow_id"] == rows[2]["flow_id"] != rows[1]["flow_id"]
    assert [row["duplicate"] for row in rows].count(True) == 1
    assert await connection.fetchval("SELECT count(*) FROM kr_task_stat") == 2


async def test_one_order_that_is_refused_refuses_the_whole_call(connection: Connection) -> None:
    await define(connection, "w", {})

    with pytest.raises(asyncpg.PostgresError, match="priority"):
        await connection.fetch(TOGETHER, "w", ["{}", "{}"], ["{}", '{"priority": 99}'])

    assert await connection.fetchval("SELECT count(*) FROM kr_flow_stat") == 0


async def test_two_calls_that_bring_the_same_keys_in_other_orders_do_not_lock_each_other_out(connection: Connection, other: Connection) -> None:
    await define(connection, "w", {})
    keys = [json.dumps({"idempotencyKey": f"{n}"}) for n in range(MANY)]

    first, second = await asyncio.gather(connection.fetch(TOGETHER, "w", ["{}"] * MANY, keys), other.fetch(TOGETHER, "w", ["{}"] * MANY, keys[::-1]))

    assert [row["flow_id"] for row in first] == [row["flow_id"] for row in second][::-1]
    assert await connection.fetchval("SELECT count(*) FROM kr_flow_stat") == MANY


async def test_ids_are_uuids_of_version_7_that_follow_the_clock(connection: Connection) -> None:
    before = time.time_ns() // 1_000_000
    ids = [UUID(value) for value in await connection.fetchval("SELECT array_agg(flower_uuid7()) FROM generate_series(1, 1000)")]
    after = time.time_ns() // 1_000_000

    assert len(set(ids)) == 1000
    assert {(id_.version, id_.variant) for id_ in ids} == {(7, RFC_4122)}
    assert before <= min(ids).int >> 80 <= max(ids).int >> 80 <= after
