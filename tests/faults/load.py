"""The load: a fixed mix of flows, started at a steady pace for as long as the field wants, each until its start is acknowledged."""

from __future__ import annotations

import asyncio
import json
import random
from contextlib import suppress
from itertools import cycle
from uuid import uuid4

import asyncpg

from flower.core.errors import ConfigurationError, DatabaseLost
from flower.database.pool import Connection, Pool
from tests.engine.living import define
from tests.faults.corpus import HOSTILE

# Of a hundred tasks 60 do nothing, 20 rest 50 ms, 10 are plain functions, 5 fail at first, and 5 are of a join of 20.
_MIX = {"nothing": 240, "rest": 80, "thread": 40, "bad_at_first": 20, "joined": 1}
_FAN = 20
_CLIENTS = 4


async def prepare(connection: Connection) -> None:
    """Define the workflows of the load, and keep each terminal transition."""
    for program in ("nothing", "rest", "thread", "bad_at_first"):
        await define(connection, program, (program, None))
    await define(connection, "joined", *[("nothing", [])] * _FAN, ("join", list(range(1, _FAN + 1))))
    await connection.execute("""
        INSERT INTO ms_task_definition (task_id, task_seq, program, parameters) VALUES
            ('long', 1, 'long_at_first', '{"seconds": 1}'), ('block', 1, 'block', '{"seconds": 1}'), ('deadly', 1, 'deadly', '{}'),
            ('hostile', 1, 'hostile', '{"kind": "nul"}');
        CREATE TABLE written (at timestamptz DEFAULT now());
        CREATE TABLE ended (flow text, seq numeric);
        CREATE FUNCTION note_end() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN
            INSERT INTO ended VALUES (NEW.task_flow_id, NEW.task_exec_seq);
            RETURN NULL;
        END$$;
        CREATE TRIGGER note_end AFTER UPDATE ON kr_task_stat FOR EACH ROW WHEN (NEW.exec_status = 3 AND OLD.exec_status <> 3) EXECUTE FUNCTION note_end();
    """)


class Load:
    """Starts flows through *pool*, *per_second* tasks, until told to stop.

    `acknowledged`: the ids that were answered. `hostile_part`: of the flows, those whose task does what no database wants.
    """

    def __init__(self, pool: Pool, rng: random.Random, *, per_second: float) -> None:
        self._pool, self._rng, self._per_second = pool, rng, per_second
        self.hostile_part = 0.0
        self._stopped = asyncio.Event()
        self.acknowledged: set[str] = set()
        self.sent = 0

    async def run(self) -> None:
        """Start flows until `stop`, then until each one that was begun is acknowledged."""
        async with asyncio.TaskGroup() as group:
            for _ in range(_CLIENTS):
                group.create_task(self._client())

    def stop(self) -> None:
        self._stopped.set()

    async def one(self, workflow: str, parameters: dict[str, object] | None = None, **options: object) -> str:
        """Start one flow, as often as it takes, under one key."""
        key = uuid4().hex
        while True:
            try:
                flow: str = await self._pool.fetchval(
                    "SELECT flower_register($1, $2::jsonb, $3::jsonb)",
                    workflow,
                    json.dumps(parameters or {}),
                    json.dumps({"idempotencyKey": key, **options}),
                )
            except (DatabaseLost, ConfigurationError, asyncpg.PostgresError, TimeoutError):
                # Whether it was written is not known; the key makes the next try harmless.
                await asyncio.sleep(0.1)
            else:
                self.acknowledged.add(flow)
                return flow

    async def _client(self) -> None:
        names = [name for name, count in _MIX.items() for _ in range(count)]
        self._rng.shuffle(names)
        for name in cycle(names):
            if self._stopped.is_set():
                return
            if self._rng.random() < self.hostile_part:
                await self.one("hostile", {"kind": self._rng.choice(list(HOSTILE))})
            else:
                await self.one(name)
            tasks = _FAN + 1 if name == "joined" else 1
            self.sent += tasks
            await asyncio.sleep(tasks * _CLIENTS / self._per_second)


async def heal_failures(pool: Pool) -> None:
    """Set every failed task back to 0, for ever, as a person at psql does."""
    while True:
        with suppress(DatabaseLost, ConfigurationError, asyncpg.PostgresError):
            await pool.execute("UPDATE kr_task_stat SET exec_status = 0 WHERE exec_status = 2 AND outcome = 'failed' AND program = 'bad_at_first'")
        await asyncio.sleep(0.2)
