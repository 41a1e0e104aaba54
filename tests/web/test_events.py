from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import ClientTimeout

from flower.core.errors import DatabaseLost
from flower.database.pool import Connection, Pool
from flower.database.store import Store
from flower.database.store.changes import Changes, Snapshot
from flower.web.api import events
from flower.web.watchers import Watchers
from tests.engine.living import until
from tests.web.asking import Client, send
from tests.web.test_end_to_end import serve


class Heard:
    """What came over a stream, by the name of the event."""

    def __init__(self) -> None:
        self.names: list[str] = []

    async def at_least(self, *names: str) -> None:
        await until(lambda: len(self.names) >= len(names), seconds=5)
        assert self.names[: len(names)] == list(names)


@asynccontextmanager
async def hearing(client: Client, target: str = "/api/events") -> AsyncIterator[Heard]:
    heard = Heard()

    async def hear() -> None:
        async with await send(client, "GET", target, timeout=ClientTimeout(total=None)) as answer:
            assert (answer.status, answer.headers["Content-Type"]) == (200, "text/event-stream")
            async for line in answer.content:
                if line.startswith(b"event: "):
                    heard.names.append(line[7:].decode().strip())

    listening = asyncio.create_task(hear())
    try:
        yield heard
    finally:
        listening.cancel()
        await asyncio.wait((listening,))


@pytest.fixture
async def watched(pool: Pool) -> AsyncIterator[Client]:
    async for client in serve(Store(pool)):
        yield client


async def started(connection: Connection) -> str:
    return str(await connection.fetchval("SELECT flower_register('hello')"))


async def test_a_change_is_told_within_300_ms_and_only_to_those_it_concerns(watched: Client, connection: Connection) -> None:
    one, other = await started(connection), await started(connection)
    async with hearing(watched, f"/api/events?flow={one}") as mine, hearing(watched, f"/api/events?flow={other}") as others, hearing(watched) as all_:
        for heard in (mine, others, all_):
            await heard.at_least("ready", "changed")  # the first look: nobody knows what was before
        before, began = len(all_.names), time.perf_counter()

        await connection.execute("UPDATE kr_task_stat SET exec_status = 9 WHERE task_flow_id = $1", one)

        await mine.at_least("ready", "changed", "changed")
        assert time.perf_counter() - began < 0.3 + 0.1  # the last tenth is for a machine that is shared
        await until(lambda: len(all_.names) > before)
        assert others.names == ["ready", "changed"]


@pytest.mark.parametrize(
    "change",
    [
        "INSERT INTO kr_task_log (task_flow_id, task_exec_seq, attempt, said_ts, level, source, message) VALUES ($1, 1, 1, now(), 'info', 'stdout', 'x')",
        "SELECT flower_suspend($1)",
        "SELECT flower_priority($1, '{\"priority\": 3}')",
        "DELETE FROM kr_task_stat WHERE task_flow_id = $1",
    ],
)
async def test_whatever_can_be_seen_of_a_flow_is_a_change(pool: Pool, connection: Connection, change: str) -> None:
    changes, flow = Changes(pool), await started(connection)
    before = await changes.versions([flow])

    await connection.execute(change, flow)

    assert await changes.versions([flow]) != before


async def test_a_transaction_counts_once_it_is_committed(pool: Pool, connection: Connection) -> None:
    changes = Changes(pool)
    transaction = connection.transaction()
    await transaction.start()
    await started(connection)
    begun = await changes.now()

    await transaction.commit()

    ended = await changes.now()
    assert ended.differs_from(begun)
    assert not ended.differs_from(ended)


async def test_a_heartbeat_is_no_change(pool: Pool, connection: Connection) -> None:
    await connection.execute(
        """INSERT INTO kr_worker (worker_id, host, pid, version, slots, programs, lease_until)
           SELECT gen_random_uuid(), 'h', n, '1', 1, '{}', now() + interval '1 h' FROM generate_series(1, 3) n"""
    )
    changes = Changes(pool)
    before = await changes.now()
    for pid in (1, 2):
        await connection.execute("UPDATE kr_worker SET beat_ts = clock_timestamp() WHERE pid = $1", pid)

    beaten = await changes.now()
    await started(connection)
    await connection.execute("UPDATE kr_worker SET beat_ts = clock_timestamp() WHERE pid = 1")
    after = await changes.now()

    assert (beaten.differs_from(before), after.differs_from(beaten)) == (False, True)


