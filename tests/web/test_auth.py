from __future__ import annotations

import pytest

from flower.core.errors import ConfigurationError
from flower.core.model import Readiness
from tests.web.asking import Client, Connect, get, post, raw, send
from tests.web.memory import Flows

TOKEN = "correct horse é"
EVERYTHING = ["/", "/api/flows", "/api/workflows", "/api/nothing", "/healthz/x", "/readyz/", "//healthz", "/openapi.json"]


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8000", "127.0.0.1:1", "[::1]:8000", "[::1]", "flower.example", "Flower.Example:443"])
async def test_our_names_are_answered_at_any_port(connect: Connect, host: str) -> None:
    client = await connect(allowed_hosts=("flower.example:8000",))

    assert (await get(client, "/api/flows", headers={"Host": host}))[0] == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "evil.example:8000", "127.0.0.1.evil.example", "0.0.0.0", "[::2]", "localhost@evil", "", "a b"]
)
@pytest.mark.parametrize("path", ["/api/flows", "/", "/api/nothing"])
async def test_a_host_that_is_not_ours_is_refused_and_told_the_option(client: Client, flows: Flows, path: str, host: str) -> None:
    status, problem = await get(client, path, headers={"Host": host})

    assert (status, problem["status"], problem["title"]) == (421, 421, "Misdirected Request")
    assert "--allowed-host" in problem["detail"]
    assert not flows.lists


async def test_a_foreign_host_starts_nothing(client: Client, flows: Flows) -> None:
    status, said = await post(client, "/register/example", headers={"Host": "evil.example"})

    assert (status, said["status"], said["taskId"]) == (421, "failed", "example")
    assert not flows.orders


@pytest.mark.parametrize(
    "request_line_and_hosts",
    [
        b"GET /api/flows HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n",
        b"GET http://evil.example/api/flows HTTP/1.1\r\nHost: localhost\r\n",
        b"GET http://localhost/api/flows HTTP/1.1\r\nHost: evil.example\r\n",
        b"GET /api/flows HTTP/1.0\r\n",
    ],
)
async def test_a_second_opinion_on_the_host_does_not_help(client: Client, flows: Flows, request_line_and_hosts: bytes) -> None:
    said = await raw(client, request_line_and_hosts + b"Connection: close\r\n\r\n")

    assert said.partition(b"\r\n")[0].split()[1] in {b"421", b"400"}
    assert not flows.lists


async def test_the_absolute_form_of_our_own_name_is_fine(client: Client) -> None:
    said = await raw(client, b"GET http://localhost/api/flows HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")

    assert said.startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("token", [None, TOKEN])
async def test_health_asks_for_neither_token_nor_host(connect: Connect, token: str | None) -> None:
    client = await connect(token=token, is_local=token is None)

    assert await get(client, "/healthz", headers={"Host": "10.0.0.7:8000"}) == (200, {"status": "ok"})
    assert (await get(client, "/readyz", headers={"Host": "10.0.0.7:8000"}))[0] == 200


@pytest.mark.parametrize("path", EVERYTHING)
@pytest.mark.parametrize(
    "authorization", [None, "", "Bearer", "Bearer ", "Bearer wrong", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}"]
)
async def test_without_the_token_nothing_is_answered(connect: Connect, path: str, authorization: str | None) -> None:
    client = await connect(token=TOKEN, is_local=False)
    headers = {} if authorization is None else {"Authorization": authorization}

    answer = await send(client, "GET", path, headers=headers)

    assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, 'Bearer realm="flower"')
    assert "horse" not in await answer.text()


async def test_the_token_opens_under_any_host(connect: Connect, flows: Flows) -> None:
    client = await connect(token=TOKEN, is_local=False)
    headers = {"Authorization": f"bearer {TOKEN}", "Host": "10.0.0.7"}

    assert (await get(client, "/api/flows", headers=headers))[0] == 200
    assert (await post(client, "/register/example", headers=headers))[0] == 200
    status, said = await post(client, "/register/example", headers={"Host": "10.0.0.7"})
    assert (status, said["status"], len(flows.orders)) == (401, "failed", 1)


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:1"},
        {"Origin": "http://localhost.evil.example", "Sec-Fetch-Site": "same-origin"},
    ],
)
async def test_a_page_of_another_site_starts_nothing(client: Client, flows: Flows, headers: dict[str, str]) -> None:
    status, said = await post(client, "/register/example", headers={"Host": "localhost:8000", **headers})

    assert (status, said["status"]) == (403, "failed")
    assert not flows.orders


@pytest.mark.parametrize("path", ["/api/flows", "/api/events", "/ask/rerun?flow=x"])
@pytest.mark.parametrize("site", ["cross-site", "same-site"])
async def test_a_page_of_another_site_has_nothing_looked_up(client: Client, flows: Flows, path: str, site: str) -> None:
    for more in ({}, {"Sec-Fetch-Mode": "no-cors"}, {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}):
        assert (await send(client, "GET", path, headers={"Sec-Fetch-Site": site, **more})).status == 403
    assert not flows.lists


async def test_a_link_on_another_site_may_lead_here_but_to_no_question(client: Client) -> None:
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}

    assert (await send(client, "GET", "/api/flows", headers=link)).status == 200
    assert (await send(client, "GET", "/ask/rerun?flow=x", headers=link)).status == 403


FROM_A_PAGE = [{"Sec-Fetch-Site": "same-origin", "Origin": "http://localhost:8000"}, {"Sec-Fetch-Site": "none"}, {"Cookie": "of=another"}]


@pytest.mark.parametrize("headers", [{}, *({**headers, "X-Flower": "1"} for headers in FROM_A_PAGE)])
async def test_our_own_page_and_no_page_may(client: Client, headers: dict[str, str]) -> None:
    assert (await post(client, "/register/example", headers={"Host": "localhost:8000", **headers}))[0] == 200


@pytest.mark.parametrize("headers", FROM_A_PAGE)
async def test_a_form_of_whatever_page_starts_nothing(client: Client, flows: Flows, headers: dict[str, str]) -> None:
    status, said = await post(client, "/register/example", headers={"Host": "localhost:8000", **headers})

    assert (status, "X-Flower" in said["description"]) == (403, True)
    assert not flows.orders


async def test_an_open_interface_that_others_can_reach_is_not_made(connect: Connect) -> None:
    with pytest.raises(ConfigurationError, match="--token"):
        await connect(token=None, is_local=False)


async def test_not_ready_is_503_and_says_what_is_wrong(connect: Connect) -> None:
    client = await connect(ready=Readiness("cannot be reached", "ok", "ok"))

    checks = {"database": "cannot be reached", "schema": "ok", "dispatcher": "ok", "listener": "ok", "pauses": "none"}
    assert await get(client, "/readyz") == (503, {"status": "not ready", "checks": checks})
    assert await get(client, "/healthz") == (200, {"status": "ok"})


async def test_ready_says_so(client: Client) -> None:
    assert await get(client, "/readyz") == (
        200,
        {"status": "ready", "checks": {"database": "ok", "schema": "ok", "dispatcher": "ok", "listener": "ok", "pauses": "none"}},
    )


async def test_what_is_no_http_is_answered_without_a_traceback_in_the_log(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    said = await raw(client, b"\x16\x03\x01\x02\x00\x01\r\n\r\n")

    assert b" 400 " in said.partition(b"\r\n")[0]
    assert b"problem+json" in said
    assert not caplog.records
