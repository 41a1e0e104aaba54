from __future__ import annotations

import asyncio
import json
import zlib
from io import BytesIO
from typing import Any

import asyncpg
import pytest

from flower.core.errors import DatabaseFull, DatabaseLost, FieldError, Invalid, KeyReused, UnknownWorkflow
from flower.core.model import Order, Registered
from tests.web.asking import Client, Connect, post, raw, send
from tests.web.memory import FLOW, Flows


async def test_a_post_without_a_body_starts_the_workflow(client: Client, flows: Flows) -> None:
    status, said = await post(client, "/register/example")

    assert status == 200
    assert said == {"status": "succeeded", "taskId": "example", "taskFlowId": FLOW}
    assert flows.orders == [Order("example", {}, {})]


async def test_every_field_of_the_body_reaches_the_store_in_one_form(client: Client, flows: Flows) -> None:
    body = {"parameters": {"n": 1, "x": [None, True, "é"]}, "priority": -20, "runAt": "2026-11-24T14:00:00+01:00", "idempotencyKey": "order-7"}

    status, _ = await post(client, "/register/example", json=body)

    assert status == 200
    wanted = {"priority": -20, "runAt": "2026-11-24T13:00:00Z", "idempotencyKey": "order-7"}
    assert flows.orders == [Order("example", {"n": 1, "x": [None, True, "é"]}, wanted)]


async def test_a_duplicate_is_called_one(client: Client, flows: Flows) -> None:
    flows.answers = Registered(FLOW, duplicate=True)

    assert await post(client, "/register/example") == (200, {"status": "succeeded", "taskId": "example", "taskFlowId": FLOW, "duplicate": True})


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application/json", "nonsense"])
async def test_an_empty_body_counts_as_none_whatever_its_content_type(client: Client, flows: Flows, kind: str) -> None:
    status, _ = await post(client, "/register/example", data=b"", headers={"Content-Type": kind})

    assert status == 200
    assert flows.orders == [Order("example", {}, {})]


async def test_an_empty_chunked_body_counts_as_none(client: Client) -> None:
    head = b"POST /register/example HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nConnection: close\r\n"

    said = await raw(client, head + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n")

    assert said.startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    ("path", "task_id"),
    [
        ("example", "example"),
        ("example/", "example"),
        ("example//", "example/"),
        ("a/b/c", "a/b/c"),
        ("a//b", "a//b"),
        ("/a", "/a"),
        ("a%2Fb", "a/b"),
        ("a%252Fb", "a%2Fb"),
        ("a%20b+c", "a b+c"),
        ("../a/./b", "../a/./b"),
        ("%E8%8A%B1/%F0%9F%8C%B8", "花/🌸"),
        ("caf%C3%A9", "café"),
        ("100%", "100%"),
        ("a%0Ab", "a\nb"),
        ("{x}", "{x}"),
        ("x" * 256, "x" * 256),
        ("%F0%9F%8C%B8" * 256, "🌸" * 256),
    ],
)
async def test_the_path_is_decoded_once_and_loses_one_trailing_slash(client: Client, flows: Flows, path: str, task_id: str) -> None:
    status, said = await post(client, f"/register/{path}")

    assert (status, said["taskId"]) == (200, task_id)
    assert flows.orders == [Order(task_id, {}, {})]


async def test_bytes_of_utf8_in_the_path_need_no_percent(client: Client, flows: Flows) -> None:
    said = await raw(client, "POST /register/花 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())

    assert said.startswith(b"HTTP/1.1 200")
    assert flows.orders == [Order("花", {}, {})]


@pytest.mark.parametrize("path", ["/register", "/register/", "/register//"])
async def test_no_workflow_at_all_is_an_unknown_one(client: Client, flows: Flows, path: str) -> None:
    status, said = await post(client, path)

    assert status == 404
    assert (said["status"], said["taskId"], said["errors"]) == ("failed", "", [])
    assert said["description"].startswith("no tasks registered")
    assert not flows.orders


async def test_an_unknown_workflow_names_near_ones_and_how_to_list_them(client: Client, flows: Flows) -> None:
    flows.raises = UnknownWorkflow("exmaple", ["example"])

    status, said = await post(client, "/register/exmaple")

    assert status == 404
    assert list(said) == ["status", "taskId", "description", "errors"]
    assert said["description"].startswith("no tasks registered")
    assert "did you mean example?" in said["description"]
    assert "/api/workflows" in said["description"]


@pytest.mark.parametrize(
    ("path", "field", "told"),
    [("x" * 257, "taskId", "257 characters"), ("a%00b", "path", "NUL"), ("%FF", "path", "UTF-8"), ("%ED%A0%80", "path", "UTF-8")],
)
async def test_a_path_that_cannot_name_a_workflow_is_refused(client: Client, flows: Flows, path: str, field: str, told: str) -> None:
    status, said = await post(client, f"/register/{path}")

    assert (status, said["status"]) == (422, "failed")
    assert said["errors"][0]["path"] == field
    assert told in said["errors"][0]["message"]
    assert not flows.orders


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS"])
@pytest.mark.parametrize("path", ["/register/example", "/register"])
async def test_another_method_is_told_to_post(client: Client, method: str, path: str) -> None:
    answer = await send(client, method, path)
    said = await answer.json()

    assert (answer.status, answer.headers["Allow"]) == (405, "POST")
    assert said["status"] == "failed"
    assert f"curl -X POST 127.0.0.1:{client.port}{path}" in said["description"]


async def test_a_body_that_lacks_only_its_content_type_comes_back_as_the_command_to_send(client: Client, flows: Flows) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}

    status, said = await post(client, "/register/a%20b", data=b'{"parameters": {"n": 1}}', headers=form)

    assert (status, said["taskId"]) == (415, "a b")
    command = "curl -X POST -H 'Content-Type: application/json' -d '{\"parameters\": {\"n\": 1}}' "
    assert f"{command}127.0.0.1:{client.port}/register/a%20b" in said["description"]
    assert not flows.orders


