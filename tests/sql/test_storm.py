"""Four workers, three people and a worker that is lost again and again, all at once: then every gate is true and nothing is left behind."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from random import Random
from time import monotonic
from uuid import UUID

import asyncpg
import pytest

from flower.core.model import Outcome
from flower.core.status import Status
from flower.database.pool import Connection, Pool, connect
from tests.sql.engine import Engine, define
from tests.sql.hands import Hands
from tests.sql.test_property import DAG, FLOWS
from tests.sql.truth import faults, picture

# By hand: FLOWER_TEST_STORM_SECONDS=60 FLOWER_TEST_SEED=7 make test ARGS=tests/sql/test_storm.py
SECONDS = float(os.environ.get("FLOWER_TEST_STORM_SECONDS", "5"))
SEED = int(os.environ.get("FLOWER_TEST_SEED", "1"))


class Storm:
    """Four workers and three people on sessions of their own; nobody waits for anybody. The people leave alone what they have registered."""

    def __init__(self, seed: int, pool: Pool, url: str, seconds: float) -> None:
        self.seed, self.pool, self.url = seed, pool, url
        self.until = monotonic() + seconds
        self.longest = 0.0
        self.started: list[UUID] = []

    async def rage(self) -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(4):
                group.create_task(self.work(await Engine(self.pool).enroll("Ok", "Rare"), Random(self.seed + number)))
            for number in range(3):
                group.create_task(self.meddle(Random(self.seed + 10 + number)))
            group.create_task(self.lose(Random(self.seed + 20)))

    async def work(self, engine: Engine, random: Random) -> None:
        outcomes: list[Outcome] = []
        while monotonic() < self.until:
            random.shuffle(outcomes)
            send = [outcomes.pop() for _ in range(random.randint(0, len(outcomes)))]
            began = monotonic()
            answer = await engine.turn(send, slots=random.randint(0, 10), look=random.random() < 0.5)
            self.longest = max(self.longest, monotonic() - began)
            outcomes += [outcome for outcome in send if outcome.claim.claim_id in answer.locked]
            for claim in answer.claimed:
                self.started.append(claim.claim_id)
                ends = Outcome(claim, Status.FINISH, value="null")
                outcomes.append(random.choice([ends, ends, ends, Outcome(claim, Status.WAIT, unharmed=True)]) if claim.flow_id in FLOWS else ends)

    async def meddle(self, random: Random) -> None:
        connection = await connect(self.url, role="test")
        hands = Hands(random, FLOWS, most=30)
        while monotonic() < self.until:
            with suppress(asyncpg.DeadlockDetectedError, asyncpg.UniqueViolationError):  # people may stop each other
                async with connection.transaction():
                    for _ in range(random.randint(1, 4)):
                        await hands.write(connection)
                    if random.random() < 0.1:
                        await asyncio.sleep(random.uniform(0, 0.3))
            if random.random() < 0.2:
                await connection.fetch("SELECT flower_register('dag') FROM generate_series(1, 3)")
        await connection.close()

    async def lose(self, random: Random) -> None:
        """A fifth worker, which claims and is lost."""
        while monotonic() < self.until:
            engine = await Engine(self.pool).enroll("Ok", lease_seconds=0.1)
            for _ in range(random.randint(1, 5)):
                await engine.turn(slots=2)
                await asyncio.sleep(0.05)
            await engine.store.workers.sweep()


@pytest.mark.timeout(SECONDS + 60)
async def test_a_storm_of_workers_and_people_leaves_every_gate_true_and_nothing_behind(database_url: str, connection: Connection) -> None:
    await connection.execute("DELETE FROM ms_task_definition; INSERT INTO ms_limit VALUES ('a', 2), ('b', 3)")
    await define(connection, "dag", *DAG)
    storm = Storm(SEED, pool := Pool(database_url, role="engine", size=10), database_url, SECONDS)
    async with pool:
        await storm.rage()
        await connection.execute("DELETE FROM kr_worker")
        engine = await Engine(pool).enroll("Ok", "Rare")
        await engine.store.workers.sweep()
        await engine.look()
        # Races that a look can lose: each probe finds who comes to a slot, or to the gate of a pause, while that pause changes; who comes to a limit meanwhile
        # goes to the pause when its turn comes (late).
        await engine.store.workers.probe(engine.worker_id, "")
        await engine.look()

        assert not faults(await picture(connection), frozenset("abc"), late=True)
        early = await connection.fetch("""
            SELECT c.task_flow_id, c.task_exec_seq FROM kr_task_stat c JOIN kr_task_edge e USING (task_flow_id, task_exec_seq)
                JOIN kr_task_stat p ON p.task_flow_id = e.task_flow_id AND p.task_exec_seq = e.parent_seq
            WHERE c.task_id = 'dag' AND c.started_ts < coalesce(p.finished_ts, 'infinity')
        """)
        assert not early
        assert storm.longest < 1.0
        assert len(set(storm.started)) == len(storm.started) > 100
