"""Workflows in Python from end to end: written as rows, started from anywhere, with results that flow, on a worker and a real database."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import asyncpg
import psycopg
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.ext.asyncio import create_async_engine

import flower
from flower import task, workflow
from flower.client import STARTER, Client
from flower.core.errors import ConfigurationError, FlowFailed, Invalid, KeyReused, NotNow, UnknownTask, UnknownWorkflow
from flower.core.model import Order
from flower.database.pool import Connection, Pool
from flower.database.store import Store
from flower.sdk.registry import REGISTRY
from tests.engine.living import NO_PROBE_SECONDS, living, until


@dataclass
class Page:
    url: str
    day: date
    links: list[str]


@task
async def client_fetch(url: str) -> Page:
    if url == "boom":
        raise ValueError("no such page")
    return Page(url, date(2026, 1, 2), [f"{url}/1", f"{url}/2"])


@task
def client_join(pages: list[Page], first: str, top: int = 3) -> str:
    assert all(isinstance(page.day, date) for page in pages)
    return "+".join(page.url for page in pages) + f" {first} {top}"


@task
async def client_slow(seconds: float) -> None:
    await asyncio.sleep(seconds)


@task
async def client_needs(value: int) -> int:
    return value


@task
async def client_can_do_without(value: int | None, other: int = 7) -> list[Any]:
    return [value, other]


@workflow
def client_digest(url: str = "a", top: int = 3) -> str:
    pages = [client_fetch(url), client_fetch("b")]
    return client_join(pages, pages[0].links[1], top=top)


@workflow
def client_page(url: str) -> Page:
    return client_fetch(url)


@workflow
def client_rest(seconds: float) -> None:
    client_slow(seconds)


@pytest.fixture
async def worker(database_url: str, pool: Pool) -> AsyncIterator[None]:
    """A worker with the tasks above, the workflows above in its database, and the client on the same."""
    for one in (client_digest, client_page, client_rest):
        await Store(pool).workflows.define(one.definition, origin=one.place, code=True)
    tasks = [task.fn for name in REGISTRY.names() if name.startswith("client_") and (task := REGISTRY.get(name))]
    with STARTER.using(database_url, "public"):
        async with living(database_url, *tasks, probe_seconds=NO_PROBE_SECONDS):
            yield
        await STARTER.close()


@pytest.fixture(autouse=True)
def a_client_of_its_own() -> Iterator[None]:
    with STARTER.using("", "public"):
        yield


# Started, and awaited


async def test_results_flow_from_step_to_step_by_their_types_and_come_back_as_the_workflow_returns_them(worker: None) -> None:
    assert await client_digest.run() == "a+b a/2 3"
    assert await client_digest.run("x", top=1) == "x+b x/2 1"
    assert await client_page.run("p") == Page("p", date(2026, 1, 2), ["p/1", "p/2"])
    await client_rest.run(0)


async def test_by_name_the_module_need_not_be_there(worker: None) -> None:
    flow = await flower.start("client_page", {"url": "p"}, priority=-3)

    assert await flow.result(timeout=10) == {"url": "p", "day": "2026-01-02", "links": ["p/1", "p/2"]}


async def test_a_flow_says_that_it_was_skipped_for_a_unique_key_and_that_its_time_had_passed(worker: None) -> None:
    first = await client_rest.options(unique="k").start(0.5)
    again = await client_rest.options(unique="k").start(0.5)
    queued = await flower.start("client_rest", {"seconds": 0}, unique="k", unique_policy="queue")
    past = await client_rest.options(at=datetime(2020, 1, 1, tzinfo=UTC)).start(0)

    assert (again.id, first.skipped, again.skipped, queued.skipped) == (first.id, False, True, False)
    assert queued.id != first.id
    assert (first.note, past.note) == (None, "runAt is in the past: the flow runs now")
    await queued.result(timeout=10)
    assert (await client_rest.options(unique="k").start(0)).id not in {first.id, queued.id}


def test_a_policy_that_is_none_and_a_time_without_a_zone_are_refused() -> None:
    with pytest.raises(ValueError, match="'skip' or 'queue'"):
        client_rest.options(unique="k", unique_policy="wait")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="with a zone"):
        client_rest.options(at=datetime(2020, 1, 1))  # noqa: DTZ001


async def test_a_failing_task_is_what_is_raised(worker: None) -> None:
    with pytest.raises(FlowFailed, match="client_fetch is failed: ValueError: no such page") as raised:
        await client_digest.run("boom")

    assert raised.value.task is not None
    assert (raised.value.task.name, raised.value.task.parameters) == ("client_fetch", {"url": "boom"})


async def test_waiting_has_an_end_and_the_flow_goes_on(worker: None) -> None:
    flow = await client_rest.start(0.3)

    with pytest.raises(TimeoutError):
        await flow.result(timeout=0.05)
    await flow.result(timeout=10)


async def test_the_end_is_heard_and_not_polled_for(worker: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flower.client._LOOK_AGAIN_SECONDS", 600)
    async with asyncio.timeout(10):
        results = await asyncio.gather(*[client_rest.run(0.2) for _ in range(20)])

    assert results == [None] * 20


@pytest.mark.parametrize(
    ("start", "error", "words"),
    [
        (
            lambda: client_digest.start(top="many"),  # type: ignore[arg-type]
            Invalid,
            "top: ",
        ),
        (lambda: client_digest.start(tpo=1), TypeError, "unexpected keyword argument 'tpo'"),  # type: ignore[call-arg]
        (client_page.start, TypeError, "missing a required argument: 'url'"),
        (lambda: flower.start("client_digset"), UnknownWorkflow, "did you mean client_digest"),
        (lambda: flower.start("client_page", {"ulr": "x"}), Invalid, "takes no parameter of this name"),
        (lambda: flower.start("client_page", {"url": 3}), Invalid, "string is wanted, not 3"),
        (lambda: flower.start("client_page", {"url": "x"}, prority=3), TypeError, "no option 'prority'"),
        (lambda: client_page.options(priority=50).start("x"), Invalid, "priority"),
    ],
)
async def test_what_does_not_fit_starts_nothing_and_says_why(worker: None, pool: Pool, start: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        await start()

    assert await pool.fetchval("SELECT count(*) FROM kr_flow_stat") == 0


async def test_the_same_key_is_the_same_flow(worker: None) -> None:
    first = await client_page.options(key="k").start("x")

    assert (await client_page.options(key="k").start("x")).id == first.id
    with pytest.raises(KeyReused):
        await client_page.options(key="k").start("y")


async def test_where_no_loop_runs_the_sync_forms_do_the_same(worker: None) -> None:
    assert await asyncio.to_thread(client_page.run_sync, "p") == await client_page.run("p")
    flow = await asyncio.to_thread(lambda: flower.start_sync("client_rest", {"seconds": 0}))
    assert await asyncio.to_thread(flow.result_sync, 10) is None
    with pytest.raises(RuntimeError, match="await the form without _sync"):
        client_page.start_sync("p")


async def test_without_a_database_it_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("FLOWER_", "DB_"))]:
        monkeypatch.delenv(name)

    with pytest.raises(ConfigurationError, match="set FLOWER_DATABASE_URL"):
        await Client().start(Order("x"), None)


# Inside the caller's own transaction


async def counted(connection: Connection) -> int:
    count: int = await connection.fetchval("SELECT count(*) FROM kr_flow_stat")
    return count


async def test_in_a_transaction_of_asyncpg_it_is_committed_or_never_existed(worker: None, connection: Connection, database_url: str) -> None:
    own = await asyncpg.connect(database_url)
    await own.set_type_codec("jsonb", schema="pg_catalog", encoder=json.dumps, decoder=json.loads)
    transaction = own.transaction()
    await transaction.start()
    await client_page.options(connection=own).start("gone")
    await transaction.rollback()
    assert await counted(connection) == 0

    async with own.transaction():
        flow = await client_page.options(connection=own).start("kept")
        waiting = asyncio.create_task(flow.result(timeout=10))
        await asyncio.sleep(0.1)
        assert not waiting.done()
    assert (await waiting).url == "kept"
    await own.close()


async def test_in_a_transaction_of_psycopg_it_is_committed_or_never_existed(worker: None, connection: Connection, database_url: str) -> None:
    async with await psycopg.AsyncConnection.connect(database_url) as own:
        await client_page.options(connection=own).start("gone")
        await own.rollback()
        assert await counted(connection) == 0
        flow = await client_page.options(connection=own, priority=-1).start("kept")
        await own.commit()
    assert (await flow.result(timeout=10)).url == "kept"

    with psycopg.connect(database_url) as sync:
        client_page.options(connection=sync).start_sync("gone")
        sync.rollback()
        flow = client_page.options(connection=sync).start_sync("kept too")
    assert (await flow.result(timeout=10)).url == "kept too"


async def test_in_a_transaction_of_sqlalchemy_it_is_committed_or_never_existed(worker: None, connection: Connection, database_url: str) -> None:
    url = "postgresql+psycopg://" + database_url.partition("://")[2]
    engine = create_async_engine(url)
    async with engine.connect() as own:
        await client_page.options(connection=own).start("gone")
        await own.rollback()
        assert await counted(connection) == 0
        flow = await client_page.options(connection=own).start("kept")
        await own.execute(text("SELECT 1"))
        await own.commit()
    await engine.dispose()
    assert (await flow.result(timeout=10)).url == "kept"

    sync_engine = create_engine(url)
    with sync_engine.begin() as sync:
        flow = client_page.options(connection=sync).start_sync("kept too")
    sync_engine.dispose()
    assert (await flow.result(timeout=10)).url == "kept too"


async def test_another_kind_of_connection_is_refused() -> None:
    with pytest.raises(TypeError, match="asyncpg, psycopg 3 or SQLAlchemy, not a object"):
        await client_page.options(connection=object()).start("x")


# Sources that give nothing


async def in_rows(connection: Connection, *steps: tuple[str, str, dict[str, Any]]) -> str:
    async with connection.transaction():
        for number, (name, program, parameters) in enumerate(steps, 1):
            await connection.execute(
                "INSERT INTO ms_task_definition (task_id, task_seq, name, program, parameters) VALUES ('rows', $1, $2, $3, $4)",
                number,
                name,
                program,
                json.dumps(parameters),
            )
    flow: str = await connection.fetchval("SELECT flower_register('rows')")
    return flow


async def ended(connection: Connection, flow: str) -> dict[str, asyncpg.Record]:
    async def are_over() -> bool:
        return not await connection.fetchval("SELECT count(*) FROM kr_task_stat WHERE task_flow_id = $1 AND exec_status IN (0, 1)", flow)

    await until(are_over)
    return {row["name"]: row for row in await connection.fetch("SELECT * FROM flower_tasks WHERE flow_id = $1", flow)}


async def test_of_an_ignored_source_a_parameter_takes_its_default_or_none_else_its_task_is_ignored_too(worker: None, connection: Connection) -> None:
    pause = await connection.fetchval("INSERT INTO ms_pause (task_id) VALUES ('rows') RETURNING task_id")
    value = {"$task": "source"}
    flow = await in_rows(
        connection,
        ("source", "client_needs", {"value": 1}),
        ("without", "client_can_do_without", {"value": value, "other": value}),
        ("needs", "client_needs", {"value": value}),
        ("after", "client_needs", {"value": 3}),
    )
    await connection.execute("UPDATE kr_task_stat SET exec_status = 9 WHERE task_flow_id = $1 AND task_exec_seq = 1", flow)
    await connection.execute("DELETE FROM ms_pause WHERE task_id = $1", pause)

    tasks = await ended(connection, flow)

    assert json.loads(tasks["without"]["result"]) == [None, 7]
    assert (tasks["needs"]["status"], tasks["needs"]["outcome"]) == ("ignore", "skipped")
    assert "value comes from source, which was ignored" in json.loads(tasks["needs"]["error"])["message"]
    assert json.loads(tasks["after"]["result"]) == 3


async def test_a_missing_part_and_a_missing_variable_stop_their_task_and_say_so(
    worker: None, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_NUMBER_OF_THIS_TEST", "5")
    monkeypatch.delenv("ABSENT_IN_THIS_TEST", raising=False)
    flow = await in_rows(
        connection,
        ("source", "client_needs", {"value": {"$env": "A_NUMBER_OF_THIS_TEST"}}),
        ("part", "client_needs", {"value": {"$task": "source", "path": ["a"]}}),
    )

    tasks = await ended(connection, flow)

    assert json.loads(tasks["source"]["result"]) == 5
    assert json.loads(tasks["source"]["parameters"]) == {"value": {"$env": "A_NUMBER_OF_THIS_TEST"}}
    assert (tasks["part"]["status"], tasks["part"]["outcome"]) == ("suspend", "invalid")
    assert "there is no source.a in what that step returned" in json.loads(tasks["part"]["error"])["message"]

    await connection.execute("DELETE FROM ms_task_definition WHERE task_id = 'rows'")
    flow = await in_rows(connection, ("absent", "client_needs", {"value": {"$env": "ABSENT_IN_THIS_TEST"}}))
    tasks = await ended(connection, flow)
    assert "the environment of this worker has no ABSENT_IN_THIS_TEST" in json.loads(tasks["absent"]["error"])["message"]


async def test_what_a_person_may_do_to_a_flow_code_may_do_too(worker: None) -> None:
    flow = await client_rest.options(at=datetime(2099, 1, 1, tzinfo=UTC)).start(1)

    await flow.suspend("vendor outage")
    await flow.resume()
    assert (await flow.cancel("wrong day"))["cancelled"]
    with pytest.raises(NotNow, match="is not suspended"):
        await flow.resume()
    plan = await flow.rerun(dryRun=True)
    assert plan["run"][0]["was"] == "ignore cancelled"
    with pytest.raises(UnknownTask):
        await flow.ignore("nope")
