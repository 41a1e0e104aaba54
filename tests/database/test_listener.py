"""The listener: it hears, it notices when it no longer does, and it always comes back."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import unquote, urlsplit

import asyncpg
import pytest
from structlog.testing import capture_logs

from flower.core.errors import DatabaseLost
from flower.database.listener import PROBE_CHANNEL, Listener
from flower.database.pool import Pool, connect
from tests.database.routes import tcp_route

CHANNELS = ("flower", "flower_stop")


class Bells:
    """Counts the rings, and lets a test wait for the next."""

    def __init__(self) -> None:
        self.rings: Counter[str] = Counter()
        self._rung = asyncio.Event()

    def ring(self, channel: str) -> None:
        self.rings[channel] += 1
        self._rung.set()

    async def until(self, **counts: int) -> None:
        async with asyncio.timeout(10):
            while any(self.rings[channel] < count for channel, count in counts.items()):
                self._rung.clear()
                await self._rung.wait()


@asynccontextmanager
async def listening(url: str) -> AsyncIterator[tuple[Listener, Bells]]:
    bells = Bells()
    listener = Listener(url, "public", CHANNELS, bells.ring, worker="w")
    running = asyncio.create_task(listener.run())
    try:
        yield listener, bells
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


@pytest.fixture
async def pool(server_url: str) -> AsyncIterator[Pool]:
    async with Pool(server_url, role="engine") as pool:
        yield pool


@pytest.fixture
def heard(server_url: str) -> str:
    """Where the listener listens: channels belong to a database, and no test writes there."""
    return server_url


async def end_listeners(pool: Pool) -> int:
    ended = await pool.fetchval("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'flower/w/listener'")
    return int(ended)


async def test_every_channel_is_rung_once_at_the_start_and_then_when_it_is_notified(heard: str, pool: Pool) -> None:
    async with listening(heard) as (listener, bells):
        await bells.until(flower=1, flower_stop=1)
        assert listener.state == "ok"

        await pool.execute("NOTIFY flower")

        await bells.until(flower=2)
        assert bells.rings == {"flower": 2, "flower_stop": 1}


async def test_what_is_notified_before_the_first_ring_is_not_lost(heard: str, pool: Pool) -> None:
    bells = Bells()
    sent: list[asyncio.Task[str]] = []

    def ring(channel: str) -> None:
        if not sent:
            sent.append(asyncio.create_task(pool.execute("NOTIFY flower")))
        bells.ring(channel)

    running = asyncio.create_task(Listener(heard, "public", CHANNELS, ring).run())
    await bells.until(flower=2)
    running.cancel()
    await asyncio.gather(running, *sent, return_exceptions=True)


async def test_it_is_back_within_a_second_every_time_its_backend_is_ended(heard: str, pool: Pool) -> None:
    with capture_logs() as logs:
        async with listening(heard) as (listener, bells):
            await bells.until(flower=1)
            for turn in range(10):
                before, began = bells.rings["flower"], time.monotonic()
                assert await end_listeners(pool) == 1
                await bells.until(flower=before + 1)
                assert time.monotonic() - began < 1, f"turn {turn}"
            assert listener.state == "ok"
            before = bells.rings["flower"]
            await pool.execute("NOTIFY flower")
            await bells.until(flower=before + 1)

    assert [entry["event"] for entry in logs].count("listener.lost") == 10


async def test_a_probe_is_heard_from_end_to_end(heard: str, pool: Pool) -> None:
    async with listening(heard) as (listener, bells):
        await bells.until(flower=1)

        assert await listener.prove(lambda nonce: pool.execute("SELECT pg_notify($1, $2)", PROBE_CHANNEL, nonce), 5)

        assert bells.rings == {"flower": 1, "flower_stop": 1}


async def test_a_listener_on_a_silent_route_is_found_out_cut_and_back_when_the_route_is(heard: str, pool: Pool) -> None:
    async def send(nonce: str) -> str:
        return await pool.execute("SELECT pg_notify($1, $2)", PROBE_CHANNEL, nonce)

    async with tcp_route(heard, unquote(urlsplit(heard).password or "")) as route, listening(route.url) as (listener, bells):
        await bells.until(flower=1)
        assert await listener.prove(send, 5)
        route.passes.clear()

        assert not await listener.prove(send, 0.2)

        assert listener.state != "ok"
        route.passes.set()
        await bells.until(flower=2)
        assert listener.state == "ok"
        assert await listener.prove(send, 5)


async def test_a_probe_that_cannot_be_sent_proves_nothing_and_cuts_nothing(heard: str) -> None:
    async def send(_: str) -> None:
        raise DatabaseLost("no connection")

    async with listening(heard) as (listener, bells):
        await bells.until(flower=1)

        assert not await listener.prove(send, 5)

        assert listener.state == "ok"


async def test_it_waits_for_a_server_that_is_away_and_says_so() -> None:
    async with listening("postgresql://u:canary@/d?host=/no/such/folder") as (listener, bells):
        async with asyncio.timeout(5):
            while "No such file" not in listener.state:
                await asyncio.sleep(0)

        assert "canary" not in listener.state
        assert not await listener.prove(asyncio.sleep, 0.1)  # type: ignore[arg-type]
        assert not bells.rings


async def test_its_connection_ends_with_it(heard: str) -> None:
    watcher = await connect(heard, role="test")
    async with listening(heard) as (_, bells):
        await bells.until(flower=1)

    async with asyncio.timeout(5):
        while await watcher.fetchval("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'flower/w/listener'"):
            await asyncio.sleep(0.01)
    await watcher.close()


async def test_it_never_opens_a_transaction_that_would_hold_up_the_queue(heard: str, pool: Pool) -> None:
    async with listening(heard) as (_, bells):
        await bells.until(flower=1)

        states: list[asyncpg.Record] = list(
            await pool.fetch("SELECT state, backend_xmin FROM pg_stat_activity WHERE application_name = 'flower/w/listener'")
        )

        assert [tuple(state) for state in states] == [("idle", None)]
