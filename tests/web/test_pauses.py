"""POST /api/pause, POST /api/unpause and GET /api/pauses, on PostgreSQL."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from flower.core.model import Readiness
from flower.database.pool import Connection, Pool
from flower.web.schemas import SCHEMAS
from tests.sql.engine import Engine, define, write
from tests.web.asking import Client, Connect, get, post
from tests.web.test_end_to_end import served
from tests.web.test_verbs import fits

__all__ = ["served"]


@pytest.fixture
async def engine(pool: Pool) -> Engine:
    return await Engine(pool).enroll("Ok")


async def test_what_is_paused_is_listed_shown_by_its_workflow_and_goes_on(served: Client, engine: Engine, connection: Connection) -> None:
    await define(connection, "mine", {})
    await write(connection, "f", 1, task_id="mine")
    until = (datetime.now(UTC) + timedelta(hours=1)).replace(microsecond=0)

    status, done = await post(served, "/api/pause", json={"workflow": "mine", "reason": "vendor outage", "until": until.isoformat()})

    assert (status, done["kind"], done["name"], done["reason"], done["by"]) == (200, "workflow", "mine", "vendor outage", "http, on this machine")
    assert datetime.fromisoformat(done["until"]) == until
    fits(done, SCHEMAS["Paused"])
    assert (await get(served, "/api/pauses")) == (200, {"items": [done], "next": None})
    assert (await get(served, "/api/workflows/mine"))[1]["paused"] == done
    assert await engine.claim() == []
    assert "vendor outage" in (await get(served, "/api/flows/f/why"))[1]["items"][0]["reason"]
    assert await post(served, "/api/unpause", json={"workflow": "mine"}) == (200, {"kind": "workflow", "name": "mine", "everythingPaused": False})
    assert len(await engine.claim()) == 1
    assert (await get(served, "/api/workflows/mine"))[1]["paused"] is None


@pytest.mark.parametrize("body", [{"program": "Ok"}, {"limit": "tenant:*"}, {"all": True}])
async def test_each_kind_is_paused_and_unpaused_in_the_same_words(served: Client, connection: Connection, body: dict[str, Any]) -> None:
    assert (await post(served, "/api/pause", json=body))[0] == 200
    assert await connection.fetchval("SELECT count(*) FROM ms_pause") == 1
    assert (await post(served, "/api/unpause", json=body))[0] == 200
    assert await connection.fetchval("SELECT count(*) FROM ms_pause") == 0
    status, problem = await post(served, "/api/unpause", json=body)
    assert (status, "is not paused" in problem["detail"]) == (409, True)


async def test_the_workflow_that_a_get_answers_is_taken_by_a_put(served: Client, connection: Connection) -> None:
    await post(served, "/api/pause", json={"all": True})
    _, workflow = await get(served, "/api/workflows/chain")
    workflow["steps"][1]["parameters"] = {}

    answer = await served.session.put(f"http://127.0.0.1:{served.port}/api/workflows/chain", json=workflow)

    assert answer.status == 200, await answer.text()


@pytest.mark.parametrize(
    ("path", "body", "status", "told"),
    [
        ("/api/pause", None, 422, "must name one"),
        ("/api/pause", {"workflow": "chain", "all": True}, 422, "must name one"),
        ("/api/pause", {"all": "yes"}, 422, "valid boolean"),
        ("/api/pause", {"workflow": 5}, 422, "valid string"),
        ("/api/pause", {"worflow": "chain"}, 422, "did you mean workflow"),
        ("/api/pause", {"workflow": "chian"}, 404, "did you mean chain"),
        ("/api/pause", {"workflow": "chain", "until": "2020-01-01T00:00:00Z"}, 422, "is over"),
        ("/api/pause", {"workflow": "chain", "until": "2030-01-01T00:00:00"}, 422, "without its zone"),
        ("/api/pause", {"workflow": "chain", "until": "20000-01-01T00:00:00Z"}, 422, "ISO 8601"),
        ("/api/pause", {"limit": "x" * 257}, 422, "1 to 256 characters"),
        ("/api/unpause", {"workflow": "chain"}, 409, "is not paused"),
        ("/api/unpause", {"workflow": "chain", "until": "2030-01-01T00:00:00Z"}, 422, "unknown field"),
    ],
)
async def test_wrong_input_is_a_problem_and_nothing_is_paused(
    served: Client, connection: Connection, path: str, body: Any, status: int, told: str
) -> None:
    found, problem = await post(served, path, **({} if body is None else {"json": body}))

    assert (found, told in problem["detail"]) == (status, True), problem
    assert await connection.fetchval("SELECT count(*) FROM ms_pause") == 0


async def test_the_list_comes_in_parts(served: Client) -> None:
    for name in ("b", "a", "c"):
        await post(served, "/api/pause", json={"program": name})

    _, first = await get(served, "/api/pauses?limit=2")
    _, second = await get(served, f"/api/pauses?limit=2&after={first['next']}")

    assert [[item["name"] for item in part["items"]] for part in (first, second)] == [["a", "b"], ["c"]]
    assert second["next"] is None
    fits(first, SCHEMAS["PauseList"])
    assert (await get(served, "/api/pauses?after=x"))[0] == 422


async def test_a_pause_is_told_and_makes_nobody_unready(connect: Connect) -> None:
    client = await connect(ready=Readiness("ok", "ok", "ok", pauses="everything is paused"))

    status, told = await get(client, "/readyz")

    assert (status, told["status"], told["checks"]["pauses"]) == (200, "ready", "everything is paused")
