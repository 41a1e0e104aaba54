"""POST /register with a list, and what else an answer to an order says: over HTTP, on a real database."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from io import BytesIO
from time import perf_counter
from typing import Any

import pytest

from flower.core.model import Program
from flower.database.pool import Connection, Pool
from flower.database.store import Store
from tests.sql.engine import Engine
from tests.web.asking import Client, post
from tests.web.test_end_to_end import serve

Orders = list[dict[str, Any]]


@pytest.fixture
async def served(pool: Pool) -> AsyncIterator[Client]:
    """Two workflows, `chain` of two steps and `one`, of programs that take an integer `n`."""
    await Engine(pool).enroll(Program("Ok", ("n",), (), {"n": {"type": "integer"}}))
    await pool.execute("INSERT INTO ms_task_definition (task_id, task_seq, program) VALUES ('chain', 1, 'Ok'), ('chain', 2, 'Ok'), ('one', 1, 'Ok')")
    async for client in serve(Store(pool)):
        yield client


async def flows(connection: Connection) -> int:
    return int(await connection.fetchval("SELECT count(*) FROM kr_flow_stat"))


async def refused(client: Client, sent: Any, status: int = 422) -> Any:
    found, said = await post(client, "/register", json=sent)
    assert (found, said["status"], said["taskId"]) == (status, "failed", "")
    return said


async def test_a_list_starts_its_flows_in_order_whatever_their_workflows(served: Client, connection: Connection) -> None:
    orders: Orders = [{"taskId": name, "parameters": {"n": n}, "priority": n} for n, name in enumerate(["one", "chain", "one", "chain", "chain"])]

    status, said = await post(served, "/register", json=orders)

    assert (status, list(said), said["status"]) == (200, ["status", "flows"], "succeeded")
    assert [flow["taskId"] for flow in said["flows"]] == ["one", "chain", "one", "chain", "chain"]
    for n, flow in enumerate(said["flows"]):
        row = await connection.fetchrow("SELECT task_id, task_priority, parameters FROM kr_flow_stat WHERE task_flow_id = $1", flow["taskFlowId"])
        assert row is not None
        assert (row["task_id"], row["task_priority"], json.loads(row["parameters"])) == (flow["taskId"], n, {"n": n})


async def test_every_wrong_order_is_named_by_its_place_and_nothing_is_started(served: Client, connection: Connection) -> None:
    await post(served, "/register/one", json={"idempotencyKey": "used", "parameters": {"n": 1}})
    orders: list[Any] = [
        {"taskId": "one"},
        {"taskId": "one", "parameters": {"n": "x"}},
        {"taskId": "oen"},
        {"taskId": "one", "priority": 20, "runAt": "2026-01-01T00:00:00"},
        {},
        5,
        {"taskId": "chain", "parameters": {"m": 1}},
        {"taskId": "one", "idempotencyKey": "used"},
        {"taskId": "one", "unique": {"key": ""}},
        {"taskId": "chain", "priorty": 1},
        {"taskId": "chain"},
    ]

    said = await refused(served, orders)

    paths = [error["path"] for error in said["errors"]]
    assert paths == [
        "[1].parameters.n",
        "[2].taskId",
        "[3].priority",
        "[3].runAt",
        "[4].taskId",
        "[5]",
        "[6].parameters.m",
        "[7].idempotencyKey",
        "[8].unique.key",
        "[9].priorty",
    ]
    assert said["description"].startswith("nothing was started: 9 of 11 orders are refused, the first for [1].parameters.n: ")
    assert "did you mean one?" in said["errors"][1]["message"]
    assert await flows(connection) == 1


async def test_what_only_the_database_refuses_is_named_too_and_nothing_is_started(served: Client, connection: Connection) -> None:
    said = await refused(served, [{"taskId": "one"}, {"taskId": "one", "parameters": {"n": []}}, {"taskId": "chain", "parameters": {"n": {}}}])

    assert [error["path"] for error in said["errors"]] == ["[1].parameters.n", "[2].parameters.n"]
    assert await flows(connection) == 0


@pytest.mark.parametrize("sent", [[], {}, {"taskId": "one"}, "one", 5, True, [{"taskId": "one"}] * 1001])
async def test_what_is_no_list_of_1_to_1000_is_refused(served: Client, connection: Connection, sent: Any) -> None:
    said = await refused(served, sent)

    assert "list of 1 to 1,000 orders" in said["description"]
    assert await flows(connection) == 0


async def test_a_list_above_the_limit_of_a_body_is_refused(served: Client, connection: Connection) -> None:
    body = json.dumps([{"taskId": "one", "parameters": {"n": "x" * 2000}}] * 600).encode()

    status, said = await post(served, "/register", data=BytesIO(body), headers={"Content-Type": "application/json"})

    assert (status, said["status"]) == (413, "failed")

    assert await flows(connection) == 0


async def test_the_header_with_a_key_is_for_one_flow(served: Client) -> None:
    status, said = await post(served, "/register", json=[{"taskId": "one"}], headers={"Idempotency-Key": "k"})

    assert (status, said["errors"][0]["path"]) == (422, "idempotencyKey")


async def test_a_list_that_is_sent_twice_starts_once(served: Client, connection: Connection) -> None:
    orders: Orders = [{"taskId": "one", "idempotencyKey": f"k{n}"} for n in range(3)]
    _, first = await post(served, "/register", json=orders)
    _, again = await post(served, "/register", json=orders)

    assert [flow["taskFlowId"] for flow in again["flows"]] == [flow["taskFlowId"] for flow in first["flows"]]
    assert all(flow["duplicate"] for flow in again["flows"])
    assert await flows(connection) == 3


async def test_one_idempotency_key_twice_in_a_list_is_one_flow_or_refused_by_its_place(served: Client, connection: Connection) -> None:
    _, said = await post(served, "/register", json=[{"taskId": "one", "idempotencyKey": "k"}] * 2)
    assert said["flows"][1] == {**said["flows"][0], "duplicate": True}

    said = await refused(served, [{"taskId": "one", "idempotencyKey": "l"}, {"taskId": "one", "idempotencyKey": "l", "priority": 1}])
    assert [error["path"] for error in said["errors"]] == ["[1].idempotencyKey"]
    assert await flows(connection) == 1


async def test_a_list_knows_the_unique_keys_of_its_own_orders(served: Client, connection: Connection) -> None:
    orders: Orders = [{"taskId": "one", "unique": {"key": "k", "policy": policy}} for policy in ("queue", "skip", "queue", "skip")]

    _, said = await post(served, "/register", json=orders)

    assert [flow.get("skipped", False) for flow in said["flows"]] == [False, True, False, True]
    assert said["flows"][1]["taskFlowId"] == said["flows"][0]["taskFlowId"]
    assert await flows(connection) == 2


async def test_1000_orders_take_less_than_a_second(served: Client, connection: Connection) -> None:
    orders: Orders = [
        {"taskId": "chain", "parameters": {"n": n}, "idempotencyKey": f"i{n}", "unique": {"key": f"u{n}", "policy": "queue"}} for n in range(1_000)
    ]
    await post(served, "/register", json=[{"taskId": "chain"}])
    began = perf_counter()

    status, said = await post(served, "/register", json=orders)

    assert (status, len(said["flows"])) == (200, 1_000)
    assert perf_counter() - began < 1.0
    assert await flows(connection) == 1_001


# What an answer says besides


async def test_a_skipped_start_names_the_flow_in_progress_and_says_so(served: Client) -> None:
    order = {"unique": {"key": "k"}}
    _, first = await post(served, "/register/one", json=order)

    assert await post(served, "/register/one", json=order) == (200, {**first, "skipped": True})


async def test_a_time_in_the_past_runs_now_and_the_answer_says_so(served: Client, connection: Connection) -> None:
    _, said = await post(served, "/register/one", json={"runAt": "2020-01-01T00:00:00+01:00"})
    assert said["note"] == "runAt is in the past: the flow runs now"
    assert await connection.fetchval("SELECT gate FROM kr_task_stat") in {"slot", None}
    _, said = await post(
        served, "/register", json=[{"taskId": "one", "runAt": "2999-01-01T00:00:00Z"}, {"taskId": "one", "runAt": "2020-01-01T00:00:00Z"}]
    )
    assert [flow.get("note") for flow in said["flows"]] == [None, "runAt is in the past: the flow runs now"]


@pytest.mark.parametrize(
    ("at", "words"),
    [
        ("2026-01-01T00:00:00", "without its zone"),
        ("20000-01-01T00:00:00Z", "no time in ISO 8601"),
        ("+20000-01-01T00:00:00Z", "no time in ISO 8601"),
        ("9999-12-31T23:59:59-01:00", "between 1 and 9999"),
        ("0000-01-01T00:00:00Z", "no time in ISO 8601"),
    ],
)
async def test_a_time_that_cannot_be_is_refused_with_a_sentence(served: Client, at: str, words: str) -> None:
    status, said = await post(served, "/register/one", json={"runAt": at})

    assert (status, said["errors"][0]["path"]) == (422, "runAt")
    assert words in said["errors"][0]["message"]


async def test_the_last_moment_that_is_taken_is_kept_and_shown(served: Client, connection: Connection, pool: Pool) -> None:
    _, said = await post(served, "/register/one", json={"runAt": "9999-12-31T23:59:59Z"})
    (task,) = await Store(pool).flows.tasks(said["taskFlowId"])
    assert task.run_after is not None
    assert task.run_after.year == 9999

    await connection.execute("UPDATE kr_task_stat SET run_after = '20000-01-01'")
    async with served.session.get(f"http://127.0.0.1:{served.port}/api/flows/{said['taskFlowId']}") as response:
        assert response.status == 200
        assert (await response.json())["tasks"][0]["runAfter"] is not None
    async with served.session.get(f"http://127.0.0.1:{served.port}/api/flows/{said['taskFlowId']}/why") as response:
        assert response.status == 200


# What a workflow says of its flows


async def test_max_flows_is_written_shown_and_refused_where_it_is_no_number_of_flows(served: Client, connection: Connection) -> None:
    url = f"http://127.0.0.1:{served.port}/api/workflows/one"
    body: dict[str, Any] = {"steps": [{"seq": 1, "program": "Ok"}]}
    for given, status in ((3, 200), (0, 200), (-1, 422), (2**31, 422), (1.5, 422), (True, 422), ("3", 422)):
        async with served.session.put(url, json={**body, "maxFlows": given}) as answer:
            assert answer.status == status
            said = await answer.json()
        assert said["maxFlows"] == given if status == 200 else said["errors"][0]["path"] == "maxFlows"
    await connection.execute("UPDATE ms_limit SET slots = 7 WHERE name = 'workflow:one'")
    async with served.session.get(url) as answer:
        assert (await answer.json())["maxFlows"] == 7
    async with served.session.put(url, json=body) as answer:
        assert (await answer.json())["maxFlows"] is None
