"""Serves the stylesheet, the script and the picture of the page, read once. Knows no page."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from types import MappingProxyType
from typing import Final

from aiohttp import web

from flower.web.answers import HEADERS

STATIC: Final = "/static/"

_TYPES = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}

routes = web.RouteTableDef()


@dataclass(frozen=True, slots=True)
class _File:
    body: bytes
    content_type: str
    version: str


def _read() -> Mapping[str, _File]:
    found = {}
    for entry in files("flower.web").joinpath("static").iterdir():
        content_type = _TYPES.get(entry.name.rpartition(".")[2])
        if content_type:
            body = entry.read_bytes()
            found[entry.name] = _File(body, content_type, hashlib.sha256(body).hexdigest()[:12])
    return MappingProxyType(found)


_FILES: Final = _read()


@routes.get(STATIC + "{name}")
async def file(request: web.Request) -> web.Response:
    """Send a stylesheet, script or picture; one that is asked for with its version never changes."""
    found = _FILES.get(request.match_info["name"])
    if found is None:
        raise web.HTTPNotFound
    is_fixed = request.query.get("v") == found.version
    headers = {**HEADERS, "Content-Type": f"{found.content_type}; charset=utf-8"}
    return web.Response(body=found.body, headers={**headers, "Cache-Control": "public, max-age=31536000, immutable" if is_fixed else "no-cache"})


def address_of(name: str) -> str:
    """Return where the static file *name* is, with its version."""
    return f"{STATIC}{name}?v={_FILES[name].version}"