def test_snapshots_differ_by_what_has_ended_between_them() -> None:
    def at(end: int, open_: set[int], beats: set[int] = frozenset()) -> Snapshot:  # type: ignore[assignment]
        return Snapshot(end, frozenset(open_), frozenset(beats))

    assert not at(10, {8}).differs_from(at(10, {8}))
    assert not at(11, {8, 10}).differs_from(at(10, {8}))
    assert at(11, {8}).differs_from(at(10, {8}))
    assert at(10, set()).differs_from(at(10, {8}))
    assert not at(2**32 + 6, set(), {5}).differs_from(at(2**32 + 5, set(), {5}))
    assert at(2**32 + 7, set(), {5}).differs_from(at(2**32 + 5, set(), {5}))


class Counted:
    """Changes that are counted, and can be away."""

    def __init__(self) -> None:
        self.looks, self.end, self.is_lost = 0, 1, False

    async def now(self) -> Snapshot:
        self.looks += 1
        if self.is_lost:
            raise DatabaseLost("away")
        return Snapshot(self.end, frozenset(), frozenset())


async def test_nobody_watching_is_no_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flower.web.watchers.LOOK_SECONDS", 0.001)
    counted = Counted()
    watchers = Watchers(counted)  # type: ignore[arg-type]
    async with watchers.watching(None):
        await until(lambda: counted.looks > 3)

    looks = counted.looks
    await asyncio.sleep(0.05)
    assert counted.looks <= looks + 1


async def test_what_changed_many_times_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flower.web.watchers.LOOK_SECONDS", 0.001)
    counted = Counted()
    watchers = Watchers(counted)  # type: ignore[arg-type]
    async with watchers.watching(None) as watcher:
        for end in range(2, 20):
            counted.end, looks = end, counted.looks
            await until(lambda looks=looks: counted.looks > looks + 1)  # type: ignore[misc]
        assert await watcher.changed()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await watcher.changed()


async def test_who_watched_while_the_database_was_away_looks_once_it_is_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flower.web.watchers.LOOK_SECONDS", 0.001)
    monkeypatch.setattr("flower.web.watchers._LOST_SECONDS", 0.001)
    counted = Counted()
    watchers = Watchers(counted)  # type: ignore[arg-type]
    async with watchers.watching(None) as watcher:
        assert await watcher.changed()
        counted.is_lost, looks = True, counted.looks
        await until(lambda: counted.looks > looks + 2)
        counted.is_lost = False
        assert await watcher.changed()


async def test_a_watcher_who_has_left_is_forgotten(watched: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "_LONGEST_SILENCE_SECONDS", 0.05)
    monkeypatch.setattr(events, "MOST_WATCHERS", 1)
    async with hearing(watched) as heard:
        await heard.at_least("ready")

    async with asyncio.timeout(5):
        while (answer := await send(watched, "GET", "/api/events")).status == 503:
            await asyncio.sleep(0.05)
    answer.close()


async def test_more_than_can_be_served_are_sent_away(watched: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "MOST_WATCHERS", 1)
    async with hearing(watched) as heard:
        await heard.at_least("ready")
        answer = await send(watched, "GET", "/api/events")

    assert (answer.status, answer.headers["Retry-After"]) == (503, "5")


async def test_a_watcher_is_sent_home_at_the_end(pool: Pool) -> None:
    served = serve(Store(pool))
    client = await anext(served)
    async with hearing(client) as heard:
        await heard.at_least("ready")
        began = time.perf_counter()
        with pytest.raises(StopAsyncIteration):
            await anext(served)
        assert time.perf_counter() - began < 1
