"""`flower.signal` from outside, inside a task, and inside transactions, against steps that wait."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import asyncpg
import psycopg
import pytest
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import create_async_engine

import flower
from flower import context, task, wait_for, workflow
from flower.client import STARTER
from flower.core.errors import Invalid, KeyReused
from flower.database.pool import Connection, Pool
from flower.database.store import Store
from flower.sdk.registry import REGISTRY
from tests.engine.living import NO_PROBE_SECONDS, living, until


@dataclass
class Paid:
    amount: int


@task
async def signals_order(number: int) -> dict[str, Any]:
    return {"id": number}


@task
async def signals_close(paid: Paid | None) -> int:
    return 0 if paid is None else paid.amount


@task
async def signals_send(key: str) -> None:
    await flower.signal("client-payment", key=key, payload=Paid(9))


@task(attempts=2)
async def signals_send_and_fail(key: str) -> None:
    async with context().transaction() as connection:
        await flower.signal("client-payment", key=key, payload=Paid(context().attempt), connection=connection)
    if context().attempt == 1:
        raise flower.Retry(after=0)


@workflow
def signals_sell(number: int = 7) -> int:
    order = signals_order(number)
    return signals_close(wait_for("client-payment", key=order["id"], result=Paid))


@workflow
def signals_sell_late(number: int = 7) -> int:
    return signals_close(wait_for("client-payment", key=number, timeout=0.1, result=Paid, default=None))


@workflow
def signals_tell(key: str) -> None:
    signals_send(key)


@workflow
def signals_tell_once(key: str) -> None:
    signals_send_and_fail(key)


WORKFLOWS = (signals_sell, signals_sell_late, signals_tell, signals_tell_once)


@pytest.fixture
async def worker(database_url: str, pool: Pool) -> AsyncIterator[None]:
    """A worker with the tasks above that nothing but the bell wakes, the workflows above in its database, and the client on the same."""
    for one in WORKFLOWS:
        await Store(pool).workflows.define(one.definition, origin=one.place, code=True)
    tasks = [task for name in REGISTRY.names() if name.startswith("signals_") and (task := REGISTRY.get(name))]
    with STARTER.using(database_url, "public"):
        async with living(database_url, *tasks, probe_seconds=NO_PROBE_SECONDS):
            yield
        await STARTER.close()


async def waiting(connection: Connection, many: int = 1) -> None:
    async def wait() -> bool:
        return bool(await connection.fetchval("SELECT count(*) FROM kr_task_stat WHERE exec_status = 0 AND gate = 'signal'") == many)

    await until(wait)


async def test_a_flow_waits_and_goes_on_with_what_was_sent_by_its_type(worker: None, connection: Connection) -> None:
    flow = await signals_sell.start()
    await waiting(connection)

    await flower.signal("client-payment", key=7, payload=Paid(3))

    assert await flow.result(timeout=10) == 3


async def test_a_signal_that_came_first_is_taken_and_one_that_never_comes_leaves_the_default(worker: None) -> None:
    await flower.signal("client-payment", key=1, payload={"amount": 5})

    assert await asyncio.gather(signals_sell.run(1), signals_sell_late.run(2)) == [5, 0]


async def test_a_task_sends_too_and_in_its_own_transaction_only_with_its_outcome(worker: None, connection: Connection) -> None:
    flow, once = await signals_sell.start(1), await signals_sell.start(2)
    await waiting(connection, 2)

    await signals_tell.run("1")
    await signals_tell_once.run("2")

    assert await flow.result(timeout=10) == 9
    assert await once.result(timeout=10) == 2


async def test_in_a_transaction_of_the_callers_it_counts_when_that_commits(worker: None, connection: Connection, database_url: str) -> None:
    url = "postgresql+psycopg://" + database_url.partition("://")[2]
    flows = [await signals_sell.start(number) for number in range(5)]
    await waiting(connection, 5)
    own = await asyncpg.connect(database_url)
    transaction = own.transaction()
    await transaction.start()
    await flower.signal("client-payment", key=0, payload=Paid(99), connection=own)
    await transaction.rollback()
    async with own.transaction():
        await flower.signal("client-payment", key=0, payload=Paid(0), connection=own)
    await own.close()
    async with await psycopg.AsyncConnection.connect(database_url) as patient:
        await flower.signal("client-payment", key=1, payload=Paid(1), idempotency_key="é", connection=patient)
    with psycopg.connect(database_url) as sync:
        flower.signal_sync("client-payment", key=2, payload=Paid(2), connection=sync)
    engine, sync_engine = create_async_engine(url), create_engine(url)
    async with engine.begin() as begun:
        await flower.signal("client-payment", key=3, payload=Paid(3), connection=begun)
    with sync_engine.begin() as begun_sync:
        flower.signal_sync("client-payment", key=4, payload=Paid(4), connection=begun_sync)
    await engine.dispose()
    sync_engine.dispose()

    assert [await flow.result(timeout=10) for flow in flows] == [0, 1, 2, 3, 4]
    with pytest.raises(TypeError, match="asyncpg, psycopg 3 or SQLAlchemy, not a object"):
        await flower.signal("client-payment", connection=object())


async def test_where_no_loop_runs_the_sync_form_does_the_same_and_the_same_idempotency_key_is_the_same_signal(
    worker: None, connection: Connection
) -> None:
    for _ in range(2):
        await asyncio.to_thread(flower.signal_sync, "client-payment", key="7", payload=Paid(8), idempotency_key="once")
    with pytest.raises(KeyReused, match="'once' was used before with another payload"):
        await flower.signal("client-payment", key="7", payload=Paid(9), idempotency_key="once")
    with pytest.raises(Invalid, match="idempotencyKey"):
        await flower.signal("client-payment", idempotency_key="")

    assert [json.loads(row[0]) for row in await connection.fetch("SELECT payload FROM kr_signal")] == [{"amount": 8}]
    assert await signals_sell.run() == 8
