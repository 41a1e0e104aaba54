from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pytest
from aiohttp import ClientSession, web

from flower.core.model import Readiness
from flower.database.pool import Connection, Pool
from flower.database.store import Store
from flower.web import create_app, create_runner
from tests.web.asking import Client, get, post, send

NASTY = [
    "'\";--",
    "%s",
    "$1",
    "{0}",
    "../..",
    "a\nb\r\nX-Y: z",
    "\x1b[31m",
    "<img src=x onerror=alert(1)>",
    "花🌸",
    "x" * 3000,
    "1e999",
    "NaN",
    "-1",
    "\ufffe",
]


async def ready() -> Readiness:
    return Readiness("ok", "ok", "ok")


async def serve(store: Store) -> AsyncIterator[Client]:
    runner = create_runner(create_app(store=store, ready=ready, token=None, allowed_hosts=(), is_local=True))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    async with ClientSession() as session:
        yield Client(session, runner.addresses[0][1])
    await runner.cleanup()


@pytest.fixture
async def served(pool: Pool) -> AsyncIterator[Client]:
    """The interface over the test's own database, with three workflows and no worker."""
    await pool.execute(
        """INSERT INTO ms_task_definition (task_id, task_seq, program, task_priority, param1_key, param1_value)
           VALUES ('chain', 1, 'fetch', 3, 'url', 'x'), ('chain', 2, 'publish', 3, 'api_key', 'canary'), ('新/花', 1, 'fetch', 0, NULL, NULL)"""
    )
    async for client in serve(Store(pool)):
        yield client


async def count(connection: Connection, table: str) -> int:
    return int(await connection.fetchval(f"SELECT count(*) FROM {table}"))


async def test_an_accepted_flow_is_committed_before_the_answer(served: Client, connection: Connection) -> None:
    status, said = await post(served, "/register/chain", json={"parameters": {"url": "y"}, "priority": -20, "runAt": "2099-01-01T00:00:00+14:00"})

    assert status == 200
    rows = await connection.fetch("SELECT * FROM kr_task_stat WHERE task_flow_id = $1 ORDER BY task_exec_seq", said["taskFlowId"])
    assert [(row["task_priority"], row["program"], row["exec_status"]) for row in rows] == [(-20, "fetch", 0), (-20, "publish", 0)]
    assert json.loads(rows[0]["parameters"]) == {"url": "y"}
    assert rows[0]["run_after"].isoformat() == "2098-12-31T10:00:00+00:00"


