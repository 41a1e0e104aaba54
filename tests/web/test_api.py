from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from flower.core.errors import DatabaseLost, FieldError, Invalid
from flower.core.model import Page, Waiting
from flower.core.status import Gate, Status
from tests.web.asking import Client, get, send
from tests.web.memory import FLOW, MORNING, Flows, a_flow, a_task

THE_FLOW = {
    "flowId": FLOW,
    "workflow": "example",
    "status": "finish",
    "outcome": None,
    "stalled": False,
    "priority": -5,
    "registeredAt": "2026-11-24T08:30:00.250000Z",
    "finishedAt": "2026-11-24T08:30:00.250000Z",
    "stoppedAt": None,
    "counts": {"finish": 1},
    "failing": None,
    "revision": None,
    "suspended": None,
    "schedule": None,
    "scheduledFor": None,
}

THE_TASK = {
    "flowId": FLOW,
    "seq": 1,
    "stepSeq": 1,
    "workflow": "example",
    "name": "fetch",
    "program": "fetch",
    "status": "finish",
    "outcome": None,
    "attempt": 1,
    "tries": 0,
    "attempts": 1,
    "crashes": 0,
    "priority": 0,
    "dependsOn": [],
    "worker": "00000000-0000-0000-0000-000000000007",
    "parameters": {"url": "https://example.org"},
    "result": {"score": 1},
    "error": None,
    "notice": None,
    "progress": None,
    "registeredAt": "2026-11-24T08:30:00.250000Z",
    "startedAt": "2026-11-24T08:30:00.250000Z",
    "finishedAt": "2026-11-24T08:30:00.250000Z",
    "suspendedAt": None,
    "runAfter": None,
    "place": None,
}


ORDER_OF_A_MORNING = {"text": 'Order "%"', "since": MORNING, "until": MORNING + timedelta(seconds=0.75)}
ASKED_FOR_ANY = {"status": None, "outcome": None, "workflow": None, "text": None, "since": None, "until": None, "limit": 50, "after": None}


async def test_flows_come_in_parts(client: Client, flows: Flows) -> None:
    assert await get(client, "/api/flows") == (200, {"items": [THE_FLOW], "next": "more"})
    assert flows.lists == [ASKED_FOR_ANY]


async def test_a_part_that_stopped_early_says_how_far_it_looked(client: Client, flows: Flows) -> None:
    flows.page = Page((), "more", searched_to=MORNING)

    assert await get(client, "/api/flows?text=x") == (200, {"items": [], "next": "more", "searchedTo": "2026-11-24T08:30:00.250000Z"})


@pytest.mark.parametrize(
    ("query", "asked"),
    [
        ("status=failed", {"status": "failed"}),
        ("status=suspend&outcome=approval", {"status": "suspend", "outcome": "approval"}),
        ("text=Order%20%22%25%22&since=2026-11-24T09:30:00.25%2B01:00&until=2026-11-24T08:30:01Z", ORDER_OF_A_MORNING),
        ("workflow=a%2Fb%20%E8%8A%B1&limit=500&after=xyz", {"workflow": "a/b 花", "limit": 500, "after": "xyz"}),
    ],
)
async def test_flows_are_chosen_by_the_query(client: Client, flows: Flows, query: str, asked: dict[str, Any]) -> None:
    status, _ = await get(client, f"/api/flows?{query}")

    assert status == 200
    assert flows.lists == [ASKED_FOR_ANY | asked]


@pytest.mark.parametrize(
    ("query", "path", "told"),
    [
        ("limit=0", "limit", "greater than or equal to 1"),
        ("limit=501", "limit", "less than or equal to 500"),
        ("limit=many", "limit", "integer"),
        ("after=" + "x" * 6001, "after", "at most 6000"),
        ("text=" + "x" * 257, "text", "at most 256"),
        ("since=yesterday", "since", "ISO 8601"),
        ("since=2026-11-24T14:00:00", "since", "without its zone"),
        ("until=2026-11-24T14:00:00+01:00", "until", "ISO 8601"),
        ("until=0001-01-01T00:00:00%2B14:00", "until", "between 1 and 9999"),
        ("until=1764000000", "until", "ISO 8601"),
        ("wrokflow=x", "wrokflow", "did you mean workflow?"),
        ("limit=1&limit=2", "limit", "more than once"),
        ("workflow=a%00", "workflow", "NUL"),
        ("work%00flow=a", "work\0flow", "NUL"),
    ],
)
async def test_a_query_that_does_not_fit_is_a_problem_with_its_path(client: Client, flows: Flows, query: str, path: str, told: str) -> None:
    status, problem = await get(client, f"/api/flows?{query}")

    assert (status, problem["status"], problem["title"]) == (422, 422, "Unprocessable Content")
    assert [error["path"] for error in problem["errors"]] == [path]
    assert told in problem["errors"][0]["message"]
    assert not flows.lists


