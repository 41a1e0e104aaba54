"""PUT and DELETE /api/workflows: what they take, what they refuse, and that what GET says can be sent back."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from flower.core.definition import DefinedStep, Definition
from flower.database.pool import Connection
from tests.web.asking import Client, get, send
from tests.web.memory import Workflows
from tests.web.test_end_to_end import served

__all__ = ["served"]

STEPS = [
    {"seq": 1, "program": "fetch", "parameters": {"api_key": {"$env": "KEY"}}},
    {"seq": 2, "name": "out", "program": "publish", "dependsOn": [1], "parameters": {"page": {"$task": "fetch"}}},
]


async def put(client: Client, target: str, body: Any) -> tuple[int, Any]:
    answer = await send(client, "PUT", target, json=body)
    return answer.status, await answer.json(content_type=None)


async def delete(client: Client, target: str) -> tuple[int, Any]:
    answer = await send(client, "DELETE", target)
    return answer.status, await answer.json(content_type=None)


async def test_a_definition_reaches_the_store_whole(client: Client, workflows: Workflows) -> None:
    status, _ = await put(client, "/api/workflows/news/digest", {"steps": STEPS, "parameters": {"n": {"default": 1}}, "result": {"$task": "out"}})

    assert status == 200
    steps = (
        DefinedStep(Decimal(1), None, "fetch", None, {"api_key": {"$env": "KEY"}}),
        DefinedStep(Decimal(2), "out", "publish", (Decimal(1),), {"page": {"$task": "fetch"}}),
    )
    assert workflows.defined == [Definition("news/digest", steps, {"n": {"default": 1}}, {"$task": "out"})]


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, "steps"),
        ({"steps": []}, "steps"),
        ({"steps": [{"program": "x"}]}, "steps[0].seq"),
        ({"steps": [{"seq": "1", "program": "x"}]}, "steps[0].seq"),
        ({"steps": [{"seq": 1}]}, "steps[0].program"),
        ({"steps": [{"seq": 1, "program": ""}]}, "steps[0].program"),
        ({"steps": [{"seq": 1, "program": "x", "after": []}]}, "steps[0].after"),
        ({"steps": [{"seq": 1, "program": "x", "priority": 20}]}, "steps[0].priority"),
        ({"steps": [{"seq": 1, "program": "x"}, {"seq": 1.0, "program": "y"}]}, "steps"),
        ({"steps": [{"seq": 1, "program": "x"}], "parameters": []}, "parameters"),
        ({"steps": [{"seq": 1, "program": "x", "parameters": {"deep": [{"api_key": "***"}]}}]}, "steps[0].parameters"),
    ],
)
async def test_a_body_of_the_wrong_form_is_refused_with_its_path(client: Client, workflows: Workflows, body: Any, path: str) -> None:
    status, problem = await put(client, "/api/workflows/w", body)

    assert status == 422
    assert path in [error["path"] for error in problem["errors"]]
    assert workflows.defined == []


async def test_only_what_is_there_is_removed(client: Client, workflows: Workflows) -> None:
    assert (await delete(client, "/api/workflows/nope"))[0] == 404
    assert await delete(client, "/api/workflows/news/digest") == (200, {"workflow": "news/digest", "removed": True})
    assert workflows.removed == ["news/digest"]


async def test_on_postgresql_what_get_says_can_be_put_back_and_makes_no_revision(served: Client, connection: Connection) -> None:
    status, first = await put(served, "/api/workflows/made", {"steps": STEPS, "parameters": {}, "result": {"$task": "out", "path": ["url"]}})
    assert (status, first["revision"]) == (200, 1)
    assert [(step["seq"], step["name"], step["dependsOn"]) for step in first["steps"]] == [(1, "fetch", None), (2, "out", [1])]

    again = await put(served, "/api/workflows/made", (await get(served, "/api/workflows/made"))[1])

    assert again == (200, first | {"steps": first["steps"]})
    assert await connection.fetchval("SELECT count(*) FROM ms_workflow_revision WHERE task_id = 'made'") == 1


@pytest.mark.parametrize(
    ("steps", "path", "told"),
    [
        ([{"seq": 1, "program": "a", "dependsOn": [2]}, {"seq": 2, "program": "b", "dependsOn": [1]}], "steps", "circle: a → b → a"),
        ([{"seq": 1, "program": "a", "dependsOn": [9]}], "steps[1].dependsOn", "no step 9"),
        ([{"seq": 1, "program": "a", "parameters": {"x": [{"$task": "b"}]}}], "steps[1].parameters.x[0]", "no step 'b'"),
        ([{"seq": 1, "program": "a", "parameters": {"x": {"$task": "a"}}}], "steps[1].parameters.x", "does not come before"),
        ([{"seq": 1, "program": "a", "parameters": {"x": {"$task": 1}}}], "parameters.x", "is no reference"),
        ([{"seq": 1, "program": "a", "name": "n"}, {"seq": 2, "program": "b", "name": "n"}], "steps", "name 'n'"),
    ],
)
async def test_on_postgresql_a_graph_that_cannot_be_is_refused_and_nothing_is_written(
    served: Client, connection: Connection, steps: list[Any], path: str, told: str
) -> None:
    status, problem = await put(served, "/api/workflows/odd", {"steps": steps})

    assert status == 422
    assert [error["path"] for error in problem["errors"]] == [path]
    assert told in problem["detail"]
    assert await connection.fetchval("SELECT count(*) FROM ms_task_definition WHERE task_id = 'odd'") == 0
    assert await connection.fetchval("SELECT count(*) FROM ms_workflow WHERE task_id = 'odd'") == 0


async def test_on_postgresql_a_removed_workflow_is_unknown_and_its_flows_stay(served: Client, connection: Connection) -> None:
    await put(served, "/api/workflows/made", {"steps": STEPS})
    flow = await connection.fetchval("SELECT flower_register('made')")

    assert (await delete(served, "/api/workflows/made"))[0] == 200

    assert (await send(served, "POST", "/register/made")).status == 404
    assert [task["name"] for task in (await get(served, f"/api/flows/{flow}"))[1]["tasks"]] == ["fetch", "out"]


async def test_what_a_step_says_of_its_attempts_comes_back_as_it_was_written(served: Client) -> None:
    said = {
        "attempts": 3,
        "backoff": {"first": 2, "jitter": 0},
        "retryOn": ["TimeoutError"],
        "giveUpOn": ["app.Busy"],
        "timeout": 1.5,
        "onLost": "suspend",
    }
    steps = [{"seq": 1, "program": "Ok", **said}, {"seq": 2, "program": "Ok", "backoff": 7}]

    status, answer = await put(served, "/api/workflows/w", {"steps": steps})

    assert status == 200
    first, second = answer["steps"]
    assert {name: first[name] for name in said} == said
    assert second["backoff"] == 7
    assert "attempts" not in second
    assert (await put(served, "/api/workflows/w", answer))[1] == answer


@pytest.mark.parametrize("said", [{"attempts": 0}, {"backoff": {"second": 1}}, {"backoff": -1}, {"timeout": 0}, {"onLost": "again"}])
async def test_attempts_that_make_no_sense_are_refused(client: Client, said: dict[str, object]) -> None:
    status, answer = await put(client, "/api/workflows/w", {"steps": [{"seq": 1, "program": "Ok", **said}]})

    assert status == 422
    assert answer["errors"][0]["path"].startswith("steps[")
