from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest
from aiohttp import ClientResponse
from yarl import URL

from tests.web.asking import Client, Connect, get, send
from tests.web.memory import Flows

TOKEN = "correct horse é"
PAGE = {"Accept": "text/html"}


async def submit(client: Client, target: str, fields: dict[str, str] | None = None, **headers: str) -> ClientResponse:
    """Send a form as a browser does."""
    origin = f"http://127.0.0.1:{client.port}"
    return await send(client, "POST", target, data=fields or {}, headers={**PAGE, "Origin": origin, **headers}, allow_redirects=False)


@pytest.fixture
async def asking(connect: Connect) -> Client:
    """An interface that asks for a token."""
    return await connect(token=TOKEN, is_local=False)


async def test_a_browser_without_the_token_is_sent_to_sign_in_and_comes_back_to_where_it_was(asking: Client) -> None:
    turned = await send(asking, "GET", "/flows?status=failed", headers=PAGE, allow_redirects=False)
    assert (turned.status, turned.headers["Location"]) == (303, "/sign-in?next=%2Fflows%3Fstatus%3Dfailed")

    page = await send(asking, "GET", turned.headers["Location"], headers=PAGE)
    assert 'value="/flows?status=failed"' in await page.text()

    signed = await submit(asking, "/sign-in", {"token": TOKEN, "next": "/flows?status=failed"})
    assert (signed.status, signed.headers["Location"]) == (303, "/flows?status=failed")
    cookie = signed.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert "Secure" not in cookie
    assert "horse" not in cookie


async def cookie_of(client: Client, **headers: str) -> str:
    signed = await submit(client, "/sign-in", {"token": TOKEN}, **headers)
    return signed.headers["Set-Cookie"].partition(";")[0]


async def test_the_cookie_opens_what_the_token_opens(asking: Client, flows: Flows) -> None:
    cookie = await cookie_of(asking)

    assert (await get(asking, "/api/flows", headers={"Cookie": cookie}))[0] == 200
    changed = await send(asking, "POST", "/register/example", headers={"Cookie": cookie, "X-Flower": "1"})
    assert (changed.status, len(flows.orders)) == (200, 1)
    assert (await send(asking, "POST", "/register/example", headers={"Cookie": cookie})).status == 403


async def test_a_cookie_that_is_changed_old_or_of_another_token_opens_nothing(
    asking: Client, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, _, value = (await cookie_of(asking)).partition("=")
    until, _, signature = value.partition(".")
    another = (await cookie_of(await connect(token=TOKEN, is_local=False))).partition("=")[2]
    assert another.partition(".")[2]

    wrong = [
        f"{int(until) + 1}.{signature}",
        f"{until}.{signature[:-1]}",
        f"{until}.",
        f".{signature}",
        "x",
        "",
        "é.é",
        "-1.x",
        f"{until}.{'0' * 64}",
    ]
    for given in wrong:
        answer = await send(asking, "GET", "/api/flows", headers={"Cookie": f"{name}={quote(given)}"})
        assert answer.status == 401, given
    monkeypatch.setattr("time.time", lambda: float(until) + 1)
    assert (await send(asking, "GET", "/api/flows", headers={"Cookie": f"{name}={value}"})).status == 401


async def test_a_wrong_token_is_told_and_gets_no_cookie(asking: Client) -> None:
    answer = await submit(asking, "/sign-in", {"token": "wrong"})

    assert (answer.status, "Set-Cookie" in answer.headers) == (401, False)
    assert "not the token" in await answer.text()


@pytest.mark.parametrize(
    "target", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)", "", "flows", "/a\r\nSet-Cookie: x=1"]
)
async def test_signing_in_leads_nowhere_else(asking: Client, target: str) -> None:
    signed = await submit(asking, "/sign-in", {"token": TOKEN, "next": target})

    assert (signed.status, signed.headers["Location"]) == (303, "/")


async def test_another_site_cannot_sign_a_browser_in_or_out(asking: Client) -> None:
    for target in ("/sign-in", "/sign-out"):
        answer = await submit(asking, target, {"token": TOKEN}, Origin="http://evil.example")
        assert (answer.status, "Set-Cookie" in answer.headers) == (403, False)


async def test_signing_out_takes_the_cookie_away(asking: Client) -> None:
    answer = await submit(asking, "/sign-out")

    assert (answer.status, answer.headers["Location"]) == (303, "/sign-in")
    assert "Max-Age=0" in answer.headers["Set-Cookie"]


async def test_a_form_is_taken_apart_only_if_it_is_small(asking: Client) -> None:
    answer = await submit(asking, "/sign-in", {"token": TOKEN, **{f"a{number}": "x" for number in range(5_000)}})

    assert (answer.status, "Set-Cookie" in answer.headers) == (413, False)


async def test_behind_tls_the_cookie_is_for_tls_only(asking: Client) -> None:
    host = f"127.0.0.1:{asking.port}"
    signed = await submit(asking, "/sign-in", {"token": TOKEN}, Origin=f"https://{host}")

    assert "Secure" in signed.headers["Set-Cookie"]


async def test_without_a_token_there_is_nothing_to_sign_in_to(client: Client) -> None:
    page = await send(client, "GET", "/sign-in", headers=PAGE, allow_redirects=False)
    tried: Any = await submit(client, "/sign-in", {"token": "x"})

    assert (page.status, page.headers["Location"], tried.status) == (303, "/", 409)


async def test_what_a_page_is_made_of_needs_no_token_and_names_its_version(asking: Client) -> None:
    page = await (await send(asking, "GET", "/sign-in", headers=PAGE)).text()
    for name in ("flower.css", "flower.js", "flower.svg"):
        address = page.partition(f'"/static/{name}')[2].partition('"')[0]
        fixed, plain = await send(asking, "GET", f"/static/{name}{address}"), await send(asking, "GET", f"/static/{name}")
        assert (fixed.status, "immutable" in fixed.headers["Cache-Control"]) == (200, True)
        assert (plain.status, plain.headers["Cache-Control"]) == (200, "no-cache")
    for name in ("..%2f__init__.py", "__init__.py", "nothing.css", "%00"):
        assert (await asking.session.get(URL(f"http://127.0.0.1:{asking.port}/static/{name}", encoded=True))).status == 404