@pytest.mark.parametrize(
    "path", [f"/api/flows/{FLOW}", f"/api/flows/{FLOW}/why", f"/api/flows/{FLOW}/tasks/1", "/api/workflows", "/api/workflows/news/digest"]
)
async def test_a_query_parameter_that_means_nothing_is_refused(client: Client, path: str) -> None:
    assert (await get(client, path))[0] == 200

    status, problem = await get(client, f"{path}?limit=1")

    assert (status, problem["errors"][0]["path"]) == (422, "limit")


@pytest.mark.parametrize("path", ["/api/flows/a%00", f"/api/flows/{FLOW}/tasks/a%00", "/api/flows/a%00/why", "/api/workflows/a%00"])
async def test_a_nul_in_the_path_never_reaches_the_database(client: Client, path: str) -> None:
    status, problem = await get(client, path)

    assert (status, len(problem["errors"])) == (422, 1)
    assert "NUL" in problem["detail"]


async def test_a_flow_shows_its_tasks(client: Client) -> None:
    assert await get(client, f"/api/flows/{FLOW}") == (
        200,
        THE_FLOW | {"parameters": {"url": "u", "api_key": "***"}, "result": None, "tasks": [THE_TASK]},
    )


async def test_the_task_that_failed_comes_first(client: Client, flows: Flows) -> None:
    error = {"type": "ValueError", "message": "no such page", "traceback": "…"}
    flows.one = a_flow(status=Status.SUSPEND, stalled=True, failing="render")
    approval = a_task("1", "render", status=Decimal(2), outcome="approval")
    flows.its_tasks = (approval, a_task("2", "render", status=Decimal(2), outcome="failed", result=None, error=error))

    answer = await send(client, "GET", f"/api/flows/{FLOW}")
    shown = json.loads(await answer.text())

    assert list(shown).index("failing") < list(shown).index("tasks")
    said, commands = shown["failing"].pop("said"), shown["failing"].pop("commands")
    assert [line["message"] for line in said] == ["hm"]
    assert commands == {"rerun": f"python -m flower rerun {FLOW} --from 2", "ignore": f"python -m flower ignore {FLOW} 2 --reason …"}
    assert shown["failing"] == shown["tasks"][1]
    assert shown["failing"]["error"] == error
    _, page = await get(client, "/api/flows")
    assert page["items"][0]["failing"] == {"name": "render"}


@pytest.mark.parametrize(
    ("step", "name"),
    [("1", "fetch"), ("fetch", "fetch"), ("1.5", "a/b 花"), ("1.50", "a/b 花"), ("a%2Fb%20%E8%8A%B1", "a/b 花"), ("2", "7"), ("7", "7")],
)
async def test_a_task_is_found_by_its_seq_or_its_name(client: Client, flows: Flows, step: str, name: str) -> None:
    flows.its_tasks = (a_task(), a_task("1.5", "a/b 花"), a_task("2", "7"))

    status, shown = await get(client, f"/api/flows/{FLOW}/tasks/{step}")

    assert (status, shown["name"]) == (200, name)


async def test_earlier_attempts_of_a_task_come_without_their_secrets(client: Client) -> None:
    was = {
        "attempt": 1,
        "status": "wait",
        "outcome": "failed",
        "startedAt": THE_TASK["startedAt"],
        "endedAt": THE_TASK["finishedAt"],
        "worker": THE_TASK["worker"],
    }
    error = {"type": "ValueError", "api_key": "***"}

    assert await get(client, f"/api/flows/{FLOW}/tasks/fetch/attempts") == (200, {"items": [{**was, "result": None, "error": error}], "next": None})


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/api/flows/nonsense", "no flow 'nonsense'"),
        (f"/api/flows/{FLOW[:8]}", "no flow"),
        ("/api/flows/nonsense/why", "no flow 'nonsense'"),
        ("/api/flows/nonsense/tasks/1", "no flow 'nonsense'"),
        (f"/api/flows/{FLOW}/tasks/fetsh", "did you mean fetch?"),
        (f"/api/flows/{FLOW}/tasks/9/attempts", "no task '9'"),
        ("/api/flows/nonsense/tasks/1/attempts", "no flow 'nonsense'"),
        (f"/api/flows/{FLOW}/tasks/sNaN", "no task 'sNaN'"),
        ("/api/workflows/news", "did you mean news/digest?"),
        ("/api/nothing", "GET /openapi.json"),
        ("/api/flows/", "GET /openapi.json"),
        ("/registerexample", "GET /openapi.json"),
        ("/%2e%2e%2fetc%2fpasswd", "GET /openapi.json"),
    ],
)
async def test_what_is_not_there_is_a_problem(client: Client, path: str, told: str) -> None:
    answer = await send(client, "GET", path)
    problem = await answer.json(content_type=None)

    assert (answer.status, answer.content_type) == (404, "application/problem+json")
    assert list(problem) == ["type", "title", "status", "detail", "errors"]
    assert (problem["type"], problem["title"], problem["status"], problem["errors"]) == ("about:blank", "Not Found", 404, [])
    assert told in problem["detail"]


