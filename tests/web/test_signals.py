"""POST /api/signals/{name}, on PostgreSQL."""

from __future__ import annotations

import json
from io import BytesIO
from typing import Any

import pytest

from flower.database.pool import Connection, Pool
from flower.web.schemas import SCHEMAS
from tests.sql.engine import Engine
from tests.sql.test_signals import kept, result, wait
from tests.web.asking import Client, get, post
from tests.web.test_end_to_end import served
from tests.web.test_verbs import fits

__all__ = ["served"]


@pytest.fixture
async def engine(pool: Pool) -> Engine:
    return await Engine(pool).enroll("Ok")


@pytest.mark.parametrize(
    ("path", "name", "body", "key", "payload"),
    [
        ("payment", "payment", {"key": "order-7", "payload": {"amount": 3}}, "order-7", {"amount": 3}),
        ("payment", "payment", {"key": 7}, "7", None),
        ("payment", "payment", {"key": None, "payload": [1]}, "", [1]),
        ("payment", "payment", None, "", None),
        ("orders/payment", "orders/payment", {}, "", None),
        ("%E8%8A%B1%20a", "花 a", {"key": "é"}, "é", None),
    ],
)
async def test_a_signal_reaches_the_step_that_waits_for_it(
    served: Client, engine: Engine, connection: Connection, path: str, name: str, body: Any, key: str, payload: Any
) -> None:
    await wait(connection, "f", name=name, key=key)
    await engine.look()

    status, sent = await post(served, f"/api/signals/{path}", **({} if body is None else {"json": body}))

    assert (status, sent) == (200, {"signalId": 1, "name": name, "key": key, "waiting": 1})
    fits(sent, SCHEMAS["Sent"])
    await engine.look()
    assert await result(connection, "f") == payload


async def test_the_same_idempotency_key_is_the_same_signal_in_the_header_too(served: Client, connection: Connection) -> None:
    assert await post(served, "/api/signals/go", json={"payload": 1, "idempotencyKey": "k"}) == (
        200,
        {"signalId": 1, "name": "go", "key": "", "waiting": 0},
    )
    status, again = await post(served, "/api/signals/go", json={"payload": 1}, headers={"Idempotency-Key": "k"})
    assert (status, again["duplicate"]) == (200, True)
    status, problem = await post(served, "/api/signals/go", json={"payload": 2}, headers={"Idempotency-Key": "k"})
    assert (status, "used before with another payload" in problem["detail"]) == (409, True)
    status, problem = await post(served, "/api/signals/go", json={"idempotencyKey": "j"}, headers={"Idempotency-Key": "k"})
    assert (status, problem["errors"][0]["path"]) == (422, "idempotencyKey")

    assert await kept(connection) == [1]


@pytest.mark.parametrize(
    ("path", "body", "status", "told"),
    [
        ("a" * 257, {}, 422, "name: "),
        ("a%0Ab", {}, 422, "name: "),
        ("a%00b", {}, 422, "NUL"),
        ("", {}, 404, ""),
        ("go", {"key": "é" * 257}, 422, "key: has 514 bytes, the limit is 512"),
        ("go", {"key": [1]}, 422, "key: a text or a number is wanted, not [1]"),
        ("go", {"key": True}, 422, "key: a text or a number is wanted, not true"),
        ("go", {"kye": "a"}, 422, "did you mean key?"),
        ("go", {"idempotencyKey": ""}, 422, "idempotencyKey"),
        ("go", {"idempotencyKey": "é" * 257}, 422, "idempotencyKey"),
        ("go", {"payload": [1] * 400_000}, 422, "payload: has 1200000 bytes of JSON, the limit is 1048576"),
        ("go", {"payload": "a" * 1_048_576}, 413, "the body is larger than 1048576 bytes"),
        ("go", [1], 422, "JSON object"),
        ("go?key=7", {}, 422, "key"),
    ],
)
async def test_what_cannot_be_sent_is_a_problem_and_nothing_is_kept(
    served: Client, connection: Connection, path: str, body: Any, status: int, told: str
) -> None:
    text = BytesIO(json.dumps(body, separators=(",", ":")).encode())
    answered, problem = await post(served, f"/api/signals/{path}", data=text, headers={"Content-Type": "application/json"})

    assert (answered, told in problem["detail"]) == (status, True), problem
    assert await kept(connection) == []


async def test_a_step_that_waits_is_shown_with_its_reason_by_the_interface_and_the_pages(
    served: Client, engine: Engine, connection: Connection
) -> None:
    await wait(connection, "f", name="payment", key="<order>", timeout=3600)
    await engine.look()

    status, flow = await get(served, "/api/flows/f")
    assert (status, flow["status"], flow["tasks"][0]["status"], flow["stalled"]) == (200, "wait", "wait", False)
    (item,) = (await get(served, "/api/flows/f/why"))[1]["items"]
    assert item["gate"] == "signal"
    assert item["reason"].startswith("waits for the signal 'payment' with key '<order>' since ")
    assert (await get(served, "/api/overview"))[1]["gates"]["signal"] == {"value": 1, "more": False}
    for path, words in [
        ("/flows/f?task=1", "waits for the signal &#39;payment&#39; with key &#39;&lt;order&gt;&#39; since"),
        ("/flows/f?view=timeline", "waited for a signal"),
        ("/", "for a signal"),
    ]:
        answer = await served.session.get(f"http://127.0.0.1:{served.port}{path}")
        page = await answer.text()
        assert (answer.status, words in page) == (200, True), (path, page)
