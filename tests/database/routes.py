"""A TCP route to the test's server on which everything can go wrong that goes wrong on a network: the fault proxy.

It knows the wire so far: from which session a connection is (`flower/<worker>/<role>`), and where a message of the server begins and ends.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import quote

from flower.database.url import parse

_PIECE = 65536
_HEAD = 5  # a message: its type, and four bytes of length which count themselves
Dice = Callable[[], float]


@dataclass
class Route:
    """*url* leads to the server through this route. As made it passes everything on; each field is one fault, and they can be set together.

    *passes*: while it is not set nothing goes through in either direction, and nobody is told. *refuses*: no new connection is taken.
    *delay*: seconds that each piece is late, asked anew each time. *drops*: types of server messages that never arrive (`A` is a notification).
    *cuts*: the part of transactions whose answer is lost: it has been committed, and the connection ends.
    *roles*: whose sessions are met by all this; None for everybody.
    """

    url: str = ""
    passes: asyncio.Event = field(default_factory=asyncio.Event)
    refuses: bool = False
    delay: Callable[[], float] | None = None
    drops: bytes = b""
    cuts: float = 0
    roles: frozenset[str] | None = None
    dice: Dice = random.random
    connections: int = 0
    lost_answers: int = 0

    def meets(self, role: str) -> bool:
        """Whether the faults are for the sessions of *role*."""
        return self.roles is None or role in self.roles


class _Session:
    """One connection on its way through *route*."""

    def __init__(self, route: Route) -> None:
        self.route, self.role = route, ""

    async def to_server(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = True
        while piece := await reader.read(_PIECE):
            if first:
                self.role, first = _role(piece), False
            await self._pass(writer, piece)

    async def to_client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        rest = b""
        while piece := await reader.read(_PIECE):
            whole, rest = _messages(rest + piece)
            if self._loses(whole):
                self.route.lost_answers += 1
                return
            kept = [message for message in whole if message[:1] not in self._dropped]
            if kept:
                await self._pass(writer, b"".join(kept))

    @property
    def _dropped(self) -> list[bytes]:
        return [bytes([kind]) for kind in self.route.drops] if self.route.meets(self.role) else []

    def _loses(self, messages: list[bytes]) -> bool:
        if not self.route.cuts or not self.route.meets(self.role):
            return False
        # `C` says what was done, `Z` that it is committed.
        is_committed = any(message[:1] == b"C" for message in messages) and messages[-1][:1] == b"Z"
        return is_committed and self.route.dice() < self.route.cuts

    async def _pass(self, writer: asyncio.StreamWriter, piece: bytes) -> None:
        if self.route.meets(self.role):
            await self.route.passes.wait()
            if self.route.delay is not None:
                await asyncio.sleep(self.route.delay())
        writer.write(piece)
        await writer.drain()


def _role(startup: bytes) -> str:
    """Return the last word of the application's name in the first message of a client."""
    words = startup[8:].split(b"\0")
    pairs = dict(zip(words[::2], words[1::2], strict=False))
    return pairs.get(b"application_name", b"").decode(errors="replace").rpartition("/")[2]


def _messages(text: bytes) -> tuple[list[bytes], bytes]:
    """Return the whole messages in *text*, and what is left of it."""
    found: list[bytes] = []
    start = 0
    while len(text) >= start + _HEAD and len(text) >= (end := start + 1 + int.from_bytes(text[start + 1 : start + _HEAD], "big")):
        found.append(text[start:end])
        start = end
    return found, text[start:]


@asynccontextmanager
async def tcp_route(url: str, password: str, *, port: int = 0) -> AsyncIterator[Route]:
    """Lead to *url* over 127.0.0.1, from *port* or any free one."""
    address, route, tasks = parse(url), Route(), set()
    route.passes.set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if route.refuses:
            writer.transport.abort()
            return
        route.connections += 1
        try:
            if address.host.startswith("/"):
                inner = await asyncio.open_unix_connection(f"{address.host}/.s.PGSQL.{address.port}")
            else:
                inner = await asyncio.open_connection(address.host, address.port)
        except OSError:
            writer.transport.abort()
            return
        session = _Session(route)
        ways = ((session.to_server(reader, inner[1]), inner[1]), (session.to_client(inner[0], writer), writer))
        for way, end in ways:
            task = asyncio.create_task(_until_closed(way, end))
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


async def _until_closed(way: Coroutine[None, None, None], end: asyncio.StreamWriter) -> None:
    try:
        await way
    except OSError:
        pass
    finally:
        end.close()
