"""HTTPPostRequest against a real server on loopback: what it sends, what it keeps, and whom it never calls."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from ipaddress import ip_address

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from yarl import URL

from flower.core.errors import ProgramFailed
from flower.programs.http import ANSWER_LIMIT_BYTES, Caller
from flower.programs.reach import Reach, Refused, checked_socket, is_link_local
from flower.sdk.registry import REGISTRY
from flower.sdk.results import encode_result

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

Serve = Callable[[Handler], Awaitable[str]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Serve a handler under every path; return the base URL."""
    servers = []

    async def start(handler: Handler) -> str:
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", handler)
        server = TestServer(application)
        servers.append(server)
        await server.start_server()
        return str(server.make_url("")).rstrip("/")

    yield start
    for server in servers:
        await server.close()


@pytest.fixture
async def caller() -> AsyncIterator[Caller]:
    caller = Caller(Reach(any_host=True))
    yield caller
    await caller.close()


async def refusal(caller: Caller, url: str) -> str:
    with pytest.raises(ProgramFailed) as caught:
        await caller.post(url, "{}")
    return str(caught.value)


async def test_the_body_is_sent_as_it_is_as_json(serve: Serve, caller: Caller) -> None:
    async def echo(request: web.Request) -> web.Response:
        return web.json_response(
            {"method": request.method, "type": request.headers["Content-Type"], "path": request.path_qs, "body": await request.text()}
        )

    url = await serve(echo)
    answer = await caller.post(f"{url}/a/b?c=d", '{"id": "tést"}')
    assert answer["status"] == 200
    assert json.loads(answer["body"]) == {"method": "POST", "type": "application/json", "path": "/a/b?c=d", "body": '{"id": "tést"}'}


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
async def test_any_2xx_succeeds(serve: Serve, caller: Caller, status: int) -> None:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(status=status)

    assert await caller.post(await serve(answer), "") == {"status": status, "body": ""}


@pytest.mark.parametrize("status", [304, 400, 404, 500, 503])
async def test_any_other_status_fails_and_shows_the_beginning_of_the_answer(serve: Serve, caller: Caller, status: int) -> None:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(status=status, text="" if status == 304 else "because" + "x" * 10_000)

    url = await serve(answer)
    message = await refusal(caller, url)
    assert message.startswith(f"POST {url}: answered {status} ")
    assert status == 304 or "because" in message
    assert len(message) < 700


async def test_no_cookie_goes_from_one_call_to_the_next(serve: Serve, caller: Caller) -> None:
    async def answer(request: web.Request) -> web.Response:
        response = web.Response(text=request.headers.get("Cookie", "none"))
        response.set_cookie("a", "b")
        return response

    url = (await serve(answer)).replace("127.0.0.1", "localhost")
    await caller.post(url, "")
    assert (await caller.post(url, ""))["body"] == "none"


async def test_a_mebibyte_of_the_answer_is_kept_and_fits_into_a_result(serve: Serve, caller: Caller) -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(body={"/long": b"x" * (3 * ANSWER_LIMIT_BYTES), "/dense": b"\x01" * ANSWER_LIMIT_BYTES, "/odd": b"\xff\0"}[request.path])

    url = await serve(answer)
    program = REGISTRY.get("HTTPPostRequest")
    assert program is not None
    for path in ("/long", "/dense"):
        found = await caller.post(url + path, "")
        assert found["truncated"] is True
        assert len(encode_result(program, found)) > ANSWER_LIMIT_BYTES * 0.99
    assert (await caller.post(url + "/odd", ""))["body"] == "\ufffd\0"


@pytest.mark.parametrize("status", [307, 308])
async def test_a_redirect_on_the_same_host_stays_a_post(serve: Serve, caller: Caller, status: int) -> None:
    async def answer(request: web.Request) -> web.Response:
        if request.path == "/end":
            return web.Response(text=f"{request.method} {await request.text()}")
        return web.Response(status=status, headers={"Location": "/end"})

    assert (await caller.post(f"{await serve(answer)}/start", "body"))["body"] == "POST body"


async def test_three_redirects_are_followed_and_no_more(serve: Serve, caller: Caller) -> None:
    async def answer(request: web.Request) -> web.Response:
        left = int(request.path.strip("/"))
        return web.Response(text="end") if left == 0 else web.Response(status=307, headers={"Location": f"/{left - 1}"})

    url = await serve(answer)
    assert (await caller.post(f"{url}/3", ""))["body"] == "end"
    assert "more than 3 redirects" in await refusal(caller, f"{url}/4")


