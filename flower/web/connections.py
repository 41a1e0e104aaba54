"""Stands between aiohttp and a client's bytes, where no middleware reaches: what is no HTTP at all, UTF-8 in a request line, slow clients."""

from __future__ import annotations

import asyncio
import re
from typing import Any, Final, cast

from aiohttp import web
from aiohttp.typedefs import Handler

from flower.core import log
from flower.web.answers import answer
from flower.web.patience import Limits, Patience

_log = log.get()

# What the server below the application must know. Bodies are handed on as they came (a packed one is refused, not unpacked); no
# access log; signals are the process's; whoever goes on sending what is refused is heard out briefly, because a connection closed at
# once takes the answer with it; half a MiB read ahead of a handler, as aiohttp would have it, is a lot for each of many clients.
SERVER: Final[dict[str, Any]] = {
    "access_log": None,
    "auto_decompress": False,
    "handle_signals": False,
    "lingering_time": 1,
    "read_bufsize": 32 * 1024,
}

_TARGET = re.compile(rb"[A-Z]+ [^ \r\n]+ HTTP/1\.[01]\r?\n")
_BEYOND_ASCII = re.compile(rb"[\x80-\xff]")
# So much of a body that was refused is still read: reading all of it would be as much work as taking it.
_HEARD_OUT = 4 * 1024 * 1024
_FULL = b"HTTP/1.1 503 Service Unavailable\r\nServer: Flower\r\nRetry-After: 1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


def create_runner(app: web.Application, *, shutdown_seconds: float = 5, limits: Limits | None = None) -> web.AppRunner:
    """Return what serves *app* as it should be served. *shutdown_seconds*: how long requests in flight may take at the end."""
    return _Runner(app, limits or Limits(), shutdown_seconds)


@web.middleware
async def attended(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Tell the connection that a request's head is here, which aiohttp tells nobody else."""
    if isinstance(request.protocol, _Connection):
        request.protocol.attend(request)
    return await handler(request)


class _Connection(web.RequestHandler):
    """One client's connection."""

    __slots__ = ("_has_begun", "_is_idle", "_line", "_patience", "_refused")

    def __init__(self, manager: web.Server, patience: Patience, **settings: Any) -> None:
        super().__init__(manager, keepalive_timeout=patience.limits.idle_seconds, **settings)
        self._patience = patience
        self._has_begun = self._is_idle = False
        # How much has come of the rest of a body after its answer; None: no such rest is under way.
        self._refused: int | None = None
        self._line: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for a request, if there is room."""
        # aiohttp's own reference goes when it closes, and closing may take for ever: it waits until the client has read everything.
        self._line = cast(asyncio.Transport, transport)
        if self._patience.admit(self):
            super().connection_made(transport)
            self._patience.wait(self, self._patience.limits.head_seconds)
        else:
            self._line.write(_FULL)
            self._line.close()
            self.force_close()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Forget the client."""
        self._patience.leave(self)
        super().connection_lost(exc)

    def end(self) -> None:
        """Close the connection at once, whatever has not been sent yet."""
        if self._line is not None:
            self._line.abort()

    def attend(self, request: web.Request) -> None:
        """Wait no more, or only for the body, whose reader counts the seconds and answers when they are over."""
        self._is_idle, self._refused = False, None
        if request.content.is_eof():
            self._patience.wait_no_more(self)
        else:
            self._patience.wait_on(self)
            request.content.on_eof(lambda: self._patience.wait_no_more(self))

    async def finish_response(self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None) -> tuple[web.StreamResponse, bool]:
        """Send the answer, and wait until the client has taken it and asks for more."""
        self._patience.wait(self, self._patience.limits.idle_seconds)
        sent = await super().finish_response(request, resp, start_time)
        self._patience.rest(self, self._patience.limits.idle_seconds)
        self._is_idle, self._refused = True, None if request.content.is_eof() else 0
        return sent

    def data_received(self, data: bytes) -> None:
        """Take *data* from the client."""
        if self._is_idle and data:
            self._is_idle = False
            self._patience.wait(self, self._patience.limits.head_seconds)
        if self._refused is not None:
            self._refused += len(data)
            if self._refused > _HEARD_OUT:
                self.force_close()
                return
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

    def __init__(self, app: web.Application, limits: Limits, shutdown_seconds: float) -> None:
        super().__init__(app, shutdown_timeout=shutdown_seconds, **SERVER)
        self._patience = Patience(limits)

    @property
    def server(self) -> web.Server | None:
        """What a site calls for each new connection."""
        server = super().server
        if server is None:
            return None
        settings = {name: value for name, value in SERVER.items() if name != "handle_signals"}

        def connection() -> _Connection:
            return _Connection(server, self._patience, loop=asyncio.get_running_loop(), **settings)

        return cast(web.Server, connection)


def _percent_encoded(data: bytes) -> bytes:
    line = _TARGET.match(data)
    if line is None or line[0].isascii():
        return data
    return _BEYOND_ASCII.sub(lambda byte: b"%%%02X" % ord(byte[0]), line[0]) + data[line.end() :]
