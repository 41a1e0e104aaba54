"""Decides who may ask. With a token: whoever has it, or signed in with it. Without: whoever reaches this machine under a name that is ours.

A page in somebody's browser can send requests to localhost, by DNS rebinding even as its own origin, and a browser adds the cookie of
whoever signed in to requests that he did not make. The names in Host, and the headers Sec-Fetch-Site, Origin and X-Flower, tell such
requests apart.
"""

from __future__ import annotations

import hmac
import re
import time
from collections.abc import Callable, Sequence

from aiohttp import web

from flower.core.errors import RequestRefused
from flower.web.static_files import STATIC

OPEN = frozenset({"/healthz", "/readyz"})
SIGN_IN = "/sign-in"
SIGN_OUT = "/sign-out"
HEADER = "X-Flower"
SESSION_SECONDS = 7 * 24 * 3600

_OUR_NAMES = ("localhost", "127.0.0.1", "[::1]")
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_AUTHORITY = re.compile(r"(\[[0-9a-f:.]+\]|[^\s:/@\[\]]+)(:[0-9]*)?", re.IGNORECASE)


class Session:
    """What a browser keeps instead of *token*: until when it is good, signed with the token. Whoever changes the token ends all sessions."""

    def __init__(self, token: str) -> None:
        self._key = token.encode("utf-8", "surrogateescape")
        # Browsers send a cookie to every port of a host: two Flowers with tokens of their own must not go over each other's.
        self.cookie = f"flower-{self._sign('cookie')[:8]}"

    def is_token(self, given: str) -> bool:
        """Whether *given* is the token. Takes as long for a wrong one as for the right one."""
        # Compared as bytes: compare_digest refuses text that is not ASCII.
        return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), self._key)

    def begin(self) -> str:
        """Return the value of a cookie that is good from now on, for SESSION_SECONDS."""
        until = str(int(time.time()) + SESSION_SECONDS)
        return f"{until}.{self._sign(until)}"

    def holds(self, request: web.Request) -> bool:
        """Whether *request* brings such a cookie."""
        until, _, signature = request.cookies.get(self.cookie, "").partition(".")
        is_ours = hmac.compare_digest(signature.encode("utf-8", "surrogateescape"), self._sign(until).encode())
        return is_ours and int(until) > time.time()

    def _sign(self, text: str) -> str:
        return hmac.new(self._key, text.encode("utf-8", "surrogateescape"), "sha256").hexdigest()


def guard(session: Session | None, allowed_hosts: Sequence[str]) -> Callable[[web.Request], None]:
    """Return the check that raises RequestRefused for those who may not come in; it runs before anything of the request is used.

    *session* is that of the token; None: no token is asked for.
    """
    names = frozenset(_name(host) or host.lower() for host in (*_OUR_NAMES, *allowed_hosts))

    def check(request: web.Request) -> None:
        path = request.rel_url.raw_path
        if path in OPEN:
            return
        if session is None:
            _check_host(request, names)
        elif path not in {SIGN_IN, SIGN_OUT} and not path.startswith(STATIC):
            _check_token(request, session)
        if request.method in _SAFE_METHODS:
            _check_reader(request)
        else:
            _check_origin(request)

    return check


def _check_token(request: web.Request, session: Session) -> None:
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    # Without the scheme, nothing has been given.
    if not session.is_token(given.strip() if scheme.lower() == "bearer" else "") and not session.holds(request):
        raise RequestRefused(
            401,
            "this Flower asks for its token: send the header 'Authorization: Bearer <token>' (the value of --token or FLOWER_TOKEN)",
            {"WWW-Authenticate": 'Bearer realm="flower"'},
        )


def _check_host(request: web.Request, names: frozenset[str]) -> None:
    hosts = request.headers.getall("Host", [])
    if not request.raw_path.startswith("/"):
        # The absolute form of a request line names a host of its own.
        hosts = [*hosts, request.url.raw_authority]
    if len(set(hosts)) != 1 or _name(hosts[0]) not in names:
        given = ", ".join(hosts) or "none"
        raise RequestRefused(421, f"the host {given!r} is not one of ours; if it should be, start with --allowed-host NAME (or set a token)")


def _check_reader(request: web.Request) -> None:
    # A link on another site may lead here. What such a site has its visitors' browsers fetch it cannot read; but the work would be ours.
    site = request.headers.get("Sec-Fetch-Site", "none")
    is_link = request.headers.get("Sec-Fetch-Mode") == "navigate" and request.headers.get("Sec-Fetch-Dest") == "document"
    if site not in {"none", "same-origin"} and (not is_link or request.rel_url.raw_path.startswith("/ask/")):
        raise RequestRefused(403, "a page of another site may not ask for this")


def _check_origin(request: web.Request) -> None:
    headers = request.headers
    site, origin = headers.get("Sec-Fetch-Site", "none"), headers.get("Origin")
    is_foreign = origin is not None and origin.partition("://")[2].lower() != headers.get("Host", "").lower()
    if site not in {"none", "same-origin"} or is_foreign:
        raise RequestRefused(403, "a page of another site may not do this; send the request from Flower's own page, or without a browser")
    is_browser = "Cookie" in headers or origin is not None or "Sec-Fetch-Site" in headers
    # Forms cannot send a header; those two have no other way, and a foreign one was refused above.
    if is_browser and HEADER not in headers and request.rel_url.raw_path not in {SIGN_IN, SIGN_OUT}:
        raise RequestRefused(403, f"a request with a cookie, or from a page, needs the header '{HEADER}: 1' to change something")


def _name(authority: str) -> str | None:
    match = _AUTHORITY.fullmatch(authority.strip())
    return match[1].lower() if match else None
