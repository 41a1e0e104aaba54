"""Makes a page of a template and of values that are fit to be shown, and says what a browser may do with it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import aiohttp_jinja2
import jinja2
from aiohttp import web

from flower.web import answers
from flower.web.keys import SESSION
from flower.web.static_files import STATIC, address_of
from flower.web.words import FILTERS

# For `show`: the page follows whatever happens.
EVERYTHING: Final = ""

# A page takes everything from us, and nothing that stands in its text is run, whatever a task was called.
HEADERS: Final = answers.HEADERS | {
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "Referrer-Policy": "same-origin",
}


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
    aiohttp_jinja2.get_env(app).globals["static"] = address_of


def show(
    request: web.Request,
    template: str,
    *,
    watch: str | None = None,
    status: int = 200,
    headers: Mapping[str, str] = MappingProxyType({}),
    **values: Any,
) -> web.Response:
    """Return the page of *template*, filled with *values*. *watch*: what it follows, the id of a flow or EVERYTHING; None: nothing."""
    context = {"here": request.rel_url.path, "asks_token": request.app[SESSION] is not None, "watch": watch, **values}
    response = aiohttp_jinja2.render_template(template, request, context, status=status)
    response.headers.update({**HEADERS, **headers})
    return response


def wants_page(request: web.Request) -> bool:
    """Whether *request* comes from a browser that a person looks at, and not from a program."""
    path = request.rel_url.raw_path
    is_interface = path.startswith(("/api/", "/register/", STATIC)) or path == "/register"
    return not is_interface and "text/html" in request.headers.get("Accept", "")
