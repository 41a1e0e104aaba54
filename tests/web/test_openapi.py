from __future__ import annotations

from decimal import Decimal
from typing import Any

from flower.core import shapes
from flower.core.model import Page, Waiting
from flower.core.status import Status
from flower.web.openapi import ANSWERS
from flower.web.schemas import SCHEMAS
from tests.web.asking import Client, get
from tests.web.memory import FLOW, MORNING, Flows, Workflows, a_flow, a_task


async def described(client: Client) -> Any:
    status, document = await get(client, "/openapi.json")
    assert status == 200
    return document


def references(value: Any) -> set[str]:
    if isinstance(value, list):
        return set().union(*map(references, value))
    if isinstance(value, dict):
        return set().union(*map(references, value.values())) | ({value["$ref"]} if "$ref" in value else set())
    return set()


async def test_every_route_is_described_with_its_input_and_its_answer(client: Client) -> None:
    paths = (await described(client))["paths"]

    assert set(paths) == set(ANSWERS) | {"/openapi.json", "/api/events"}
    for path, operations in paths.items():
        for operation in operations.values():
            assert operation["summary"].endswith(".")
            named = {parameter["name"] for parameter in operation["parameters"] if parameter["in"] == "path"}
            assert named == {part.partition("}")[0] for part in path.split("{")[1:]}
            assert set(operation["responses"]) >= {"200", "default"}


async def test_every_reference_leads_somewhere(client: Client) -> None:
    document = await described(client)

    assert references(document) == {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}


async def test_the_input_is_described_by_the_models_that_read_it(client: Client) -> None:
    document = await described(client)

    body = document["components"]["schemas"]["Registration"]
    assert set(body["properties"]) == {"parameters", "priority", "runAt", "idempotencyKey", "unique"}
    assert body["additionalProperties"] is False
    assert (body["properties"]["priority"]["minimum"], body["properties"]["priority"]["maximum"]) == (-20, 19)
    assert body["properties"]["runAt"] | {"description": ""} == {"type": "string", "format": "date-time", "title": "Runat", "description": ""}
    listed = {parameter["name"] for parameter in document["paths"]["/api/flows"]["get"]["parameters"]}
    assert listed == {"status", "outcome", "workflow", "text", "since", "until", "limit", "after"}


async def test_health_is_said_to_need_no_token(client: Client) -> None:
    paths = (await described(client))["paths"]

    assert [path for path in paths if paths[path].get("get", {}).get("security") == []] == ["/healthz", "/readyz"]


async def test_answers_have_exactly_the_members_that_are_described(client: Client, flows: Flows) -> None:
    flows.one = a_flow(status=Status.SUSPEND, failing="fetch")
    flows.its_tasks = (a_task(status=Decimal(2), outcome="failed"),)
    shown = {
        "Task": shapes.task(a_task()),
        "Flow": shapes.flow(a_flow()),
        "FlowWithTasks": (await get(client, f"/api/flows/{FLOW}"))[1],
        "Failing": (await get(client, f"/api/flows/{FLOW}"))[1]["failing"],
        "Attempt": (await get(client, f"/api/flows/{FLOW}/tasks/1/attempts"))[1]["items"][0],
        "AttemptList": (await get(client, f"/api/flows/{FLOW}/tasks/1/attempts"))[1],
        "Waiting": shapes.waiting(Waiting(Decimal(1), "x", None, ("x",))),
        "Workflow": shapes.workflow(Workflows.digest),
        "Step": shapes.step(Workflows.digest.steps[0]),
        "FlowList": shapes.page(Page((), None, searched_to=MORNING)),
        "Ready": (await get(client, "/readyz"))[1],
        "Problem": (await get(client, "/nothing"))[1],
    }

    for name, value in shown.items():
        assert set(value) == set(SCHEMAS[name]["properties"]), name
        assert set(value) - {"searchedTo"} == set(SCHEMAS[name]["required"]), name