async def test_the_curl_command_of_the_ancestor_works(served: Client, connection: Connection) -> None:
    curl = await asyncio.create_subprocess_exec(
        "curl", "-sS", "-X", "POST", f"localhost:{served.port}/register/新/花/", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await curl.communicate()

    assert (curl.returncode, err) == (0, b"")
    said = json.loads(out)
    assert (said["status"], said["taskId"]) == ("succeeded", "新/花")
    assert await connection.fetchval("SELECT task_id FROM kr_flow_stat WHERE task_flow_id = $1", said["taskFlowId"]) == "新/花"


async def test_a_refused_order_leaves_no_row(served: Client, connection: Connection) -> None:
    refused = [
        await post(served, "/register/chian"),
        await post(served, "/register/"),
        await post(served, "/register/chain%00"),
        await post(served, "/register/" + "x" * 257),
        await post(served, "/register/chain", json={"priority": 20}),
        await post(served, "/register/chain", json={"parameters": {"url": "a\0"}}),
        await post(served, "/register/chain", json={"parameters": {"url": "\ud800"}}),
        await post(served, "/register/chain", json={"runAt": "2026-11-24T14:00:00"}),
        await post(served, "/register/chain", data=b"{", headers={"Content-Type": "application/json"}),
        await post(served, "/register/chain", data=b"{}", headers={"Content-Type": "text/plain"}),
        await post(served, "/register/chain", headers={"Host": "evil.example"}),
    ]

    assert [status for status, _ in refused] == [404, 404, 422, 422, 422, 422, 422, 422, 400, 415, 421]
    assert all(said["status"] == "failed" for _, said in refused)
    assert "did you mean chain?" in refused[0][1]["description"]
    assert await count(connection, "kr_flow_stat") == await count(connection, "kr_task_stat") == 0


async def test_the_same_key_and_content_start_one_flow(served: Client, connection: Connection) -> None:
    order = {"parameters": {"url": "y"}, "runAt": "2099-01-01T00:00:00Z"}
    same = {"runAt": "2099-01-01T01:00:00+01:00", "parameters": {"url": "y"}, "idempotencyKey": "order-7"}

    answers = await asyncio.gather(*(post(served, "/register/chain", json=order, headers={"Idempotency-Key": "order-7"}) for _ in range(20)))
    answers.append(await post(served, "/register/chain", json=same))

    assert {status for status, _ in answers} == {200}
    assert len({said["taskFlowId"] for _, said in answers}) == 1
    assert sum("duplicate" not in said for _, said in answers) == 1
    assert await count(connection, "kr_flow_stat") == 1
    status, said = await post(served, "/register/chain", json={"parameters": {"url": "z"}}, headers={"Idempotency-Key": "order-7"})
    assert (status, said["status"]) == (409, "failed")
    assert await count(connection, "kr_flow_stat") == 1


async def test_orders_that_come_together_share_a_transaction(served: Client, connection: Connection) -> None:
    answers = await asyncio.gather(*(post(served, "/register/chain") for _ in range(50)))

    assert {status for status, _ in answers} == {200}
    assert await count(connection, "kr_flow_stat") == 50
    assert await connection.fetchval("SELECT count(DISTINCT xmin::text) FROM kr_flow_stat") < 25


async def test_a_bad_order_does_not_touch_those_that_came_with_it(served: Client, connection: Connection) -> None:
    asked = ["chain", "chian", "chain", "新/花"] * 10
    answers = await asyncio.gather(*(post(served, f"/register/{quote(workflow)}") for workflow in asked))

    assert [status for status, _ in answers] == [404 if workflow == "chian" else 200 for workflow in asked]
    assert [said["taskId"] for _, said in answers] == asked
    flows = {said["taskFlowId"]: said["taskId"] for status, said in answers if status == 200}
    rows = await connection.fetch("SELECT task_flow_id, task_id FROM kr_flow_stat")
    assert {row["task_flow_id"]: row["task_id"] for row in rows} == flows
    assert len(flows) == 30


async def test_the_largest_numbers_and_texts_come_back_as_they_went(served: Client) -> None:
    parameters = {"big": 2**1000, "tiny": 5e-324, "large": 1e22, "text": "é\u2028" * 1000, "deep": [[[{"a": [None, True]}]]]}
    _, said = await post(served, "/register/chain", json={"parameters": {"url": parameters}})

    _, task = await get(served, f"/api/flows/{said['taskFlowId']}/tasks/1")

    assert task["parameters"] == {"url": parameters}


async def test_flows_are_paged_from_the_newest(served: Client) -> None:
    ids = [(await post(served, "/register/chain"))[1]["taskFlowId"] for _ in range(5)]
    seen: list[str] = []
    after = ""
    while True:
        status, page = await get(served, f"/api/flows?limit=2{after}")
        assert status == 200
        seen += [flow["flowId"] for flow in page["items"]]
        if page["next"] is None:
            break
        after = f"&after={quote(page['next'])}"

    assert seen == ids[::-1]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("status=suspend", True),
        ("status=failed", True),
        ("outcome=failed", True),
        ("status=suspend&outcome=failed&workflow=chain", True),
        ("status=wait", False),
        ("outcome=approval", False),
        ("workflow=other", False),
    ],
)
async def test_flows_are_chosen_by_status_outcome_and_workflow(served: Client, connection: Connection, query: str, found: bool) -> None:
    await post(served, "/register/chain")
    await connection.execute("UPDATE kr_task_stat SET exec_status = 2, outcome = 'failed' WHERE task_exec_seq = 1")

    status, page = await get(served, f"/api/flows?{query}")

    assert (status, len(page["items"])) == (200, int(found))


async def test_the_failing_task_leads_with_its_error_and_secrets_stay_hidden(served: Client, connection: Connection) -> None:
    _, said = await post(served, "/register/chain")
    await connection.execute(
        """UPDATE kr_task_stat SET exec_status = 2, outcome = 'failed', error = '{"type": "ValueError", "message": "no", "token": "canary"}'
           WHERE task_exec_seq = 2"""
    )

    answer = await send(served, "GET", f"/api/flows/{said['taskFlowId']}")
    text = await answer.text()
    flow = json.loads(text)

    assert "canary" not in text
    assert flow["status"] == "suspend"
    assert flow["failing"] == flow["tasks"][1] | {"said": [], "commands": flow["failing"]["commands"]}
    assert (flow["failing"]["name"], flow["failing"]["error"]["message"], flow["failing"]["parameters"]) == ("publish", "no", {"api_key": "***"})
    assert "canary" not in await (await send(served, "GET", "/api/workflows/chain")).text()


