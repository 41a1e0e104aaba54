"""`HTTPPostRequest`: the ancestor's program that posts a body. Which hosts it may call is decided in reach.py."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any, NoReturn

from aiohttp import ClientError, ClientResponse, ClientSession, ClientTimeout, DummyCookieJar, TCPConnector, hdrs
from yarl import URL

from flower.core.errors import ProgramFailed
from flower.programs.reach import CheckedResolver, Reach, checked_socket, shown
from flower.sdk import context, task

TIMEOUT_SECONDS = 30
ANSWER_LIMIT_BYTES = 1024 * 1024

_MOST_REDIRECTS = 3
_SUCCESS = range(200, 300)
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_KEEP_POST = frozenset({307, 308})
_PORT_OF_HTTP, _PORT_OF_HTTPS = 80, 443

# The result has the answer, a status and a few letters more, and may be as large as the answer may be.
_BODY_LIMIT_BYTES = ANSWER_LIMIT_BYTES - 200
_SHOWN_CHARACTERS = 500


@task(name="HTTPPostRequest")
async def http_post_request(URL: str, BODY: str) -> dict[str, Any]:  # noqa: N803 - the ancestor's names
    """Post BODY as it is, as JSON, to URL; return the status and the beginning of the answer. Any 2xx succeeds.

    Raises ProgramFailed, with the URL, for any other status, no answer within 30 s, a host that may not be called, a redirect to
    another host and one that would not stay a POST.
    """
    answer = await _caller.post(URL, BODY)
    context().log.info("program.posted", status=answer["status"])
    return answer


class Caller:
    """Posts, within *reach*. Keeps connections for the next call."""

    def __init__(self, reach: Reach, *, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self._reach = reach
        self._timeout_seconds = timeout_seconds
        self._session: ClientSession | None = None

    async def post(self, address: str, body: str) -> dict[str, Any]:
        """Post *body* to *address*, as `http_post_request` promises."""
        url = _parse(address)
        try:
            async with asyncio.timeout(self._timeout_seconds):
                return await self._follow(url, body.encode())
        except TimeoutError:
            raise ProgramFailed(f"POST {shown(url)}: no complete answer within {self._timeout_seconds:g} s") from None
        except (ClientError, OSError, ValueError) as error:
            raise ProgramFailed(f"POST {shown(url)}: {_reason(error)}") from None

    async def close(self) -> None:
        """Close all connections. The next call opens new ones."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _follow(self, url: URL, body: bytes) -> dict[str, Any]:
        for _ in range(_MOST_REDIRECTS + 1):
            self._reach.check(url)
            headers = {hdrs.CONTENT_TYPE: "application/json"}
            async with self._open().post(url, data=body, headers=headers, allow_redirects=False) as response:
                if response.status not in _REDIRECTS:
                    return await _answer(url, response)
                url = _next(url, response)
        raise ProgramFailed(f"POST {shown(url)}: more than {_MOST_REDIRECTS} redirects")

    def _open(self) -> ClientSession:
        if self._session is None or self._session.closed:
            self._session = ClientSession(
                # How many calls there are at once is the engine's decision: its slots.
                connector=TCPConnector(resolver=CheckedResolver(), socket_factory=checked_socket, limit=0),
                cookie_jar=DummyCookieJar(),
                headers={hdrs.USER_AGENT: _user_agent(), hdrs.ACCEPT_ENCODING: "identity"},
                timeout=ClientTimeout(total=None),
                trust_env=False,
            )
        return self._session


async def _answer(url: URL, response: ClientResponse) -> dict[str, Any]:
    raw = bytearray()
    async for chunk in response.content.iter_any():
        raw += chunk
        if len(raw) > ANSWER_LIMIT_BYTES:
            # What is not read would have to be, before the connection could serve again.
            response.close()
            break
    text = _decoded(bytes(raw[:ANSWER_LIMIT_BYTES]), response)
    if response.status not in _SUCCESS:
        _fail(url, f"answered {response.status} {response.reason or ''}".rstrip() + (f": {text[:_SHOWN_CHARACTERS]}" if text else ""))
    body = _fitting(text)
    result: dict[str, Any] = {"status": response.status, "body": body}
    return result | ({"truncated": True} if len(raw) > ANSWER_LIMIT_BYTES or len(body) < len(text) else {})


def _decoded(raw: bytes, response: ClientResponse) -> str:
    try:
        return raw.decode(response.charset or "utf-8", errors="replace")
    except LookupError:
        return raw.decode(errors="replace")


def _fitting(text: str) -> str:
    """Return the beginning of *text* that fits into a result: written as JSON, some characters take six bytes."""
    while (size := len(json.dumps(text, ensure_ascii=False).encode(errors="replace"))) > _BODY_LIMIT_BYTES:
        text = text[: min(len(text) * _BODY_LIMIT_BYTES // size, len(text) - 1)]
    return text


def _next(url: URL, response: ClientResponse) -> URL:
    location = response.headers.get(hdrs.LOCATION, "")
    try:
        target = url.join(URL(location))
    except ValueError:
        target = None
    if target is None or not location:
        _fail(url, f"answered {response.status} without a usable Location")
    if not _is_same_host(url, target):
        _fail(url, f"answered {response.status} to {shown(target)}, another host, which is not followed; set URL to where it should go")
    if response.status not in _KEEP_POST:
        _fail(url, f"answered {response.status} to {shown(target)}, which would turn the POST into a GET; set URL to where it should go")
    return target


def _is_same_host(url: URL, target: URL) -> bool:
    if url.host != target.host or target.scheme not in {"http", "https"}:
        return False
    is_upgrade = (url.scheme, url.port, target.scheme, target.port) == ("http", _PORT_OF_HTTP, "https", _PORT_OF_HTTPS)
    return is_upgrade or (url.scheme, url.port) == (target.scheme, target.port)


def _parse(address: str) -> URL:
    try:
        url = URL(address)
        is_usable = url.scheme in {"http", "https"} and bool(url.host) and url.port is not None
    except (ValueError, TypeError) as error:
        raise ProgramFailed(f"{address[:_SHOWN_CHARACTERS]!r} is no URL: {error}") from None
    if not is_usable:
        raise ProgramFailed(f"{address[:_SHOWN_CHARACTERS]!r} is no URL that can be called: write http://… or https://…")
    return url


def _reason(error: Exception) -> str:
    inner = getattr(error, "os_error", None) or error
    return str(inner) or type(inner).__name__


def _fail(url: URL, reason: str) -> NoReturn:
    raise ProgramFailed(f"POST {shown(url)}: {reason}")


def _user_agent() -> str:
    try:
        return f"flower/{version('flower-workflow')}"
    except PackageNotFoundError:
        return "flower"


# Until `configure` says how this process listens, nothing may be called.
_caller = Caller(Reach())


def configure(allow: Sequence[str], *, is_local: bool) -> None:
    """Say what this process may call: any host while it listens on loopback only (*is_local*), else those in *allow*.

    To be called before the first task runs.
    """
    global _caller  # noqa: PLW0603 - a program is a plain function: this is how the process's settings reach it
    _caller = Caller(Reach(tuple(allow), any_host=is_local))


async def close() -> None:
    """Close the connections of HTTPPostRequest."""
    await _caller.close()