@pytest.mark.parametrize("kind", ["text/plain", "multipart/form-data; boundary=x", "application/json; charset=utf-16", "text/json"])
async def test_a_body_that_is_not_json_by_its_type_is_refused_with_an_example(client: Client, flows: Flows, kind: str) -> None:
    status, said = await post(client, "/register/example", data=b"n=1", headers={"Content-Type": kind})

    assert status == 415
    assert '-H \'Content-Type: application/json\' -d \'{"parameters": {"name": "value"}}\'' in said["description"]
    assert not flows.orders


async def test_the_command_in_a_refusal_carries_the_token_where_one_is_asked_for(connect: Connect) -> None:
    client = await connect(token="canary-token")
    headers = {"Authorization": "Bearer canary-token", "Content-Type": "text/plain"}

    _, said = await post(client, "/register/example", data=b"n=1", headers=headers)

    assert '-H "Authorization: Bearer $FLOWER_TOKEN"' in said["description"]
    assert "canary" not in said["description"]


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br"])
async def test_a_packed_body_is_refused_unread(client: Client, flows: Flows, encoding: str) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": encoding}

    status, said = await post(client, "/register/example", data=zlib.compress(b"{}"), headers=headers)

    assert status == 415
    assert "Content-Encoding" in said["description"]
    assert not flows.orders


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b'{"priority": }', "line 1, column 14"),
        (b'{\n "priority": 1,\n}', "line 3, column 1"),
        (b"{'priority': 1}", "line 1, column 2"),
        (b'{"parameters": {"text NaN": 1, "x": NaN}}', "NaN is no JSON number (line 1, column 37)"),
        (b'{"parameters": {"x": -Infinity}}', "-Infinity is no JSON number (line 1, column 22)"),
        (b"priority=1", "line 1, column 1"),
        (b'{"a": "\xff"}', "not UTF-8 (byte 7)"),
        (b'{"a": "line\nbreak"}', "control character"),
        (b" ", "line 1, column 2"),
        (b"{} {}", "line 1, column 4"),
    ],
)
async def test_a_body_that_is_not_json_is_told_where(client: Client, flows: Flows, body: bytes, told: str) -> None:
    status, said = await post(client, "/register/example", data=body, headers={"Content-Type": "application/json"})

    assert (status, said["status"], said["taskId"]) == (400, "failed", "example")
    assert "not JSON" in said["description"]
    assert told in said["description"]
    assert not flows.orders


@pytest.mark.parametrize("body", ["[]", "null", "1", '"text"', "true"])
async def test_a_body_that_is_no_object_is_refused(client: Client, flows: Flows, body: str) -> None:
    status, said = await post(client, "/register/example", data=body, headers={"Content-Type": "application/json"})

    assert status == 422
    assert "must be a JSON object" in said["description"]
    assert not flows.orders


