"""/api/limits: what it takes, what it refuses, and that what GET says can be asked for by name."""

from __future__ import annotations

from typing import Any

import pytest

from flower.database.pool import Connection
from tests.web.asking import Client, get, send
from tests.web.test_end_to_end import served

__all__ = ["served"]


async def put(client: Client, target: str, body: Any) -> tuple[int, Any]:
    answer = await send(client, "PUT", target, json=body)
    return answer.status, await answer.json(content_type=None)


async def test_a_limit_is_made_changed_listed_and_removed(served: Client, connection: Connection) -> None:
    assert (await put(served, "/api/limits/tenant:*", {"slots": 2}))[1]["slots"] == 2
    status, changed = await put(served, "/api/limits/tenant:*", {"rate": "10/min"})
    assert (status, changed["slots"], changed["rate"], changed["counts"]) == (200, 2, "10/min", "tasks")
    await put(served, "/api/limits/a/b%20c", {"slots": 0})

    _, listed = await get(served, "/api/limits")
    _, one = await get(served, "/api/limits/a/b%20c")
    removed = await send(served, "DELETE", "/api/limits/tenant:*")

    assert [item["name"] for item in listed["items"]] == ["a/b c", "tenant:*"]
    assert (one["name"], one["slots"], one["running"], one["waiting"], one["holders"]) == ("a/b c", 0, 0, 0, [])
    assert (removed.status, await removed.json()) == (200, {"name": "tenant:*", "removed": True})
    assert (await get(served, "/api/limits/tenant:*"))[0] == 404
    assert {row["who"] for row in await connection.fetch("SELECT who FROM kr_audit WHERE verb = 'limit'")} == {"http, on this machine"}


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"slots": -1}, "slots"),
        ({"slots": "4"}, "slots"),
        ({"slots": 4.5}, "slots"),
        ({"rate": "0/s"}, "rate"),
        ({"rate": 10}, "rate"),
        ({}, "slots"),
        ({"slots": None}, "slots"),
        ({"many": 1}, "many"),
    ],
)
async def test_what_makes_no_sense_is_refused_with_its_place(served: Client, connection: Connection, body: Any, path: str) -> None:
    status, said = await put(served, "/api/limits/l", body)

    assert (status, said["errors"][0]["path"]) == (422, path)
    assert await connection.fetchval("SELECT count(*) FROM ms_limit") == 0


async def test_it_is_kept_who_set_a_limit_and_who_removed_it(served: Client, connection: Connection) -> None:
    await put(served, "/api/limits/l", {"slots": 1})
    await send(served, "DELETE", "/api/limits/l")

    assert [tuple(row) for row in await connection.fetch("SELECT verb, who FROM kr_audit")] == [("limit", "http, on this machine")] * 2


async def test_a_name_that_can_be_none_is_refused(served: Client) -> None:
    assert (await put(served, "/api/limits/a*b", {"slots": 1}))[0] == 422
    assert (await put(served, f"/api/limits/{'x' * 513}", {"slots": 1}))[0] == 422
    assert (await send(served, "DELETE", "/api/limits/nothing")).status == 404
