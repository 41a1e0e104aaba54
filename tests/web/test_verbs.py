"""POST /api/flows/{flowId}/rerun and its kin, on PostgreSQL."""

from __future__ import annotations

from typing import Any

import pytest

from flower.core.model import Outcome
from flower.core.status import Status, Why
from flower.database.pool import Connection, Pool
from flower.web.schemas import SCHEMAS
from tests.sql.engine import Engine
from tests.sql.test_verbs import DIAMOND, TAKES, fail
from tests.sql.test_workflows import code, register
from tests.web.asking import Client, get, post
from tests.web.test_end_to_end import served

__all__ = ["served"]


@pytest.fixture
async def engine(pool: Pool) -> Engine:
    return await Engine(pool).enroll("Ok")


@pytest.fixture
async def flow(connection: Connection, engine: Engine) -> str:
    await code(connection, DIAMOND, "one", parameters=TAKES)
    return await register(connection)


def fits(value: Any, schema: dict[str, Any]) -> None:
    if "properties" in schema:
        assert set(schema["required"]) <= set(value) <= set(schema["properties"]), value
        for name, part in value.items():
            fits(part, schema["properties"][name])
    elif "items" in schema:
        for item in value:
            fits(item, schema["items"])


async def test_a_failed_flow_is_planned_rerun_and_audited(served: Client, engine: Engine, connection: Connection, flow: str) -> None:
    await fail(engine, "left")

    status, plan = await post(served, f"/api/flows/{flow}/rerun", json={"dryRun": True})
    assert (status, [task["name"] for task in plan["run"]]) == (200, ["left", "join"])
    fits(plan, SCHEMAS["RunsAgain"])
    status, done = await post(served, f"/api/flows/{flow}/rerun", json={"ifUnchanged": plan["version"], "reason": "mended"})

    fits(done, SCHEMAS["RunsAgain"])
    assert (status, [task["name"] for task in done["run"]]) == (200, ["left", "join"])
    (audit,) = await connection.fetch("SELECT verb, who, reason FROM kr_audit")
    assert tuple(audit) == ("rerun", "http, on this machine", "mended")
    status, problem = await post(served, f"/api/flows/{flow}/rerun", json={"ifUnchanged": plan["version"]})
    assert (status, "moved on" in problem["detail"]) == (409, True)


async def test_every_verb_without_a_body(served: Client, engine: Engine, flow: str) -> None:
    claim = await engine.one()
    await engine.turn([Outcome(claim, Status.SUSPEND, Why.APPROVAL, '{"type": "Suspend", "message": "look"}')])

    for path, described, told in [
        ("/suspend", "Done", {}),
        ("/resume", "Done", {}),
        ("/tasks/load/retry", "DoneToTask", {"seq": 1}),
        ("/tasks/1/complete", "DoneToTask", {"name": "load"}),
        ("/tasks/left/ignore", "Ignored", {"seq": 2, "runs": []}),
        ("/cancel", "Cancelled", {"cancelled": [3, 4]}),
    ]:
        status, done = await post(served, f"/api/flows/{flow}{path}")
        assert (status, done) == (200, done | told)
        fits(done, SCHEMAS[described])
    assert (await get(served, f"/api/flows/{flow}"))[1]["status"] == "ignore"


@pytest.mark.parametrize(
    ("path", "body", "status", "told"),
    [
        ("/rerun", {"from": "lfet"}, 404, "did you mean left?"),
        ("/rerun", {"form": "left"}, 422, "did you mean from?"),
        ("/rerun", {"from": "join"}, 409, "has not run yet"),
        ("/rerun", {"from": "load", "only": 1}, 422, "only"),
        ("/rerun", {"definition": "newest"}, 422, "definition"),
        ("/resume", {}, 409, "is not suspended"),
        ("/tasks/load/retry", {}, 409, "is in status wait"),
        ("/tasks/9/ignore", {}, 404, "no task '9'"),
        ("/tasks/load/complete", {"result": "x", "reason": 7}, 422, "reason"),
    ],
)
async def test_what_does_not_fit_is_a_problem_and_changes_nothing(
    served: Client, connection: Connection, flow: str, path: str, body: dict[str, Any], status: int, told: str
) -> None:
    answered, problem = await post(served, f"/api/flows/{flow}{path}", json=body)

    assert (answered, told in problem["detail"]) == (status, True), problem
    assert await connection.fetchval("SELECT count(*) FROM kr_audit") == 0
    assert (await post(served, f"/api/flows/nope{path}", json={}))[0] == 404
