"""Makes a page of a template and of values that are fit to be shown, and says what a browser may do with it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from types import MappingProxyType
from typing import Any, Final

import aiohttp_jinja2
import jinja2
from aiohttp import web

from flower.web import answers
from flower.web.auth import STATIC
from flower.web.keys import ASKS_TOKEN
from flower.web.pages.words import FILTERS

# A page takes everything from us, and nothing that stands in its text is run, whatever a task was called.
HEADERS: Final = answers.HEADERS | {
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "Referrer-Policy": "same-origin",
}
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
async def static(request: web.Request) -> web.Response:
    """Send a stylesheet, script or picture; one that is asked for with its version never changes."""
    found = _FILES.get(request.match_info["name"])
    if found is None:
        raise web.HTTPNotFound
    is_fixed = request.query.get("v") == found.version
    headers = {**answers.HEADERS, "Content-Type": f"{found.content_type}; charset=utf-8"}
    return web.Response(body=found.body, headers={**headers, "Cache-Control": "public, max-age=31536000, immutable" if is_fixed else "no-cache"})


def address(name: str) -> str:
    """Return where the static file *name* is, with its version."""
    return f"{STATIC}{name}?v={_FILES[name].version}"


def setup(app: web.Application) -> None:
    """Make *app* able to `show`."""
    aiohttp_jinja2.setup(
        app,
        loader=jinja2.PackageLoader("flower.web"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        filters=FILTERS,
    )
    aiohttp_jinja2.get_env(app).globals["static"] = address


def show(request: web.Request, template: str, *, status: int = 200, headers: Mapping[str, str] = MappingProxyType({}), **values: Any) -> web.Response:
    """Return the page of *template*, filled with *values*."""
    context = {"here": request.rel_url.path, "asks_token": request.app[ASKS_TOKEN], **values}
    response = aiohttp_jinja2.render_template(template, request, context, status=status)
    response.headers.update({**HEADERS, **headers})
    return response


def wants_page(request: web.Request) -> bool:
    """Whether *request* comes from a browser that a person looks at, and not from a program."""
    path = request.rel_url.raw_path
    is_interface = path.startswith(("/api/", "/register/", STATIC)) or path == "/register"
    return not is_interface and "text/html" in request.headers.get("Accept", "")