async def test_why_names_the_gate_of_each_waiting_task(served: Client) -> None:
    _, said = await post(served, "/register/chain")

    status, shown = await get(served, f"/api/flows/{said['taskFlowId']}/why")

    assert status == 200
    assert [(item["seq"], item["name"]) for item in shown["items"]] == [(1, "fetch"), (2, "publish")]
    assert shown["items"][1]["gate"] == "dependencies"


async def test_rows_that_a_hand_has_spoilt_are_shown(served: Client, connection: Connection, pool: Pool) -> None:
    await connection.execute(
        r"""INSERT INTO kr_task_stat
                (task_flow_id, task_exec_seq, depends_task_exec_seq, task_id, task_seq, exec_status, parameters, registered_ts, started_ts)
            VALUES ('odd', 'NaN', -1, 'x', 'NaN', 42, '{"a": "\u0000", "b": "\ud800"}', 'infinity', '20000-01-01'),
                   ('odd', 1.5, -1, 'x', 1, 2, '[]', NULL, '-infinity'),
                   ('odd', 2, 1, 'x', 1, 0, 'null', NULL, NULL),
                   ('odd', 3, 1e200, 'x', 1e200, 0, ('{"token": "canary", "n": 1' || repeat('0', 5000) || '}')::json, NULL, NULL),
                   ('odd', 4, -1, 'x', 1, 9, (repeat('[', 3000) || repeat(']', 3000))::json, NULL, NULL)"""
    )

    # The engine gives rows that came by hand their flow.
    await Store(pool).cycle.turn(uuid4(), [], 0, look=True)

    for path in ("/api/flows", "/api/flows/odd", "/api/flows/odd/why", *(f"/api/flows/odd/tasks/{seq}" for seq in ("NaN", "1.5", "2", "3", "4"))):
        answer = await send(served, "GET", path)
        assert answer.status == 200, (path, await answer.text())
        assert "canary" not in await answer.text()


@pytest.mark.parametrize("text", NASTY)
async def test_nothing_that_a_stranger_writes_is_an_error_of_ours(served: Client, connection: Connection, text: str) -> None:
    path, flow = quote(text, safe=""), (await post(served, "/register/chain"))[1]["taskFlowId"]
    bodies: list[Any] = [{"idempotencyKey": text[:512]}, {"parameters": {text: text}}, {"runAt": text}, {text: text}]
    pages = [f"flows/{path}", f"flows/{path}/why", f"flows/{flow}/tasks/{path}", f"workflows/{path}", f"flows?{path}=1"]
    pages += [f"flows?{name}={path}" for name in ("status", "outcome", "workflow", "limit", "after", "odd")]
    asked: list[tuple[str, str, dict[str, Any]]] = [("POST", f"/register/{path}", {})]
    asked += [("POST", "/register/chain", {"json": body}) for body in bodies]
    asked += [("GET", f"/api/{page}", {}) for page in pages]

    for method, target, options in asked:
        answer = await send(served, method, target, **options)
        assert answer.status < 500, (method, target, await answer.text())
        assert "\x1b" not in await answer.text()
    assert await count(connection, "ms_task_definition WHERE task_id = 'chain'") == 2


@pytest.mark.parametrize(
    "cursor",
    [
        ["2026-11-24T08:30:00", "x"],
        ["2026-11-24T08:30:00+00:00", "a\0"],
        ["2026-11-24T08:30:00+00:00", "\ud800"],
        ["0001-01-01T00:00:00+14:00", "x"],
        ["9999-12-31T23:59:59-14:00", "x"],
        [None, "x"],
        [1, 2],
        ["x"],
        {},
        None,
        "text",
        [[[[]]]],
    ],
)
async def test_a_cursor_of_a_strangers_own_making_is_refused_or_harmless(served: Client, cursor: Any) -> None:
    after = base64.urlsafe_b64encode(json.dumps(cursor).encode()).decode().rstrip("=")

    status, _ = await get(served, f"/api/flows?after={after}")

    assert status in {200, 422}


async def test_a_database_that_is_away_is_503_for_everything_that_needs_it() -> None:
    async with Pool("postgresql://nobody@127.0.0.1:1/nothing", role="api") as pool:
        async for client in serve(Store(pool)):
            for method, path in (("POST", "/register/chain"), ("GET", "/api/flows"), ("GET", "/api/flows/x"), ("GET", "/api/workflows")):
                answer = await send(client, method, path)
                text = await answer.text()
                assert (answer.status, answer.headers["Retry-After"]) == (503, "2")
                assert "127.0.0.1" not in text
                assert "nobody" not in text
            assert (await get(client, "/healthz"))[0] == 200
