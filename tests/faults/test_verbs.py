"""People rerun, cancel, skip and hand in, all at once, while processes are killed: no verb is lost or half done, and what is kept belongs together."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from flower.core.errors import NotNow
from flower.database.cluster import Cluster
from flower.database.pool import Connection, connect
from flower.database.store import Store
from tests.faults.field import SHORT, Field, field, server

pytestmark = pytest.mark.timeout(180)

FLOWS, STEPS, PEOPLE = 24, 8, 4
SECONDS = 8.0
VERBS = ["rerun"] * 6 + ["ignore", "complete", "retry", "retry", "cancel", "suspend", "resume", "resume"]


@pytest.fixture(scope="module")
async def cluster() -> AsyncIterator[Cluster]:
    async with server() as cluster:
        yield cluster


async def test_all_that_is_done_to_flows_while_processes_are_killed_leaves_them_whole(cluster: Cluster) -> None:
    seed = random.randrange(10**6)
    async with field(cluster, SHORT, seed) as place:
        connection = await connect(place.url, role="test")
        flows = [await _start(connection, place.rng, f"dag{number}") for number in range(FLOWS)]
        await place.start()
        await place.start()
        await place.begun()

        people = [asyncio.create_task(_person(place, flows)) for _ in range(PEOPLE)]
        for _ in range(3):
            await asyncio.sleep(SECONDS / 4)
            place.kill(place.any())
            await place.start()
        done = sum([await person for person in people], Counter[str]())
        done += await _bring_to_an_end(place, flows)

        assert {verb for verb, count in done.items() if count} == set(VERBS), (seed, done)
        kept = Counter({row["verb"]: row["count"] for row in await connection.fetch("SELECT verb, count(*) FROM kr_audit GROUP BY verb")})
        assert kept == done, seed
        assert await connection.fetchval("SELECT count(*) FROM kr_task_stat") == FLOWS * STEPS
        assert await _torn(connection) == [], seed
        assert await connection.fetchval("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()") == 0, seed
        assert [line for process in place.workers for line in process.said("loop.blocked")] == []
        await connection.close()


async def _start(connection: Connection, rng: random.Random, workflow: str) -> str:
    """Start a graph in which each step sees the results of up to three before it."""
    for seq in range(1, STEPS + 1):
        parents = sorted(rng.sample(range(1, seq), min(seq - 1, rng.randint(0, 3))))
        await connection.execute(
            "INSERT INTO ms_task_definition (task_id, task_seq, name, program, depends_on, parameters) VALUES ($1, $2, $3, 'remember', $4, $5)",
            workflow, seq, f"s{seq}", parents, json.dumps({"sees": {str(parent): {"$task": f"s{parent}"} for parent in parents}}),
        )  # fmt: skip
    flow: str = await connection.fetchval("SELECT flower_register($1)", workflow)
    return flow


async def _person(place: Field, flows: list[str]) -> Counter[str]:
    """Do what comes to mind to any flow; return what was done, refusals apart."""
    rng, end, done = random.Random(place.rng.random()), asyncio.get_running_loop().time() + SECONDS, Counter[str]()
    while asyncio.get_running_loop().time() < end:
        verb = rng.choice(VERBS)
        done[verb] += await _do(place, verb, rng.choice(flows), str(rng.randint(1, STEPS)), cancel_running=rng.random() < 0.5)
        await asyncio.sleep(rng.random() * 0.04)
    return done


async def _do(place: Field, verb: str, flow: str, step: str, *, cancel_running: bool) -> bool:
    verbs, options = Store(place.pool).verbs, {"reason": "it came to mind"}
    try:
        match verb:
            case "rerun":
                begin: dict[str, Any] = {"from": int(step)} if cancel_running else {}
                await verbs.rerun(flow, options | begin | {"cancelRunning": cancel_running})
            case "complete":
                await verbs.complete(flow, step, options | {"result": {"token": f"by hand, {random.random()}"}})
            case "ignore" | "retry":
                await getattr(verbs, verb)(flow, step, options)
            case _:
                await getattr(verbs, verb)(flow, options)
    except NotNow:
        return False
    return True


async def _bring_to_an_end(place: Field, flows: list[str]) -> Counter[str]:
    """Let everything go on, and run again whatever fails, until all flows are finished; return what was done."""
    done = Counter[str]()
    for _ in range(200):
        for flow in flows:
            done["resume"] += await _do(place, "resume", flow, "", cancel_running=False)
        if not await place.pool.fetchval("SELECT count(*) FROM kr_task_stat WHERE exec_status NOT IN (3, 9)"):
            return done
        for flow, seq in await place.pool.fetch("SELECT task_flow_id, task_exec_seq::text FROM kr_task_stat WHERE exec_status = 2"):
            done["retry"] += await _do(place, "retry", flow, seq, cancel_running=False)
        await asyncio.sleep(0.2)
    raise AssertionError("not over")


async def _torn(connection: Connection) -> list[asyncpg.Record]:
    """Return the finished tasks whose result was made of another result than the one that their parent has now."""
    return await connection.fetch("""
        SELECT t.task_flow_id, t.task_exec_seq, seen.seq, seen.token, p.exec_status, p.result FROM kr_task_stat t
        CROSS JOIN LATERAL jsonb_each_text(t.result::jsonb -> 'saw') seen (seq, token)
        JOIN kr_task_stat p ON p.task_flow_id = t.task_flow_id AND p.task_exec_seq = seen.seq::numeric
        WHERE t.exec_status = 3 AND seen.token IS DISTINCT FROM CASE WHEN p.exec_status = 3 THEN p.result::jsonb ->> 'token' END""")
