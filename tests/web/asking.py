"""Small ways to ask over HTTP that the client library would tidy up on the way."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import ClientResponse, ClientSession
from yarl import URL


@dataclass(frozen=True, slots=True)
class Client:
    """Somebody on this machine who asks the interface at *port*."""

    session: ClientSession
    port: int


Connect = Callable[..., Awaitable[Client]]


async def send(client: Client, method: str, target: str, **options: Any) -> ClientResponse:
    """Send *target* byte for byte: no normal form, no second percent-encoding."""
    root = f"http://127.0.0.1:{client.port}"
    return await client.session.request(method, URL(root + target, encoded=True), **options)


async def post(client: Client, target: str, **options: Any) -> tuple[int, Any]:
    """Return the status and the JSON that POST answers."""
    answer = await send(client, "POST", target, **options)
    return answer.status, await answer.json()


async def get(client: Client, target: str, **options: Any) -> tuple[int, Any]:
    """Return the status and the JSON, of whatever content type, that GET answers."""
    answer = await send(client, "GET", target, **options)
    return answer.status, await answer.json(content_type=None)


async def raw(client: Client, request: bytes) -> bytes:
    """Send bytes, and return all that comes until the server closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    try:
        writer.write(request)
        await writer.drain()
        return await reader.read()
    finally:
        writer.close()