@pytest.mark.parametrize(
    ("status", "location", "said"),
    [
        (302, "/end", "would turn the POST into a GET"),
        (303, "/end", "would turn the POST into a GET"),
        (307, "http://example.org/end", "http://example.org/end, another host"),
        (307, "http://user:pw@example.org/", "http://user:***@example.org/, another host"),
        (307, "//169.254.169.254/latest", "another host"),
        (307, "https://127.0.0.1:1/", "another host"),
        (307, "file:///etc/passwd", "another host"),
        (307, "http://[", "without a usable Location"),
        (307, "", "without a usable Location"),
    ],
)
async def test_other_redirects_fail_and_say_where_they_led(serve: Serve, caller: Caller, status: int, location: str, said: str) -> None:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(status=status, headers={"Location": location})

    assert said in await refusal(caller, await serve(answer))


async def test_a_connection_error_shows_the_url_without_its_password(unused_tcp_port: int, caller: Caller) -> None:
    message = await refusal(caller, f"http://user:secret@127.0.0.1:{unused_tcp_port}/post")
    assert f"http://user:***@127.0.0.1:{unused_tcp_port}/post" in message
    assert "secret" not in message
    assert "refused" in message.lower() or "connect" in message.lower()


async def test_an_unknown_host_shows_the_url(caller: Caller) -> None:
    assert (await refusal(caller, "http://nowhere.invalid/post")).startswith("POST http://nowhere.invalid/post: ")


async def test_the_timeout_counts_for_the_whole_call(serve: Serve) -> None:
    async def drip(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while not request.transport or not request.transport.is_closing():
            await response.write(b"x")
        return response

    url = await serve(drip)
    caller = Caller(Reach(any_host=True), timeout_seconds=0.2)
    assert "no complete answer within 0.2 s" in await refusal(caller, url)
    await caller.close()


@pytest.mark.parametrize("url", ["", "x", "ftp://a/", "http://", "file:///etc/passwd", "http://a:99999/", "//a/b", "http://[::1", "\0"])
async def test_what_is_no_url_is_refused(caller: Caller, url: str) -> None:
    assert "is no URL" in await refusal(caller, url)


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest/meta-data",
        "http://2852039166/",
        "http://0xA9FEA9FE/",
        "http://0251.0376.0251.0376/",
        "http://169.254.43518/",
        "http://[fe80::1]/",
        "http://[fe80::1%25lo]/",
        "http://[::ffff:169.254.169.254]/",
        "http://[::ffff:a9fe:a9fe]/",
        "http://[64:ff9b::a9fe:a9fe]/",
        "http://[64:ff9b:1:a9fe:a9:fe00::]/",
        "http://[2002:a9fe:a9fe::]/",
        "http://[::169.254.169.254]/",
    ],
)
async def test_link_local_addresses_are_never_called_however_they_are_written(caller: Caller, url: str) -> None:
    assert "link-local" in await refusal(caller, url)
    allowed = Caller(Reach(allow=(URL(url).host or "",)))
    assert "link-local" in await refusal(allowed, url)
    await allowed.close()


async def test_a_name_with_a_link_local_address_is_never_called(caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    from aiohttp.resolver import ThreadedResolver

    async def resolve(_self: ThreadedResolver, host: str, port: int = 0, family: int = 0) -> list[dict[str, object]]:
        return [
            {"hostname": host, "host": address, "port": port, "family": family, "proto": 0, "flags": 0}
            for address in ("127.0.0.1", "169.254.169.254")
        ]

    monkeypatch.setattr(ThreadedResolver, "resolve", resolve)
    assert "link-local" in await refusal(caller, "http://metadata.example/")


@pytest.mark.parametrize("target", ["169.254.1.1", "fe80::1%lo", "2852039166", "metadata"])
def test_the_last_look_is_at_the_address_itself(target: str) -> None:
    import socket

    with pytest.raises(Refused):
        checked_socket((socket.AF_INET, socket.SOCK_STREAM, 0, "", (target, 80)))


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "169.253.0.1", "::1", "::ffff:127.0.0.1", "fec0::1", "64:ff9b::7f00:1", "2001:db8::1"])
def test_other_addresses_are_not_link_local(address: str) -> None:
    assert not is_link_local(ip_address(address))


@pytest.mark.parametrize(
    ("allow", "is_allowed"),
    [
        ((), False),
        (("localhost",), True),
        (("LOCALHOST.",), True),
        (("localhost:PORT",), True),
        (("localhost:1",), False),
        (("ocalhost", "localhost.evil", "*"), False),
    ],
)
async def test_beyond_loopback_only_hosts_on_the_list_are_called(serve: Serve, allow: tuple[str, ...], is_allowed: bool) -> None:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response()

    url = URL(await serve(answer)).with_host("localhost")
    caller = Caller(Reach(allow=tuple(entry.replace("PORT", str(url.port)) for entry in allow)))
    if is_allowed:
        assert (await caller.post(str(url), ""))["status"] == 200
    else:
        assert "'localhost' is not in FLOWER_HTTP_ALLOW" in await refusal(caller, str(url))
    await caller.close()


async def test_no_proxy_of_the_environment_is_used(serve: Serve, caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(text="direct")

    url = await serve(answer)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1/")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1/")
    assert (await caller.post(url, ""))["body"] == "direct"
