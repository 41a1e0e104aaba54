"""Schedules in workers that live: on time, woken by whoever changes one, none of their times lost or doubled however many workers die."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest

from flower.core.schedule import Cron
from flower.database import cluster, embedded
from flower.database.initdb import environment
from flower.database.migrate import migrate
from flower.database.pool import Connection, connect
from flower.engine.heartbeat import Lease
from tests.engine.living import NO_PROBE_SECONDS, define, living, until
from tests.engine.processes import SHORT, Process

FAKETIME = next(Path("/usr/lib").glob("**/libfaketime.so.1"), None)
SECOND = timedelta(seconds=1)


async def ok() -> None:
    pass


async def made(connection: Connection, name: str) -> list[datetime]:
    return [row[0] for row in await connection.fetch("SELECT scheduled_ts FROM kr_flow_stat WHERE schedule = $1 ORDER BY 1", name)]


async def test_a_schedule_by_the_second_fires_by_the_second_and_says_so_to_its_task(connection: Connection, database_url: str) -> None:
    await define(connection, "w", ("ok", None))
    async with living(database_url, ok, probe_seconds=NO_PROBE_SECONDS):
        await connection.execute("INSERT INTO ms_schedule (name, task_id, every) VALUES ('tick', 'w', '1 s')")
        await until(lambda: _count(connection, "tick", 4), seconds=10)

    found = await connection.fetch("SELECT scheduled_ts, registered_ts - scheduled_ts AS late FROM kr_flow_stat WHERE schedule = 'tick' ORDER BY 1")
    assert {later[0] - earlier[0] for earlier, later in pairwise(found)} == {SECOND}
    assert sorted(row["late"] for row in found)[len(found) // 2] < timedelta(milliseconds=200)


async def test_a_worker_that_hears_nothing_finds_a_new_schedule_by_its_probe(connection: Connection, database_url: str) -> None:
    await define(connection, "w", ("ok", None))
    async with living(database_url, ok) as worker:
        worker.life._listener._on_notify = lambda _channel: None
        await connection.execute("INSERT INTO ms_schedule (name, task_id, every) VALUES ('tick', 'w', '1 s')")
        await until(lambda: _count(connection, "tick", 2), seconds=10)


async def test_whoever_waits_in_the_queue_begins_when_the_flow_before_ends(connection: Connection, database_url: str) -> None:
    free = asyncio.Event()

    async def hold() -> None:
        await free.wait()

    await define(connection, "w", ("hold", None))
    async with living(database_url, hold, probe_seconds=NO_PROBE_SECONDS):
        await connection.execute("INSERT INTO ms_schedule (name, task_id, every) VALUES ('tick', 'w', '1 s')")
        await until(lambda: connection.fetchval("SELECT count(*) >= 2 FROM kr_schedule_turn WHERE task_flow_id IS NULL"), seconds=10)
        assert len(await made(connection, "tick")) == 1
        await connection.execute("UPDATE ms_schedule SET paused = true")
        await connection.execute("UPDATE ms_schedule SET paused = false, next_ts = 'infinity'")

        free.set()

        await until(lambda: connection.fetchval("SELECT count(*) = 0 FROM kr_schedule_turn WHERE task_flow_id IS NULL"), seconds=5)
        found = await made(connection, "tick")
        assert {later - earlier for earlier, later in pairwise(found)} == {SECOND}


@pytest.mark.timeout(120)
async def test_eight_processes_that_are_killed_at_random_lose_and_double_no_second(connection: Connection, database_url: str, tmp_path: Path) -> None:
    """Three schedules by the second, eight processes, one of them killed with -9 and another begun every second, for twenty seconds."""
    await define(connection, "w", ("short", None))
    dice = random.Random(7)
    processes = [Process(tmp_path, database_url, settings=SHORT | {"FLOWER_CONCURRENCY": "5"}) for _ in range(8)]
    try:
        await asyncio.gather(*(process.begun() for process in processes[:2]))
        for name in ("one", "two", "three"):
            await connection.execute("INSERT INTO ms_schedule (name, task_id, every) VALUES ($1, 'w', '1 s')", name)
        for _ in range(20):
            await asyncio.sleep(1)  # the storm itself, no fact to wait for
            victim = dice.randrange(len(processes))
            processes[victim].kill()
            processes[victim] = Process(tmp_path, database_url, settings=SHORT | {"FLOWER_CONCURRENCY": "5"})
        end = await connection.fetchval("SELECT date_trunc('second', clock_timestamp())")
        await until(lambda: connection.fetchval("SELECT bool_and(last_ts >= $1) FROM ms_schedule", end), seconds=30)
        await connection.execute("UPDATE ms_schedule SET next_ts = 'infinity'")
        await until(lambda: connection.fetchval("SELECT NOT EXISTS (SELECT FROM kr_schedule_turn WHERE task_flow_id IS NULL)"), seconds=40)
        for name in ("one", "two", "three"):
            row = await connection.fetchrow("SELECT date_trunc('second', since_ts) AS since, last_ts AS last FROM ms_schedule WHERE name = $1", name)
            assert row is not None
            expected = [at for at in (row["since"] + n * SECOND for n in range(1, 200)) if at <= row["last"]]
            assert await made(connection, name) == expected
            assert len(expected) >= 20
    finally:
        for process in processes:
            process.kill()


# The database's own clock over both changes of five zones: a server whose clock the test moves.


class Clock:
    """The clock of the server at *url*, which the test moves. *path*: where the server reads how far it is off."""

    def __init__(self, path: Path, url: str, connection: Connection) -> None:
        self._path, self.url, self.connection = path, url, connection
        self._off = timedelta()

    async def set(self, at: datetime) -> None:
        """Have the server's clock show *at*, and go on from there."""
        now = await self.connection.fetchval("SELECT clock_timestamp()")
        self._off += at - now
        self._path.write_text(f"{self._off.total_seconds():+f}\n")
        await until(lambda: self.connection.fetchval("SELECT abs(extract(epoch FROM clock_timestamp() - $1)) < 5", at), seconds=5)