async def test_why_says_for_each_waiting_task_what_it_waits_for(client: Client, flows: Flows) -> None:
    flows.waits = (
        Waiting(Decimal(2), "publish", Gate.DEPENDENCIES, ("waits for fetch", "and for a person")),
        Waiting(Decimal("NaN"), "odd", None, ("stands still",)),
    )

    status, shown = await get(client, f"/api/flows/{FLOW}/why")

    assert status == 200
    assert shown["next"] is None
    assert shown["items"] == [
        {"seq": 2, "name": "publish", "gate": "dependencies", "reason": "waits for fetch", "reasons": ["waits for fetch", "and for a person"]},
        {"seq": "NaN", "name": "odd", "gate": None, "reason": "stands still", "reasons": ["stands still"]},
    ]


async def test_nothing_waits_in_a_flow_that_is_done(client: Client, flows: Flows) -> None:
    flows.waits = ()

    assert await get(client, f"/api/flows/{FLOW}/why") == (200, {"items": [], "next": None})


async def test_workflows_show_their_steps_with_secrets_masked(client: Client) -> None:
    step = {
        "seq": 1.5,
        "name": "fetch",
        "program": "fetch",
        "priority": 0,
        "dependsOn": None,
        "parameters": {"url": "x", "api_key": "***"},
        "limits": None,
        "known": False,
        "place": None,
    }
    digest = {
        "workflow": "news/digest",
        "revision": 0,
        "parameters": None,
        "result": None,
        "timeout": None,
        "maxFlows": None,
        "paused": None,
        "steps": [step],
    }

    assert await get(client, "/api/workflows") == (200, {"items": [digest], "next": None})
    assert await get(client, "/api/workflows/news/digest") == (200, digest)
    assert await get(client, "/api/workflows/news%2Fdigest/") == (200, digest)


async def test_a_spoilt_row_is_shown_and_breaks_nothing(client: Client, flows: Flows) -> None:
    deep: Any = "bottom"
    for _ in range(900):
        deep = [deep]
    flows.its_tasks = (
        a_task(
            "1.5",
            status=Decimal(42),
            priority=Decimal("Infinity"),
            program=None,
            parameters={"n": float("inf"), "half": "\ud800", "deep": deep, "Password": "canary"},
            result={"token": {"a": "canary"}, "BODY": '{"api_key": "canary"}'},
            error={"parameters": {"SMTP_PASSWORD": "canary"}},
            depends_on=(Decimal("1E+400"), Decimal(0)),
        ),
    )

    answer = await send(client, "GET", f"/api/flows/{FLOW}/tasks/1.5")
    text = await answer.text()
    shown = json.loads(text)

    assert answer.status == 200
    assert "canary" not in text
    assert (shown["seq"], shown["status"], shown["priority"], shown["dependsOn"]) == (1.5, "42", "Infinity", ["1E+400", 0])
    assert (shown["parameters"]["n"], shown["parameters"]["half"]) == ("inf", "\ud800")


@pytest.mark.parametrize("path", ["/api/flows", f"/api/flows/{FLOW}", "/api/workflows", "/healthz", "/readyz"])
async def test_a_wrong_method_is_told_the_right_ones(client: Client, path: str) -> None:
    answer = await send(client, "DELETE", path)
    problem = await answer.json(content_type=None)

    assert (answer.status, answer.content_type) == (405, "application/problem+json")
    assert answer.headers["Allow"] == "GET, HEAD"
    assert "only GET, HEAD" in problem["detail"]


async def test_answers_are_data_and_of_this_moment(client: Client) -> None:
    for path in ("/api/flows", "/api/nothing", "/healthz"):
        headers = (await send(client, "GET", path)).headers

        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cache-Control"] == "no-store"
        assert headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert headers["Server"] == "Flower"


async def test_what_the_store_refuses_is_a_problem(client: Client, flows: Flows) -> None:
    flows.raises = Invalid([FieldError("after", "not one of ours")])

    status, problem = await get(client, f"/api/flows/{FLOW}")

    assert (status, problem["errors"]) == (422, [{"path": "after", "message": "not one of ours"}])


async def test_a_lost_database_is_503_and_says_when_to_try_again(client: Client, flows: Flows) -> None:
    flows.raises = DatabaseLost("canary.example:5432 refused")

    answer = await send(client, "GET", f"/api/flows/{FLOW}")

    assert (answer.status, answer.headers["Retry-After"]) == (503, "2")
    assert "canary" not in await answer.text()


@pytest.mark.parametrize(("method", "path"), [("GET", f"/api/flows/{FLOW}"), ("POST", "/register/example")])
async def test_an_error_of_ours_tells_its_number_and_nothing_else(
    client: Client, flows: Flows, monkeypatch: pytest.MonkeyPatch, method: str, path: str
) -> None:
    logged: list[tuple[str, dict[str, Any]]] = []
    monkeypatch.setattr("flower.web.problems._log.error", lambda event, **values: logged.append((event, values)))
    flows.raises = RuntimeError("SELECT canary FROM postgresql://canary@/srv/canary")

    answer = await send(client, method, path)
    text = await answer.text()

    assert answer.status == 500
    assert "canary" not in text
    assert answer.headers["X-Request-Id"] in text
    [(event, values)] = logged
    assert event == "http.failed"
    assert (values["request"], values["exc_info"]) == (answer.headers["X-Request-Id"], flows.raises)
