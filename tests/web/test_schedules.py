"""/api/schedules on PostgreSQL."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from flower.database.pool import Connection, Pool
from flower.web.schemas import SCHEMAS
from tests.sql.engine import Engine, define
from tests.web.asking import Client, get, post
from tests.web.test_end_to_end import served
from tests.web.test_verbs import fits

__all__ = ["served"]

NIGHTLY = {"workflow": "w", "cron": "30 2 * * *", "zone": "Europe/Paris", "parameters": {"api_key": "s3cret"}}


@pytest.fixture(autouse=True)
async def engine(pool: Pool, connection: Connection) -> Engine:
    await define(connection, "w", {})
    return await Engine(pool).enroll("Ok")


async def put(client: Client, name: str, body: Any) -> tuple[int, Any]:
    async with client.session.put(f"http://127.0.0.1:{client.port}/api/schedules/{name}", json=body) as answer:
        return answer.status, await answer.json(content_type=None)


async def test_a_schedule_is_written_shown_listed_and_removed(served: Client) -> None:
    status, made = await put(served, "nightly", NIGHTLY)
    fits(made, SCHEMAS["Schedule"])
    assert (status, made["cron"], made["parameters"], made["paused"]) == (200, "30 2 * * *", {"api_key": "***"}, False)
    assert [at["local"][11:16] for at in made["upcoming"]] == ["02:30"] * 5
    assert made["nextAt"] == made["upcoming"][0]["at"]

    assert await get(served, "/api/schedules/nightly") == (200, made | {"lastAt": None})
    status, listed = await get(served, "/api/schedules?limit=1")
    assert (status, [item["schedule"] for item in listed["items"]], listed["next"]) == (200, ["nightly"], None)
    async with served.session.delete(f"http://127.0.0.1:{served.port}/api/schedules/nightly") as answer:
        assert (answer.status, await answer.json()) == (200, {"schedule": "nightly", "removed": True})
    assert (await get(served, "/api/schedules/nightly"))[0] == 404


async def test_what_get_answers_can_be_put_again_but_for_secrets(served: Client) -> None:
    _, made = await put(served, "pulse", {"workflow": "w", "every": "15m", "overlap": "skip"})
    assert made["every"] == 900

    assert (await put(served, "pulse", made))[0] == 200
    _, masked = await put(served, "nightly", NIGHTLY)
    status, problem = await put(served, "nightly", masked)
    assert (status, [error["path"] for error in problem["errors"]]) == (422, ["parameters"])


@pytest.mark.parametrize(
    ("change", "path", "words"),
    [
        ({"cron": "0 0 31 2 *"}, "cron", "never fires"),
        ({"cron": "0 30 2 * * *"}, "cron", "six fields"),
        ({"cron": "30 2 * *"}, "cron", "five fields"),
        ({"cron": "61 2 * * *"}, "cron", "minute"),
        ({"cron": None}, "cron", "cron or every"),
        ({"every": 5, "zone": None}, "cron", "cron or every"),
        ({"zone": "Europe/Pari"}, "zone", "Europe/Paris"),
        ({"cron": None, "zone": None, "every": 0}, "every", "at least a second"),
        ({"cron": None, "zone": None, "every": "soon"}, "every", "15m"),
        ({"workflow": "hellp"}, "workflow", "did you mean hello"),
        ({"catchUp": "some"}, "catchUp", "'none', 'last' or 'all'"),
        ({"overlaps": "skip"}, "overlaps", "did you mean overlap"),
        ({"priority": 20}, "priority", "19"),
        ({"parameters": []}, "parameters", "dictionary"),
    ],
)
async def test_what_makes_no_sense_is_refused_by_its_path(served: Client, change: dict[str, Any], path: str, words: str) -> None:
    status, problem = await put(served, "x", NIGHTLY | change)

    assert (status, problem["errors"][0]["path"]) == (422, path)
    assert words in problem["errors"][0]["message"]
    assert (await get(served, "/api/schedules"))[1]["items"] == []


async def test_a_name_that_is_too_long_is_refused(served: Client) -> None:
    status, problem = await put(served, "x" * 257, NIGHTLY)

    assert (status, problem["errors"][0]["path"]) == (422, "name")


async def test_verbs_pause_fire_and_backfill(served: Client) -> None:
    await put(served, "hourly", {"workflow": "w", "cron": "0 * * * *"})
    status, done = await post(served, "/api/schedules/hourly/pause", json={"reason": "stocktaking"})
    assert (status, done) == (200, {"schedule": "hourly", "paused": True})
    paused = (await get(served, "/api/schedules/hourly"))[1]
    assert (paused["paused"], paused["reason"], paused["nextAt"]) == (True, "stocktaking", None)
    assert (await post(served, "/api/schedules/hourly/unpause"))[1] == {"schedule": "hourly", "paused": False}

    status, fired = await post(served, "/api/schedules/hourly/fire", json={"priority": 3})
    fits(fired, SCHEMAS["Fired"])
    _, flow = await get(served, f"/api/flows/{fired['flowId']}")
    assert (flow["schedule"], flow["scheduledFor"], flow["priority"]) == ("hourly", None, 3)

    to = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=1)
    span = {"from": (to - timedelta(hours=2)).isoformat(), "to": to.isoformat()}
    status, planned = await post(served, "/api/schedules/hourly/backfill", json=span | {"dryRun": True})
    fits(planned, SCHEMAS["Backfilled"])
    assert (status, len(planned["times"]), planned["made"], planned["there"]) == (200, 3, 0, 0)
    _, made = await post(served, "/api/schedules/hourly/backfill", json=span)
    _, again = await post(served, "/api/schedules/hourly/backfill", json=span)
    assert [(found["made"], found["there"]) for found in (made, again)] == [(3, 0), (0, 3)]


@pytest.mark.parametrize(
    ("span", "path"),
    [
        ({}, "from"),
        ({"from": "2026-01-01T00:00:00", "to": "2026-01-02T00:00:00Z"}, "from"),
        ({"from": "2026-01-02T00:00:00Z", "to": "2026-01-01T00:00:00Z"}, "from"),
        ({"from": "2026-01-02T00:00:00Z", "to": "2999-01-01T00:00:00Z"}, "to"),
        ({"from": "2020-01-02T00:00:00Z", "to": "2021-01-02T00:00:00Z"}, "to"),
        ({"from": 5, "to": "2021-01-02T00:00:00Z"}, "from"),
    ],
)
async def test_a_range_that_makes_no_sense_is_refused(served: Client, span: dict[str, Any], path: str) -> None:
    await put(served, "hourly", {"workflow": "w", "cron": "0 * * * *"})

    status, problem = await post(served, "/api/schedules/hourly/backfill", json=span)

    assert (status, problem["errors"][0]["path"]) == (422, path)


async def test_a_schedule_that_is_not_there_is_404_with_names_that_are(served: Client) -> None:
    await put(served, "hourly", {"workflow": "w", "cron": "0 * * * *"})
    for verb in ("fire", "pause", "unpause"):
        status, problem = await post(served, f"/api/schedules/hourley/{verb}")
        assert (status, "did you mean hourly" in problem["detail"]) == (404, True)


async def test_one_that_has_stopped_itself_is_a_notice_of_the_overview(served: Client, connection: Connection) -> None:
    await connection.execute("INSERT INTO ms_schedule (name, task_id, every, error) VALUES ('odd', 'w', '1 s', 'the workflow is gone')")

    _, overview = await get(served, "/api/overview")

    assert [notice["kind"] for notice in overview["notices"] if "odd" in notice["message"]] == ["schedule"]
