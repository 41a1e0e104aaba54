"""Turns a value into the one kind of answer that Flower gives: JSON that no browser, proxy or page may take for anything else."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType

from aiohttp import web

from flower.core.model import Json

# Server: aiohttp would name its version and Python's. The rest: answers are data, never a page, and always of this moment.
HEADERS = {
    "Server": "Flower",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}

_NONE: Mapping[str, str] = MappingProxyType({})
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode


def answer(value: Json, status: int = 200, *, headers: Mapping[str, str] = _NONE, content_type: str = "application/json") -> web.Response:
    """Return *value* as JSON. Raises ValueError for NaN and infinities: see `flower.core.masks.mask`."""
    # Half a surrogate pair, which a column of type json may hold, has no bytes in UTF-8; written out, it is JSON again.
    body = _encode(value).encode("utf-8", "backslashreplace")
    return web.Response(body=body, status=status, headers={**HEADERS, "Content-Type": f"{content_type}; charset=utf-8", **headers})
