"""Incidents: failures that look alike are one, and whoever wants to hear of them does, once when they come and once when they are over."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web

from flower import Retry, workflow
from flower.core.errors import AmbiguousIncident, UnknownIncident
from flower.database.pool import Connection, Pool
from flower.database.store import Store
from flower.engine.notifier import Notifier, example, post
from tests.engine.living import define, ended, insert, living, stands, start, tried, until


async def load(order: int = 0) -> None:
    raise ValueError(f"order {order} (0x{order + 4096:x}) of 01a217dc-5e5c-7638-905b-bd32a57b9{order:03} is odd")


async def other() -> None:
    raise KeyError("missing")


@dataclass
class Ear:
    """A URL that hears, or refuses, what it is told."""

    url: str = ""
    status: int = 204
    heard: list[Any] = field(default_factory=list)

    async def hear(self, request: web.Request) -> web.Response:
        self.heard.append(await request.json())
        return web.Response(status=self.status)


@pytest.fixture
async def ear() -> AsyncIterator[Ear]:
    ear, app = Ear(), web.Application()
    app.router.add_post("/hook", ear.hear)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    ear.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    yield ear
    await runner.cleanup()


async def fail_some(connection: Connection, url: str) -> None:
    async with living(url, load, other):
        for number in (1, 2, 33):
            await insert(connection, "load", flow=f"f{number}", parameters=json.dumps({"order": number}))
        await insert(connection, "other", flow="g")
        for flow in ("f1", "f2", "f33", "g"):
            await ended(connection, flow)


async def test_failures_that_look_alike_are_one_incident(database_url: str, connection: Connection, pool: Pool) -> None:
    await fail_some(connection, database_url)
    store = Store(pool).incidents

    first, second = sorted(await store.list(), key=lambda incident: incident.flows)

    assert (first.program, first.type, first.flows) == ("other", "KeyError", 1)
    assert (second.program, second.type, second.flows, second.tasks) == ("load", "ValueError", 3, 3)
    assert second.where is not None
    assert "test_incidents.py" in second.where
    assert await store.flows(second.id[:6]) == ("f1", "f2", "f33")
    for unknown in ("", "nope"):
        with pytest.raises(UnknownIncident, match=f"there is no incident '{unknown}', or it is over"):
            await store.flows(unknown)
    for fingerprint in ("zz1", "zz2"):
        await insert(connection, "nobody", flow=fingerprint, fingerprint=fingerprint, exec_status=2, outcome="failed")
    with pytest.raises(AmbiguousIncident, match="'zz' is the beginning of several incidents: zz1, zz2; give more"):
        await store.flows("zz")


async def test_an_incident_goes_with_the_last_of_its_tasks_and_an_approval_is_none(database_url: str, connection: Connection, pool: Pool) -> None:
    await fail_some(connection, database_url)
    await connection.execute("UPDATE kr_task_stat SET exec_status = 9 WHERE program = 'load'")
    await connection.execute("UPDATE kr_task_stat SET exec_status = 2, outcome = 'approval' WHERE task_flow_id = 'f1'")

    assert [incident.program for incident in await Store(pool).incidents.list()] == ["other"]


async def test_each_is_told_once_when_it_comes_and_once_when_it_is_over(database_url: str, connection: Connection, pool: Pool, ear: Ear) -> None:
    await fail_some(connection, database_url)
    notifier, twin = Notifier(ear.url, Store(pool)), Notifier(ear.url, Store(pool))

    await asyncio.gather(notifier.tell(), twin.tell())
    await notifier.tell()

    assert sorted(told["event"] + " " + told["program"] for told in ear.heard) == ["incident.opened load", "incident.opened other"]
    assert next(told["text"] for told in ear.heard if told["program"] == "load").startswith("3 flows, load: ValueError: order ")
    ear.heard.clear()
    await connection.execute("UPDATE kr_task_stat SET exec_status = 9 WHERE program = 'load'")
    await twin.tell()
    await notifier.tell()
    assert [(told["event"], told["program"]) for told in ear.heard] == [("incident.closed", "load")]

    ear.heard.clear()
    await fail_some_more(connection, database_url)
    await notifier.tell()
    assert [(told["event"], told["flows"]) for told in ear.heard] == [("incident.opened", 1)]


async def fail_some_more(connection: Connection, url: str) -> None:
    async with living(url, load):
        await insert(connection, "load", flow="f4", parameters='{"order": 4}')
        await ended(connection, "f4")


async def test_what_is_not_taken_is_told_again_later(database_url: str, connection: Connection, pool: Pool, ear: Ear) -> None:
    await fail_some_more(connection, database_url)
    notifier = Notifier(ear.url, Store(pool))
    ear.status = 500

    await notifier.tell()
    await notifier.tell()
    assert len(ear.heard) == 1  # not at once again

    ear.status = 200
    await connection.execute("UPDATE kr_incident SET next_try_ts = now() - interval '1 s'")
    await notifier.tell()
    await connection.execute("UPDATE kr_incident SET next_try_ts = now() - interval '1 s'")
    await notifier.tell()
    assert len(ear.heard) == 2


async def test_a_url_that_is_not_there_is_a_sentence(ear: Ear) -> None:
    ear.status = 302
    with pytest.raises(OSError, match="answered 302"):
        await post(ear.url, example())
    with pytest.raises(OSError, match="cannot be reached"):
        await post("http://127.0.0.1:1/", example())


async def test_a_hundred_thousand_suspended_tasks_are_grouped_in_a_moment(connection: Connection, pool: Pool) -> None:
    await connection.execute("""
        INSERT INTO kr_task_stat (task_flow_id, task_exec_seq, depends_task_exec_seq, task_id, task_seq, exec_status, parameters, program, outcome, error, suspended_ts, fingerprint, gate, claim_id)
            SELECT 'flow-' || n, 1, -1, 'w', 1, 2, '{}', 'load', 'failed', '{"type": "Busy"}', now(), kr_fingerprint('load' || n % 50, '{"type": "Busy"}'), 'slot', gen_random_uuid()
            FROM generate_series(1, 100000) n""")
    await connection.execute("VACUUM ANALYZE kr_task_stat")
    store, times = Store(pool).incidents, []
    for _ in range(3):
        began = time.perf_counter()
        assert len(await store.list()) == 50
        times.append(time.perf_counter() - began)

    assert min(times) < 0.5


# The timeout of a whole flow


async def test_a_flow_that_takes_too_long_is_cancelled_and_nothing_of_it_starts_afterwards(database_url: str, connection: Connection) -> None:
    stopped = asyncio.Event()

    async def slow() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            stopped.set()
            raise

    async def after() -> None: ...

    await define(connection, "w", ("slow", None), ("after", None))
    await connection.execute("UPDATE ms_workflow SET timeout = 0.3 WHERE task_id = 'w'")
    async with living(database_url, slow, after):
        flow = await start(connection, "w")
        tasks = await stands(connection, 9, 9, flow=flow)
        await until(stopped.is_set)

    assert [(task["outcome"], json.loads(task["error"])["type"]) for task in tasks] == [("cancelled", "FlowTimeout")] * 2
    assert await connection.fetchval("SELECT deadline_ts FROM kr_flow_stat WHERE task_flow_id = $1", flow) is None


async def test_a_flow_that_ends_in_time_is_left_alone_and_one_of_later_has_its_time_from_then(database_url: str, connection: Connection) -> None:
    async def quick() -> None: ...

    await define(connection, "w", ("quick", None))
    await connection.execute("UPDATE ms_workflow SET timeout = 0.3 WHERE task_id = 'w'")
    async with living(database_url, quick):
        flow = await start(connection, "w")
        later = await start(connection, "w", runAt="2099-01-01T00:00:00Z")
        await ended(connection, flow)
        await until(lambda: connection.fetchval("SELECT deadline_ts IS NULL FROM kr_flow_stat WHERE task_flow_id = $1", flow))
        assert await stands(connection, 0, flow=later)
        assert await stands(connection, 3, flow=flow)


@pytest.mark.parametrize("timeout", [0, -1, "1", float("inf")])
def test_a_timeout_of_a_workflow_is_a_number_of_seconds(timeout: Any) -> None:
    with pytest.raises(Exception, match="a number of seconds above 0"):

        @workflow(timeout=timeout)
        def odd() -> None: ...


async def test_an_overdue_flow_on_which_a_trigger_raises_keeps_the_sweep_from_nothing_else(connection: Connection, pool: Pool) -> None:
    await connection.execute("""
        CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$;
        CREATE TRIGGER aa_no BEFORE UPDATE ON kr_task_stat FOR EACH ROW WHEN (NEW.exec_status = 9) EXECUTE FUNCTION no();
        INSERT INTO kr_worker (worker_id, host, pid, version, slots, programs, lease_until) VALUES (gen_random_uuid(), '', 1, '', 1, '{}', '-infinity');""")
    await insert(connection, "load", flow="stubborn")
    await connection.execute("INSERT INTO kr_flow_stat (task_flow_id, task_id, deadline_ts) VALUES ('stubborn', 'w', now() - interval '1 s')")

    assert len((await Store(pool).workers.sweep()).lost) == 1


async def test_a_wait_beyond_all_time_is_a_long_one(database_url: str, connection: Connection) -> None:
    async def work() -> None:
        raise Retry(after=1e15)

    async with living(database_url, tried(work, attempts=2)):
        await insert(connection, "work")
        await until(lambda: connection.fetchval("SELECT run_after > now() + interval '50 years' FROM kr_task_stat"))