@pytest.mark.parametrize(
    ("body", "path", "told"),
    [
        ({"priorty": 1}, "priorty", "did you mean priority?"),
        ({"run_at": "2026-11-24T14:00:00Z"}, "run_at", "did you mean runAt?"),
        ({"url": "x"}, "url", "known are: parameters, priority, runAt, idempotencyKey"),
        ({"parameters": []}, "parameters", "dictionary"),
        ({"parameters": "x"}, "parameters", "dictionary"),
        ({"parameters": None}, "parameters", "null is not taken"),
        ({"priority": None}, "priority", "null is not taken"),
        ({"priority": "1"}, "priority", "integer"),
        ({"priority": True}, "priority", "integer"),
        ({"priority": 1.5}, "priority", "integer"),
        ({"priority": 20}, "priority", "less than or equal to 19"),
        ({"priority": -21}, "priority", "greater than or equal to -20"),
        ({"runAt": "2026-11-24T14:00:00"}, "runAt", "without its zone"),
        ({"runAt": "2026-11-24"}, "runAt", "without its zone"),
        ({"runAt": "tomorrow"}, "runAt", "ISO 8601"),
        ({"runAt": 1764000000}, "runAt", "string"),
        ({"runAt": "0001-01-01T00:00:00+14:00"}, "runAt", "year"),
        ({"idempotencyKey": ""}, "idempotencyKey", "at least 1 character"),
        ({"idempotencyKey": "é" * 257}, "idempotencyKey", "514 bytes"),
        ({"idempotencyKey": ["x"]}, "idempotencyKey", "string"),
        ({"idempotencyKey": "a\0"}, "idempotencyKey", "NUL"),
        ({"parameters": {"a": {"b": [0, "x\0"]}}}, "parameters.a.b[1]", "NUL"),
        ({"parameters": {"a\0": 1}}, 'parameters["a\\u0000"]', "NUL"),
        ({"parameters": {"a": "\ud800"}}, "parameters.a", "surrogate"),
        ({"parameters": {"a b": ["\udfff"]}}, 'parameters["a b"][0]', "surrogate"),
        ({"parameters": {"a": "x" * 262137}}, "parameters", "262144 (256 KiB)"),
    ],
)
async def test_what_is_wrong_in_the_body_is_told_with_its_path(client: Client, flows: Flows, body: Any, path: str, told: str) -> None:
    status, said = await post(client, "/register/example", json=body)

    assert (status, said["status"], said["taskId"]) == (422, "failed", "example")
    assert said["errors"][0]["path"] == path
    assert told in said["errors"][0]["message"]
    assert path in said["description"]
    assert not flows.orders


@pytest.mark.parametrize(
    ("body", "path", "told"),
    [
        ('{"parameters": {"a": 1e400}}', "parameters.a", "beyond what a double"),
        ('{"parameters": {"a": [1, -1e5000]}}', "parameters.a[1]", "beyond what a double"),
        ('{"parameters": {"a": 1' + "0" * 5000 + "}}", "parameters.a", "beyond what a double"),
        ('{"parameters": {"a": 2' + "0" * 308 + "}}", "parameters.a", "beyond what a double"),
        ('{"parameters": {"a": 1, "a": 2}}', "parameters.a", "twice"),
        ('{"priority": 1, "priority": 2}', "priority", "twice"),
        ('{"parameters": ' + '{"a": ' * 65 + "1" + "}" * 66, "parameters" + ".a" * 64, "64 levels"),
        ('{"parameters": {"a": ' + "[" * 300_000 + "]" * 300_000 + "}}", "", "64 levels"),
    ],
)
async def test_json_that_cannot_be_kept_is_refused(client: Client, flows: Flows, body: str, path: str, told: str) -> None:
    status, said = await post(client, "/register/example", data=body, headers={"Content-Type": "application/json"})

    assert status == 422
    assert said["errors"][0]["path"] == path
    assert told in said["errors"][0]["message"]
    assert not flows.orders


