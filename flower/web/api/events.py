"""GET /api/events: says that something has changed, so that a page looks again."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import Final

from aiohttp import web
from aiohttp_sse import EventSourceResponse
from pydantic import BaseModel, Field

from flower.core.errors import RequestRefused
from flower.web.answers import HEADERS
from flower.web.keys import WATCHERS
from flower.web.requests import query
from flower.web.watchers import Watcher

routes = web.RouteTableDef()

EVENTS: Final = "/api/events"
# Each keeps a connection; others must find room.
MOST_WATCHERS: Final = 200
_AGAIN_MILLISECONDS = 1000
_LONGEST_SILENCE_SECONDS = 5
_TAKING_SECONDS = 30


class EventsQuery(BaseModel, extra="forbid", frozen=True):
    """What is watched."""

    flow: str | None = Field(default=None, max_length=256, description="only what changes in this flow (its whole id); without it, all")


@routes.get(EVENTS)
async def events(request: web.Request) -> web.StreamResponse:
    """Send the event `changed` whenever something has, as server-sent events, and `ready` at the beginning."""
    wanted, watchers = query(request, EventsQuery), request.app[WATCHERS]
    if len(watchers) >= MOST_WATCHERS:
        raise RequestRefused(503, f"{MOST_WATCHERS} watch already: ask again now and then instead", {"Retry-After": "5"})
    stream = EventSourceResponse(headers=HEADERS, ping_interval=_LONGEST_SILENCE_SECONDS, send_timeout=_TAKING_SECONDS)
    async with watchers.watching(wanted.flow) as watcher:
        await stream.prepare(request)
        # Whoever has left is noticed by the library, when it next sends something to keep the connection alive.
        left = asyncio.create_task(stream.wait())
        left.add_done_callback(lambda _: watcher.end())
        with suppress(ConnectionResetError, TimeoutError):
            async with stream:
                await _tell(stream, watcher, json.dumps({"flow": wanted.flow}))
    return stream


async def _tell(stream: EventSourceResponse, watcher: Watcher, said: str) -> None:
    await stream.send(said, event="ready", retry=_AGAIN_MILLISECONDS)
    while await watcher.changed():
        await stream.send(said, event="changed")
