"""Clients that keep the interface waiting, each kind of them, with short deadlines; test_attack.py has the real ones."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress

import pytest
from aiohttp import ClientSession

from flower.core.model import Order, Registered
from flower.web.patience import Limits
from flower.web.requests import MOST_LARGE_BODIES
from tests.web.asking import Client, Connect, get, raw
from tests.web.memory import Flows

HEALTH = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
REGISTER = b"POST /register/example HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
# Long enough for nothing else to end a connection first.
SHORT = Limits(head_seconds=0.2, idle_seconds=20)

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


Dial = Callable[..., Awaitable[Streams]]


@pytest.fixture
async def connected() -> AsyncIterator[Dial]:
    """Opens connections, sends what they begin with, and closes them at the end."""
    writers: list[asyncio.StreamWriter] = []

    async def connected(client: Client, sent: bytes = b"") -> Streams:
        reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
        writers.append(writer)
        writer.write(sent)
        await writer.drain()
        return reader, writer

    yield connected
    for writer in writers:
        writer.close()


async def answered(streams: Streams, request: bytes) -> bytes:
    """Return the status line of the answer to *request*."""
    streams[1].write(request)
    head = await streams[0].readuntil(b"\r\n\r\n")
    await streams[0].readexactly(int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]))
    return head.partition(b"\r\n")[0]


@pytest.mark.parametrize("sent", [b"", b"POST /register/example HT", REGISTER, REGISTER + b"X-Slow: "])
async def test_a_head_that_does_not_come_is_not_waited_for(connect: Connect, flows: Flows, sent: bytes) -> None:
    client = await connect(limits=SHORT)

    assert await raw(client, sent) == b""
    assert not flows.orders


async def test_a_head_that_trickles_is_not_waited_for(connect: Connect, connected: Dial) -> None:
    reader, writer = await connected(await connect(limits=SHORT), REGISTER)

    while not reader.at_eof():
        writer.write(b"X: y\r\n")
        with suppress(TimeoutError):
            async with asyncio.timeout(0.01):
                assert await reader.read() == b""


async def test_the_next_head_has_its_own_deadline(connect: Connect, connected: Dial) -> None:
    streams = await connected(await connect(limits=SHORT))
    assert b" 200 " in await answered(streams, HEALTH)
    await asyncio.sleep(SHORT.head_seconds * 2)
    assert b" 200 " in await answered(streams, HEALTH)

    streams[1].write(HEALTH[:10])

    assert await streams[0].read() == b""


async def test_a_client_that_reads_no_answer_is_dropped(connect: Connect) -> None:
    client = await connect(limits=Limits(head_seconds=0.2, idle_seconds=0.3))
    with socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.connect(("127.0.0.1", client.port))
        deaf.settimeout(0)

        async def ask_on() -> None:
            while True:
                # The system takes no more while nothing is read; a reset is the end.
                with suppress(BlockingIOError):
                    deaf.send(HEALTH.replace(b"healthz", b"openapi.json"))
                await asyncio.sleep(0)

        with pytest.raises(ConnectionError):
            await ask_on()


async def test_where_there_is_no_room_the_one_waited_for_longest_goes_and_those_who_rest_stay(connect: Connect, connected: Dial) -> None:
    client = await connect(limits=Limits(most=3))
    resting = await connected(client)
    assert b" 200 " in await answered(resting, HEALTH)
    first, second = await connected(client), await connected(client)

    third = await connected(client)

    assert await first[0].read() == b""
    for still_there in (resting, second, third):
        assert b" 200 " in await answered(still_there, HEALTH)


async def test_while_all_are_being_served_one_more_is_told_to_come_again(
    connect: Connect, connected: Dial, flows: Flows, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()
    register_all = flows.register_all

    async def slowly(orders: Sequence[Order]) -> Sequence[Registered]:
        begun.set()
        await go_on.wait()
        return await register_all(orders)

    monkeypatch.setattr(flows, "register_all", slowly)
    client = await connect(limits=Limits(most=1))
    served = await connected(client)
    answer = asyncio.create_task(answered(served, REGISTER + b"Content-Length: 2\r\n\r\n{}"))
    await begun.wait()

    said = await raw(client, HEALTH)

    assert said.startswith(b"HTTP/1.1 503")
    assert b"Retry-After: 1" in said
    go_on.set()
    assert b" 200 " in await answer


async def test_large_bodies_take_turns_and_small_ones_pass(client: Client, connected: Dial, flows: Flows) -> None:
    begun = REGISTER + b"Content-Length: 100000\r\n\r\n{" + b" " * 70_000
    holding = [await connected(client, begun) for _ in range(MOST_LARGE_BODIES)]
    assert (await get(client, "/healthz"))[0] == 200
    one_more = await connected(client, begun)
    one_more[1].write(b" " * 29_998 + b"}")
    small = await connected(client, REGISTER + b"Content-Length: 2\r\n\r\n{")
    assert b" 200 " in await answered(small, b"}")
    assert len(flows.orders) == 1

    holding[0][1].close()

    assert b" 200 " in await answered(one_more, b"")


async def test_the_rest_of_a_refused_body_is_not_read_for_long(client: Client, connected: Dial) -> None:
    reader, writer = await connected(client, REGISTER + b"Content-Length: 1000000000\r\n\r\n")
    assert (await reader.readline()).startswith(b"HTTP/1.1 413")
    sent = 0

    async def send_on() -> None:
        nonlocal sent
        while True:
            writer.write(bytes(65536))
            await writer.drain()
            sent += 65536

    with pytest.raises(ConnectionError):
        await send_on()
    # What the system takes over from the sender comes on top of what is read.
    assert sent < 50_000_000


async def test_many_sessions_one_after_the_other_leave_no_trace(connect: Connect) -> None:
    client = await connect(limits=Limits(most=2))
    for _ in range(20):
        async with ClientSession() as session:
            assert (await get(Client(session, client.port), "/healthz"))[0] == 200