async def test_the_largest_of_everything_is_taken(client: Client, flows: Flows) -> None:
    nested: Any = 1
    for _ in range(63):
        nested = [nested]
    parameters = {"deep": nested, "big": 10**300, "tiny": 1e-300, "text": ""}
    parameters["text"] = "é" * ((256 * 1024 - len(json.dumps(parameters, separators=(",", ":")))) // 2)
    body = {"parameters": parameters, "priority": 19, "idempotencyKey": "é" * 256}

    status, said = await post(client, "/register/example", json=body)

    assert (status, said["status"]) == (200, "succeeded")
    assert flows.orders == [Order("example", parameters, {"priority": 19, "idempotencyKey": "é" * 256})]


async def test_a_body_of_exactly_one_mebibyte_is_read(client: Client, flows: Flows) -> None:
    body = b'{"priority": 1' + b" " * (1024 * 1024 - 15) + b"}"
    json_type = {"Content-Type": "application/json"}

    assert len(body) == 1024 * 1024
    assert (await post(client, "/register/example", data=body, headers=json_type))[0] == 200
    assert (await post(client, "/register/example", data=BytesIO(body + b" "), headers=json_type))[0] == 413
    assert len(flows.orders) == 1


async def test_a_chunked_body_without_end_is_cut_off(client: Client, flows: Flows) -> None:
    head = b"POST /register/example HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"

    said = await raw(client, head + chunk * 17)

    assert said.startswith(b"HTTP/1.1 413")
    assert b'"status":"failed"' in said
    assert not flows.orders


async def test_a_body_that_does_not_come_is_not_waited_for(connect: Connect, flows: Flows) -> None:
    client = await connect(body_seconds=0.05)

    said = await raw(client, b"POST /register/example HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{")

    assert said.startswith(b"HTTP/1.1 408")
    assert b'"status":"failed"' in said
    assert not flows.orders


async def test_malformed_chunks_start_nothing(client: Client, flows: Flows) -> None:
    head = b"POST /register/example HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"

    said = await raw(client, head + b"nonsense\r\n{}\r\n0\r\n\r\n")

    assert b" 400 " in said.partition(b"\r\n")[0]
    assert not flows.orders


@pytest.mark.parametrize("kind", ["application/json", "application/json; charset=UTF-8", "application/vnd.order+json"])
async def test_json_may_come_under_its_usual_names(client: Client, flows: Flows, kind: str) -> None:
    status, _ = await post(client, "/register/example", data=b'\xef\xbb\xbf{"priority": 3}', headers={"Content-Type": kind})

    assert status == 200
    assert flows.orders == [Order("example", {}, {"priority": 3})]


async def test_the_idempotency_key_may_come_as_a_header(client: Client, flows: Flows) -> None:
    await post(client, "/register/example", headers={"Idempotency-Key": "k"})
    await post(client, "/register/example", headers={"Idempotency-Key": "k"}, json={"idempotencyKey": "k"})

    assert flows.orders == [Order("example", {}, {"idempotencyKey": "k"})] * 2


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ([("Idempotency-Key", "a")], {"idempotencyKey": "b"}),
        ([("Idempotency-Key", "a")], {"idempotencyKey": ["a"]}),
        ([("Idempotency-Key", "a"), ("Idempotency-Key", "b")], {}),
        ([("Idempotency-Key", "")], {}),
        ([("Idempotency-Key", "x" * 513)], {}),
    ],
)
async def test_an_idempotency_key_in_doubt_starts_nothing(client: Client, flows: Flows, headers: Any, body: Any) -> None:
    status, said = await post(client, "/register/example", headers=headers, json=body)

    assert status == 422
    assert said["errors"][0]["path"] == "idempotencyKey"
    assert not flows.orders


async def test_parameters_in_the_query_are_refused_instead_of_lost(client: Client, flows: Flows) -> None:
    status, said = await post(client, "/register/example?priority=5")

    assert status == 422
    assert said["errors"] == [{"path": "priority", "message": "unknown query parameter; none is known here"}]
    assert not flows.orders


async def test_what_the_store_refuses_is_told_in_the_same_form(client: Client, flows: Flows) -> None:
    flows.raises = Invalid([FieldError("parameters.widht", "no step takes it; did you mean width?")])
    status, said = await post(client, "/register/example")
    assert (status, said["errors"]) == (422, [{"path": "parameters.widht", "message": "no step takes it; did you mean width?"}])

    flows.raises = KeyReused("order-7")
    status, said = await post(client, "/register/example")
    assert (status, said["status"]) == (409, "failed")
    assert "order-7" in said["description"]


async def test_a_lost_database_is_503_and_names_what_is_not_known(client: Client, flows: Flows) -> None:
    flows.raises = DatabaseLost("could not connect to canary.example:5432")

    answer = await send(client, "POST", "/register/example")
    said = await answer.json()

    assert (answer.status, answer.headers["Retry-After"], said["status"]) == (503, "2", "failed")
    assert "idempotency key" in said["description"]
    assert "canary" not in said["description"]


async def test_a_full_disk_is_503_and_says_so(client: Client, flows: Flows) -> None:
    flows.raises = DatabaseFull("canary.example:5432 has no room on its disk")

    answer = await send(client, "POST", "/register/example")
    said = await answer.json()

    assert (answer.status, answer.headers["Retry-After"], said["status"]) == (503, "2", "failed")
    assert said["description"].startswith("the disk of the database is full")
    assert "canary" not in said["description"]


async def test_a_fault_in_the_second_look_at_an_order_is_answered_and_not_waited_for(client: Client, flows: Flows) -> None:
    # The first look, at the whole batch, was refused; the memory's flows cannot do the second.
    flows.raises = asyncpg.PostgresError("refused")

    async with asyncio.timeout(5):
        status, said = await post(client, "/register/example")

    assert (status, said["status"]) == (500, "failed")
