"""GET /api/overview, /api/workers, /api/history, /api/revisions and /api/differences, on PostgreSQL."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from flower.database.pool import Connection, Pool
from flower.web.schemas import SCHEMAS
from tests.sql.engine import Engine, put, write
from tests.web.asking import Client, get, post, send
from tests.web.test_end_to_end import served

__all__ = ["served"]

FLOWER = f"/register/{quote('新/花')}"


@pytest.fixture
async def engine(pool: Pool) -> Engine:
    """A worker with the programs of the workflows that are served."""
    return await Engine(pool).enroll("fetch", "publish")


def members(name: str) -> set[str]:
    assert set(SCHEMAS[name]["properties"]) == set(SCHEMAS[name]["required"])
    return set(SCHEMAS[name]["properties"])


async def asked(client: Client, target: str) -> Any:
    status, said = await get(client, target)
    assert status == 200, said
    return said


async def test_the_overview_says_how_it_goes_as_a_whole(served: Client, engine: Engine, connection: Connection) -> None:
    await post(served, "/register/chain")
    await post(served, "/register/chain")
    await engine.claim(1)
    await connection.execute("INSERT INTO kr_minute VALUES (date_trunc('minute', now()), gen_random_uuid(), 7, 2, 1)")

    said = await asked(served, "/api/overview")

    assert set(said) == members("Overview")
    assert set(said["minutes"][0]) == members("Minute")
    assert set(said["checks"]) == members("Checks")
    assert said["tasks"] == {"wait": {"value": 3, "more": False}, "running": {"value": 1, "more": False}, "suspend": {"value": 0, "more": False}}
    assert {word: count["value"] for word, count in said["flows"].items()} == {"wait": 1, "running": 1, "suspend": 0}
    assert {gate: count["value"] for gate, count in said["gates"].items() if count["value"]} == {"slot": 1, "dependencies": 2}
    assert 0 <= said["lagSeconds"] < 60
    assert len(said["minutes"]) == 60
    assert [sum(minute[what] for minute in said["minutes"]) for what in ("finished", "failed", "retried")] == [7, 2, 1]
    assert said["notices"] == []
    assert said["database"]["bytes"] > said["database"]["tables"]["kr_task_stat"] > 0


async def test_the_overview_warns_where_tasks_wait_and_nobody_works(served: Client) -> None:
    await post(served, "/register/chain")

    assert [notice["kind"] for notice in (await asked(served, "/api/overview"))["notices"]] == ["workers"]


async def test_a_worker_is_shown_with_what_it_runs_and_what_it_noticed(served: Client, engine: Engine, connection: Connection) -> None:
    await write(connection, "f", 1, program="fetch")
    claim = await engine.one()
    await engine.store.workers.notice(claim, kind="LoopBlocked", message="it blocked", where="app.py:1 in f")

    (worker,) = (await asked(served, "/api/workers"))["items"]

    assert set(worker) == members("Worker")
    assert (worker["workerId"], worker["running"], worker["slots"], worker["programs"]) == (str(engine.worker_id), 1, 100, ["fetch", "publish"])
    (noticed,) = worker["noticed"]
    assert set(noticed) == members("Noticed")
    assert (noticed["flowId"], noticed["seq"], noticed["notice"]["where"]) == ("f", 1, "app.py:1 in f")
    assert [notice["kind"] for notice in (await asked(served, "/api/overview"))["notices"]] == ["task"]


async def test_a_history_is_found_under_a_name_with_slashes_and_in_the_list(served: Client, engine: Engine, connection: Connection) -> None:
    for _ in range(25):
        await post(served, FLOWER)
    await engine.run_all()
    _, flow = await post(served, FLOWER)
    await engine.look()
    await put(connection, flow["taskFlowId"], 1, 2)

    said = await asked(served, f"/api/history/{quote('新/花')}")

    assert set(said) == members("History")
    assert set(said["flows"][0]) == members("PastFlow")
    assert (len(said["flows"]), said["lookedAt"], said["finished"], said["failed"], said["successRate"]) == (20, 26, 25, 0, 1.0)
    assert (said["flows"][-1]["flowId"], said["flows"][-1]["status"]) == (flow["taskFlowId"], "suspend")
    assert 0 < said["p50Seconds"] <= said["p95Seconds"]
    listed = await asked(served, "/api/history")
    assert [item["workflow"] for item in listed["items"]] == ["chain", "example", "hello", "新/花"]
    assert listed["items"][-1] == said
    assert listed["next"] is None


async def test_histories_come_in_parts(served: Client) -> None:
    first = await asked(served, "/api/history?limit=3")
    rest = await asked(served, f"/api/history?limit=3&after={first['next']}")

    assert [item["workflow"] for item in first["items"] + rest["items"]] == ["chain", "example", "hello", "新/花"]
    assert (first["next"], rest["next"]) == ("hello", None)


async def test_revisions_are_shown_with_their_secrets_hidden_and_compared(served: Client, connection: Connection) -> None:
    step = {"seq": 1, "program": "fetch", "parameters": {"url": "x", "api_key": "canary"}}
    for url, takes in (("x", {}), ("y", {"token": {"default": "canary"}}), ("z", {"token": {"default": "canary"}})):
        body = {"steps": [{**step, "parameters": {**step["parameters"], "url": url}}], "parameters": takes}  # type: ignore[dict-item]
        assert (await send(served, "PUT", "/api/workflows/a/history", json=body)).status == 200

    said = await asked(served, "/api/revisions/a/history?limit=2")

    assert set(said["items"][0]) == members("Revision")
    assert "canary" not in str(said)
    assert [(item["revision"], item["current"], item["source"]) for item in said["items"]] == [(3, True, "http"), (2, False, "http")]
    assert said["items"][0]["steps"][0]["parameters"] == {"url": "z", "api_key": "***"}
    older = await asked(served, f"/api/revisions/a/history?limit=2&after={said['next']}")
    assert ([item["revision"] for item in older["items"]], older["next"]) == ([1], None)

    changed = await asked(served, "/api/differences/a/history")
    assert set(changed) == members("Difference")
    assert (changed["old"], changed["new"], changed["whole"]) == (2, 3, [])
    assert changed["steps"] == [
        {"name": "fetch", "kind": "changed", "changes": [{"field": "parameters.url", "kind": "changed", "old": "y", "new": "z"}]}
    ]
    whole = (await asked(served, "/api/differences/a/history?old=1&new=3"))["whole"]
    assert whole == [{"field": "parameters.token", "kind": "added", "old": None, "new": {"default": "***"}}]
    assert set(whole[0]) == members("Change")


@pytest.mark.parametrize(
    ("target", "status", "detail"),
    [
        ("/api/history/chian", 404, "did you mean chain?"),
        ("/api/revisions/chian", 404, "did you mean chain?"),
        ("/api/differences/chian", 404, "did you mean chain?"),
        ("/api/differences/chain?new=9", 404, "has no revision 9"),
        ("/api/differences/chain?old=9", 404, "has no revision 9"),
        ("/api/differences/chain", 422, "first revision"),
        ("/api/revisions/chain?limit=51", 422, "limit"),
        ("/api/revisions/chain?after=99999999999", 422, "after"),
        ("/api/history?limit=0", 422, "limit"),
        ("/api/overview?minutes=3", 422, "minutes"),
        ("/api/workers?limit=3", 422, "limit"),
    ],
)
async def test_what_cannot_be_answered_is_refused_with_the_reason(served: Client, target: str, status: int, detail: str) -> None:
    found, said = await get(served, target)

    assert (found, said["status"]) == (status, status)
    assert detail in said["detail"]
