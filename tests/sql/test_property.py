"""Whatever people write and in whatever order tasks run: gates are true, limits are kept and used, nothing is lost, all that can end ends."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from decimal import Decimal
from random import Random
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from flower.core.model import Claim, Outcome
from flower.core.status import Status, Why
from flower.database.pool import Connection, Pool
from tests.sql.engine import Engine, define
from tests.sql.hands import Changes, Hands
from tests.sql.truth import Key, Picture, faults, is_excused, picture

# By hand: FLOWER_TEST_EXAMPLES=1000 make test ARGS='tests/sql/test_property.py --timeout=3600'
EXAMPLES = int(os.environ.get("FLOWER_TEST_EXAMPLES", "0"))
FLOWS = ("f", "g", "h")
STEPS = 40
DAG: tuple[dict[str, object], ...] = (
    {"limits": ["a"]},
    {"depends_on": [1], "limits": ["b"]},
    {"depends_on": [1], "program": "Rare"},
    {"depends_on": [2, 3], "limits": ["a", "b"]},
    {"depends_on": []},
    {"depends_on": [5, 4], "limits": ["k:1"]},
    {"depends_on": [5], "limits": ["k:2", "b"]},
)


class World:
    """Two workers, one person, and what the person knows: who holds which task."""

    def __init__(self, random: Random, pool: Pool, person: Connection, patient: Connection) -> None:
        self.random, self.pool, self.person, self.patient = random, pool, person, patient
        self.hands = Hands(random, FLOWS)
        self.engines = [Engine(pool), Engine(pool)]
        self.running: dict[Key, UUID] = {}
        self.outcomes: list[Outcome] = []
        self.excused: set[str] = set()

    async def begin(self) -> None:
        await self.person.execute(
            "TRUNCATE kr_task_stat; DELETE FROM kr_worker; DELETE FROM ms_limit; DELETE FROM ms_pause; DELETE FROM kr_recount; DELETE FROM kr_signal"
        )
        await self.engines[0].enroll("Ok")
        await self.engines[1].enroll("Ok", "Rare")

    async def step(self) -> None:
        does = self.random.choices(
            [self.write, self.write_together, self.turn, self.check, self.hold, self.register, self.come_or_go, self.verb],
            [12, 2, 14, 3, 2, 2, 1, 6],
        )
        await does[0]()

    async def write(self) -> None:
        self.know(await self.hands.write(self.person))

    async def write_together(self) -> None:
        """Several statements in one transaction, which may be rolled back."""
        await self.transaction(self.person, self.random.randint(2, 6), turns=0)

    async def hold(self) -> None:
        """A transaction that stays open while the engine goes on."""
        await self.transaction(self.patient, self.random.randint(1, 3), turns=self.random.randint(1, 3))

    async def transaction(self, session: Connection, statements: int, turns: int) -> None:
        transaction = session.transaction()
        await transaction.start()
        ends = transaction.rollback
        try:
            changes = [await self.hands.write(session) for _ in range(statements)]
            for _ in range(turns):
                await self.turn()
            if self.random.random() < 0.7:
                ends = transaction.commit
        finally:
            await ends()
        if ends == transaction.commit:
            for change in changes:
                self.know(change)

    def know(self, changes: Changes) -> None:
        for key in changes.taken:
            self.running.pop(key, None)
        self.excused |= changes.limits

    async def register(self) -> None:
        await self.person.fetchval("SELECT flower_register('dag')")

    async def come_or_go(self) -> None:
        """The worker with the program Rare goes, or is lost, or comes."""
        engine = self.engines[1]
        way = self.random.choice(["goes", "is lost"])
        if way == "goes":
            await engine.leave()
        else:
            await self.person.execute("UPDATE kr_worker SET lease_until = '-infinity' WHERE worker_id = $1", engine.worker_id)
        await self.engines[0].store.workers.sweep()
        self.running = {key: claim for key, claim in self.running.items() if claim not in engine.held}
        self.engines[1] = Engine(self.pool)
        if self.random.random() < 0.6:
            await self.engines[1].enroll("Ok", "Rare")

    async def verb(self) -> None:
        """Somebody reruns, cancels, skips or the like: it does what it says, or nothing at all."""
        before = await picture(self.person)
        if not before.tasks:
            return
        flow, seq = self.random.choice(sorted(before.tasks))
        name = self.random.choice(["rerun", "rerun", "rerun", "cancel", "suspend", "resume", "ignore", "complete", "retry"])
        options: dict[str, Any] = {}
        if name == "rerun":
            way = self.random.choice(["", "from", "only"])
            options = {**({way: float(seq)} if way else {}), "cancelRunning": self.random.random() < 0.5, "dryRun": self.random.random() < 0.2}
        values = [flow, *([str(seq)] if name in {"ignore", "complete", "retry"} else []), json.dumps(options)]
        places = ", ".join(f"${number}" for number in range(1, len(values) + 1))
        try:
            done = json.loads(await self.person.fetchval(f"SELECT flower_{name}({places})", *values))
        except asyncpg.PostgresError as error:
            assert error.sqlstate in {"FL404", "FL409"}, error  # noqa: PT017 - the state is what is asked
            assert (await picture(self.person)).tasks == before.tasks
            return
        now = await picture(self.person)
        assert not unkept(name, flow, seq, done, before, now)
        held = {
            (row[0], row[1]): row[2]
            for row in await self.person.fetch("SELECT task_flow_id, task_exec_seq, claim_id FROM kr_task_stat WHERE exec_status = 1")
        }
        self.running = {key: claim for key, claim in self.running.items() if held.get(key) == claim}

    async def turn(self) -> None:
        """Some outcomes, a look, and a claim."""
        self.random.shuffle(self.outcomes)
        send = [self.outcomes.pop() for _ in range(self.random.randint(0, len(self.outcomes)))]
        engine = self.random.choice(self.engines)
        answer = await engine.turn(send, slots=self.random.randint(0, 4), look=True)
        for outcome in send:
            claim = outcome.claim
            if claim.claim_id in answer.locked:
                self.outcomes.append(outcome)
            elif self.running.get((claim.flow_id, claim.seq)) == claim.claim_id:
                assert claim.claim_id not in answer.refused, f"{claim} was held and refused"
                del self.running[claim.flow_id, claim.seq]
            else:
                assert claim.claim_id in answer.refused, f"{claim} was gone and written"
        if answer.claimed:
            now = await picture(self.person)
        for claim in answer.claimed:
            key = (claim.flow_id, claim.seq)
            assert key not in self.running, f"{key} was started and runs already"
            assert not now.open_parents(key), f"{key} was started before its parents had ended"
            self.running[key] = claim.claim_id
            self.outcomes.append(self.outcome(claim))

    def outcome(self, claim: Claim) -> Outcome:
        way = self.random.choices(["finish", "fail", "retry", "later", "hand back"], [12, 2, 2, 1, 1])[0]
        match way:
            case "finish":
                return Outcome(claim, Status.FINISH, value="null")
            case "fail":
                return Outcome(claim, Status.SUSPEND, Why.FAILED, "{}")
            case "hand back":
                return Outcome(claim, Status.WAIT, unharmed=True)
        return Outcome(claim, Status.WAIT, Why.FAILED, "{}", after_seconds=0 if way == "retry" else 3_600)

    async def check(self) -> None:
        await self.engines[0].look()
        now = await picture(self.person)
        assert not faults(now, frozenset(self.excused))
        assert not await misexplained(self.person, now)
        over = {limit for limit, count in now.inside.items() if count > now.room(limit)}
        self.excused = {name for name in self.excused if any(is_excused(limit, frozenset({name})) for limit in over)}

    async def end(self) -> None:
        """Take away every reason to wait: now all that is there ends."""
        await self.check()
        for outcome in self.outcomes:
            await self.engines[0].turn([outcome], look=True)
        await self.engines[1].enroll_again("Ok", "Rare")
        await self.person.execute("""
            DELETE FROM ms_pause;
            UPDATE ms_limit SET slots = 1 + slots;
            UPDATE kr_task_stat SET run_after = NULL;
            DELETE FROM kr_task_edge e WHERE NOT EXISTS (
                SELECT FROM kr_task_stat t WHERE t.task_flow_id = e.task_flow_id AND t.task_exec_seq = e.parent_seq);
            UPDATE kr_task_edge SET counts = '{3,9}';
            UPDATE kr_task_stat SET parameters = '{"name": "s"}';
            UPDATE kr_task_stat SET exec_status = 0 WHERE exec_status NOT IN (0, 3, 9);
        """)
        for _ in range(50):
            await self.engines[1].run_all()
            await self.person.execute("SELECT flower_signal('s')")
            await self.engines[1].run_all()
            opened = await self.person.fetch("""
                WITH stopped AS (UPDATE kr_task_stat SET exec_status = 0 WHERE error ->> 'type' = 'Circle' RETURNING task_flow_id, task_exec_seq)
                DELETE FROM kr_task_edge e USING stopped s WHERE e.task_flow_id = s.task_flow_id AND e.task_exec_seq = s.task_exec_seq RETURNING 1
            """)
            if not opened and not await self.person.fetchval("SELECT EXISTS (SELECT FROM kr_task_stat WHERE exec_status = 0 AND gate = 'signal')"):
                break
        now = await picture(self.person)
        assert not faults(now, frozenset({"*"}))
        left = {key: task for key, task in now.tasks.items() if task["exec_status"] not in (Decimal(3), Decimal(9))}
        assert not left, f"these never end: {left}"


def unkept(verb: str, flow: str, seq: Decimal, done: Any, before: Picture, now: Picture) -> list[object]:
    """Return what a verb that was done has not kept of its word."""
    own = {key: task for key, task in now.tasks.items() if key[0] == flow}
    status = {key[1]: task["exec_status"] for key, task in own.items()}
    wrong: list[object] = [key for key, task in before.tasks.items() if key[0] != flow and now.tasks.get(key) != task]
    if verb == "rerun" and done.get("dryRun"):
        return [*wrong, *(key for key in before.tasks if before.tasks[key] != now.tasks.get(key))]
    if verb == "rerun":
        again = {Decimal(str(task["seq"])) for task in done["run"]}
        wrong += [key for key in own if key[1] in again and status[key[1]] != 0]
        wrong += [key for key in own if key[1] not in again and own[key] != before.tasks[key]]
        return wrong
    if verb == "cancel":
        return wrong + [key for key in own if status[key[1]] not in (3, 9)]
    if verb in {"ignore", "complete"}:
        return wrong + ([] if status[seq] == (9 if verb == "ignore" else 3) else [status])
    return wrong + ([] if verb != "retry" or status[seq] == 0 else [status])


async def misexplained(connection: Connection, now: Picture) -> list[object]:
    """Return the waiting tasks of which flower_why says something else than their gate, and more or less than what is true of them."""
    rows = await connection.fetch("SELECT flow_id, seq, gate, reasons FROM flower_why WHERE status_number = 0")
    assert {(row["flow_id"], row["seq"]) for row in rows} == {key for key, task in now.tasks.items() if task["exec_status"] == 0}
    wrong: list[object] = []
    for row in rows:
        key, facts = (row["flow_id"], row["seq"]), json.loads(row["reasons"])
        task, gates = now.tasks[key], [fact["gate"] for fact in facts]
        parents = {Decimal(str(fact["seq"])) for fact in facts if fact["gate"] == "dependencies"}
        held = {(fact["of"], fact["name"]) for fact in facts if fact["gate"] == "pause"}
        paused = {("flow" if kind == "workflow" and name != task["task_id"] else kind, name) for kind, name in now.pauses(key)}
        others = {
            "time": bool(task["run_after"] and task["run_after"] > datetime.now(UTC)),
            "pause": bool(paused),
            "program": task["program"] not in {*now.programs, "WaitForSignal"},
            "signal": row["gate"] == "signal",
        }
        stands = row["gate"] in (gates[:1] if row["gate"] != "slot" else [*(gates or ["slot"])])
        if not stands or parents != now.open_parents(key) or held != paused or any((gate in gates) is not true for gate, true in others.items()):
            wrong.append((key, row["gate"], facts, others))
    return wrong


@pytest.mark.timeout(3_600 if EXAMPLES else 120)
@settings(
    max_examples=EXAMPLES or 30,
    derandomize=not EXAMPLES,
    database=None,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(seed=st.integers(0, 2**63))
async def test_after_any_statements_and_batches_every_gate_is_true_and_everything_that_can_end_ends(
    seed: int, pool: Pool, connection: Connection, other: Connection
) -> None:
    await connection.execute("DELETE FROM ms_task_definition")
    await define(connection, "dag", *DAG)
    world = World(Random(seed), pool, connection, other)
    await world.begin()

    for _ in range(STEPS):
        await world.step()

    await world.end()
