"""Decides who may ask. With a token: whoever has it. Without: whoever reaches this machine under a name that is ours.

A page in somebody's browser can send requests to localhost, by DNS rebinding even as its own origin. The names in Host and the
headers Sec-Fetch-Site and Origin tell such requests apart.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Sequence

from aiohttp import web

from flower.core.errors import RequestRefused

OPEN = frozenset({"/healthz", "/readyz"})

_OUR_NAMES = ("localhost", "127.0.0.1", "[::1]")
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_AUTHORITY = re.compile(r"(\[[0-9a-f:.]+\]|[^\s:/@\[\]]+)(:[0-9]*)?", re.IGNORECASE)


def guard(token: str | None, allowed_hosts: Sequence[str]) -> Callable[[web.Request], None]:
    """Return the check that raises RequestRefused for those who may not come in; it runs before anything of the request is used."""
    names = frozenset(_name(host) or host.lower() for host in (*_OUR_NAMES, *allowed_hosts))

    def check(request: web.Request) -> None:
        if request.rel_url.raw_path in OPEN:
            return
        if token is not None:
            _check_token(request, token)
        else:
            _check_host(request, names)
        if request.method not in _SAFE_METHODS:
            _check_origin(request)

    return check


def _check_token(request: web.Request, token: str) -> None:
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    # Compared as bytes: compare_digest refuses text that is not ASCII. Without the scheme, nothing has been given.
    sent = given.strip().encode("utf-8", "surrogateescape") if scheme.lower() == "bearer" else b""
    if not hmac.compare_digest(sent, token.encode("utf-8", "surrogateescape")):
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


def _check_origin(request: web.Request) -> None:
    site, origin = request.headers.get("Sec-Fetch-Site", "none"), request.headers.get("Origin")
    is_foreign = origin is not None and origin.partition("://")[2].lower() != request.headers.get("Host", "").lower()
    if site not in {"none", "same-origin"} or is_foreign:
        raise RequestRefused(403, "a page of another site may not do this; send the request from Flower's own page, or without a browser")


def _name(authority: str) -> str | None:
    match = _AUTHORITY.fullmatch(authority.strip())
    return match[1].lower() if match else None