@pytest.fixture(scope="module")
async def clock(short_folder: Path) -> AsyncIterator[Clock]:
    """A server of this module's own, under libfaketime."""
    if FAKETIME is None:
        pytest.skip("libfaketime is not installed (apt-get install faketime)")
    folder = short_folder / "clock"
    folder.mkdir()
    folder.chmod(0o755)
    path = folder / "off"
    path.write_text("+0\n")
    path.chmod(0o644)
    fake = {"LD_PRELOAD": str(FAKETIME), "FAKETIME_TIMESTAMP_FILE": str(path), "FAKETIME_NO_CACHE": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cluster, "environment", lambda: environment() | fake)
        async with embedded.running(folder / embedded.NAME) as server:
            await migrate(server.url)
            connection = await connect(server.url, role="test")
            yield Clock(path, server.url, connection)
            await connection.close(timeout=5)


CHANGES = [
    ("Europe/Paris", "30 2 * * *", "2026-03-28T12:00+01:00", ["2026-03-29T03:00+02:00", "2026-03-30T02:30+02:00"]),
    ("Europe/Paris", "30 2 * * *", "2026-10-24T12:00+02:00", ["2026-10-25T02:30+02:00", "2026-10-26T02:30+01:00"]),
    ("America/New_York", "30 2 * * *", "2026-03-07T12:00-05:00", ["2026-03-08T03:00-04:00", "2026-03-09T02:30-04:00"]),
    ("America/New_York", "30 1 * * *", "2026-10-31T12:00-04:00", ["2026-11-01T01:30-04:00", "2026-11-02T01:30-05:00"]),
    ("America/Santiago", "30 23 * * *", "2026-04-04T12:00-03:00", ["2026-04-04T23:30-03:00", "2026-04-05T23:30-04:00"]),
    ("America/Santiago", "30 0 * * *", "2026-09-05T12:00-04:00", ["2026-09-06T01:00-03:00", "2026-09-07T00:30-03:00"]),
    ("Australia/Lord_Howe", "45 1 * * *", "2026-04-04T12:00+11:00", ["2026-04-05T01:45+11:00", "2026-04-06T01:45+10:30"]),
    ("Australia/Lord_Howe", "10 2 * * *", "2026-10-03T12:00+10:30", ["2026-10-04T02:30+11:00", "2026-10-05T02:10+11:00"]),
    ("Pacific/Chatham", "0 3 * * *", "2026-04-04T12:00+13:45", ["2026-04-05T03:00+13:45", "2026-04-06T03:00+12:45"]),
    ("Pacific/Chatham", "0 3 * * *", "2026-09-26T12:00+12:45", ["2026-09-27T03:45+13:45", "2026-09-28T03:00+13:45"]),
]


@pytest.mark.parametrize(("zone", "cron", "noon", "expected"), CHANGES)
async def test_over_a_change_of_the_clock_a_fixed_time_makes_one_flow_a_day(
    clock: Clock, zone: str, cron: str, noon: str, expected: list[str]
) -> None:
    """The second showing of a time, an hour (or half) later, is passed through as well."""
    wanted, name = [datetime.fromisoformat(text) for text in expected], f"{zone} {noon}"
    await clock.set(datetime.fromisoformat(noon))
    await clock.connection.execute("DELETE FROM ms_task_definition WHERE task_id = 'w'")
    await define(clock.connection, "w", ("ok", None))
    async with living(clock.url, ok, lease=Lease(seconds=1e9, beat_seconds=0.2)):
        await clock.connection.execute("INSERT INTO ms_schedule (name, task_id, cron, zone) VALUES ($1, 'w', $2, $3)", name, cron, zone)
        times = Cron(cron, zone=zone).times(wanted[0])
        for nominal in wanted:
            following = next(times)
            for moment in (nominal - SECOND, nominal + timedelta(minutes=30), nominal + timedelta(minutes=60)):
                await clock.set(moment)
                await until(partial(clock.connection.fetchval, "SELECT next_ts = $1 FROM ms_schedule", following), seconds=10)
        assert await made(clock.connection, name) == wanted
    await clock.connection.execute("DELETE FROM ms_schedule")
    assert list(zip(wanted, Cron(cron, zone=zone).times(datetime.fromisoformat(noon)), strict=False)) == [(at, at) for at in wanted]


async def _count(connection: Connection, name: str, least: int) -> bool:
    return len(await made(connection, name)) >= least
