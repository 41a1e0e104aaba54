"""A TCP route to the test's server that can be cut off without a word, as a firewall or a pulled cable does it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import quote

from flower.database.url import parse


@dataclass
class Route:
    """*url* leads to the server through this route. While *passes* is not set, nothing goes through in either direction."""

    url: str = ""
    passes: asyncio.Event = field(default_factory=asyncio.Event)
    connections: int = 0


@asynccontextmanager
async def tcp_route(url: str, password: str, *, port: int = 0) -> AsyncIterator[Route]:
    """Lead to *url* over 127.0.0.1, from *port* or any free one."""
    address, route, tasks = parse(url), Route(), set()
    route.passes.set()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while piece := await reader.read(65536):
                await route.passes.wait()
                writer.write(piece)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        route.connections += 1
        if address.host.startswith("/"):
            inner = await asyncio.open_unix_connection(f"{address.host}/.s.PGSQL.{address.port}")
        else:
            inner = await asyncio.open_connection(address.host, address.port)
        for pair in ((reader, inner[1]), (inner[0], writer)):
            task = asyncio.create_task(pump(*pair))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(serve, "127.0.0.1", port)
    port = server.sockets[0].getsockname()[1]
    login = f"{quote(address.user)}:{quote(password, safe='')}"
    route.url = f"postgresql://{login}@127.0.0.1:{port}/{address.database}?sslmode=disable"
    try:
        yield route
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
