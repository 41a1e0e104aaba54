"""Stands between aiohttp and a client's bytes, where no middleware reaches: what is no HTTP at all, and UTF-8 in a request line."""

from __future__ import annotations

import asyncio
import re
from typing import Any, Final, cast

from aiohttp import web

from flower.core import log
from flower.web.answers import answer

_log = log.get()

# What the server below the application must know. Bodies are handed on as they came (a packed one is refused, not unpacked); no
# access log; signals are the process's; a silent client is dropped; one that goes on sending what is refused is heard out briefly,
# because a connection closed at once takes the answer with it.
SERVER: Final[dict[str, Any]] = {
    "access_log": None,
    "auto_decompress": False,
    "handle_signals": False,
    "keepalive_timeout": 30,
    "lingering_time": 1,
}

_TARGET = re.compile(rb"[A-Z]+ [^ \r\n]+ HTTP/1\.[01]\r?\n")
_BEYOND_ASCII = re.compile(rb"[\x80-\xff]")


def create_runner(app: web.Application, *, shutdown_seconds: float = 5) -> web.AppRunner:
    """Return what serves *app* as it should be served. *shutdown_seconds*: how long requests in flight may take at the end."""
    return _Runner(app, shutdown_timeout=shutdown_seconds, **SERVER)


class _Connection(web.RequestHandler):
    """One client's connection."""

    __slots__ = ("_has_begun",)

    def __init__(self, manager: web.Server, **settings: Any) -> None:
        super().__init__(manager, **settings)
        self._has_begun = False

    def data_received(self, data: bytes) -> None:
        """Take *data* from the client."""
        if not self._has_begun:
            # curl sends a typed /register/花 as it is, and the parser takes only ASCII. What comes first is a request line for
            # sure; later on the connection such bytes may as well be part of a body, and stay.
            self._has_begun = True
            data = _percent_encoded(data)
        super().data_received(data)

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """Answer what is no HTTP. aiohttp would log an error with its traceback for whatever a stranger sends."""
        if status != web.HTTPBadRequest.status_code or request.writer.output_size > 0:
            return super().handle_error(request, status, exc, message)
        _log.debug("http.malformed", error=message)
        problem = {"type": "about:blank", "title": "Bad Request", "status": status, "detail": f"this is no HTTP: {message}", "errors": []}
        response = answer(problem, status, content_type="application/problem+json")
        response.force_close()
        return response


class _Runner(web.AppRunner):
    """Makes connections of ours."""

    @property
    def server(self) -> web.Server | None:
        """What a site calls for each new connection."""
        server = super().server
        if server is None:
            return None
        settings = {name: value for name, value in SERVER.items() if name != "handle_signals"}

        def connection() -> _Connection:
            return _Connection(server, loop=asyncio.get_running_loop(), **settings)

        return cast(web.Server, connection)


def _percent_encoded(data: bytes) -> bytes:
    line = _TARGET.match(data)
    if line is None or line[0].isascii():
        return data
    return _BEYOND_ASCII.sub(lambda byte: b"%%%02X" % ord(byte[0]), line[0]) + data[line.end() :]
