"""Limits that count flows: so many of a workflow at once, and one at a time of a unique key."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from random import Random
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from flower.core.model import Claim, Outcome
from flower.core.status import Status, Why
from flower.database.pool import Connection, Pool
from tests.sql.engine import Engine, define, gates, put, row, write

DIGEST = "workflow:digest"


async def limit(connection: Connection, slots: int | None, name: str = DIGEST) -> None:
    if slots is None:
        await connection.execute("DELETE FROM ms_limit WHERE name = $1", name)
    else:
        await connection.execute(
            "INSERT INTO ms_limit (name, slots) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET slots = excluded.slots", name, slots
        )


async def start(connection: Connection, count: int = 1, workflow: str = "digest", **options: Any) -> list[str]:
    return [str(await connection.fetchval("SELECT flower_register($1, '{}', $2)", workflow, json.dumps(options))) for _ in range(count)]


async def once(connection: Connection, key: str = "k", policy: str = "skip", workflow: str = "digest", **options: Any) -> str:
    (flow,) = await start(connection, 1, workflow, unique={"key": key, "policy": policy}, **options)
    return flow


async def inside(connection: Connection, name: str = DIGEST) -> set[str]:
    return {found[0] for found in await connection.fetch("SELECT task_flow_id FROM kr_flow_inside WHERE name = $1", name)}


def flows(claims: Sequence[Claim]) -> set[str]:
    return {claim.flow_id for claim in claims}


@pytest.fixture
async def digest(connection: Connection) -> str:
    """A workflow of two steps, one after the other."""
    await define(connection, "digest", {}, {})
    return "digest"


pytestmark = pytest.mark.usefixtures("digest")


# So many at once


async def test_no_more_flows_than_its_slots_are_in_progress_and_the_end_of_one_lets_in_the_next_in_the_same_cycle(
    engine: Engine, connection: Connection
) -> None:
    await limit(connection, 2)
    made = await start(connection, 4)

    first = await engine.claim()
    assert flows(first) == set(made[:2])
    assert await gates(connection, made[2]) == {1: f"limit {DIGEST}", 2: "dependencies 1"}

    second = list((await engine.turn([Outcome(claim, Status.FINISH, value="null") for claim in first], slots=10)).claimed)
    assert flows(second) == set(made[:2]), "a flow keeps its place from one task to the next"
    third = (await engine.turn([Outcome(second[0], Status.FINISH, value="null")], slots=10)).claimed
    assert [claim.flow_id for claim in third] == made[2:3]
    assert await inside(connection) == {second[1].flow_id, made[2]}


async def test_all_that_waits_of_a_flow_moves_on_with_it(engine: Engine, connection: Connection) -> None:
    await define(connection, "wide", *[{"depends_on": []} for _ in range(30)])
    await limit(connection, 2, "workflow:wide")
    made = await start(connection, 3, "wide")

    claims = await engine.claim(100)

    assert Counter(claim.flow_id for claim in claims) == {made[0]: 30, made[1]: 30}
    assert len((await engine.turn([Outcome(claim, Status.FINISH, value="null") for claim in claims], slots=100)).claimed) == 30


async def test_a_pattern_gives_each_workflow_its_own_count_and_a_row_of_its_own_goes_before_it(engine: Engine, connection: Connection) -> None:
    for name in ("dig", "dog", "cat"):
        await define(connection, name, {})
    await limit(connection, 1, "workflow:d*")
    await limit(connection, 2, "workflow:dog")
    for name in ("dig", "dog", "cat"):
        await start(connection, 3, name)

    assert Counter(claim.workflow for claim in await engine.claim()) == {"dig": 1, "dog": 2, "cat": 3}

    await limit(connection, 2, "workflow:d*")
    assert Counter(claim.workflow for claim in await engine.claim()) == {"dig": 1}
    await limit(connection, None, "workflow:d*")
    assert Counter(claim.workflow for claim in await engine.claim()) == {"dig": 1}


async def test_a_limit_that_changes_counts_at_once_and_never_stops_a_flow(engine: Engine, connection: Connection) -> None:
    await limit(connection, 0)
    await start(connection, 5)
    assert await engine.claim() == []

    await limit(connection, 3)
    three = await engine.claim()
    assert len(three) == 3
    await limit(connection, 1)
    on = list((await engine.finish(*three)).claimed) or await engine.claim()
    assert flows(on) == flows(three), "all three go on"
    await engine.finish(*on[:2])
    assert await engine.claim() == []
    await engine.finish(on[2])
    assert len(await engine.claim()) == 1

    await limit(connection, None)
    assert len(await engine.claim()) == 1


async def test_a_negative_number_is_refused(connection: Connection) -> None:
    with pytest.raises(asyncpg.CheckViolationError, match="slots_not_negative"):
        await limit(connection, -1)


async def test_a_new_limit_holds_the_backlog_and_lets_in_what_runs(engine: Engine, connection: Connection) -> None:
    made = await start(connection, 700)
    begun = await engine.claim(3)
    await limit(connection, 4)
    await engine.look()

    assert await inside(connection) == set(made[:4])
    assert len(await engine.claim()) == 1
    await engine.finish(*begun)
    assert flows(await engine.claim()) == set(made[:3])


@pytest.mark.parametrize(
    "how",
    ["cancel", "skip", "hand in", "delete", "fail", "approval", "poison", "verb"],
)
async def test_whichever_way_a_flow_ends_or_stalls_its_place_is_free_at_once(engine: Engine, connection: Connection, how: str) -> None:
    await limit(connection, 1)
    first, second = await start(connection, 2)
    claim = await engine.one()
    match how:
        case "cancel":
            await connection.execute("SELECT flower_cancel($1)", first)
        case "skip" | "hand in":
            await connection.execute("UPDATE kr_task_stat SET exec_status = $2 WHERE task_flow_id = $1", first, Decimal(9 if how == "skip" else 3))
        case "delete":
            await connection.execute("DELETE FROM kr_task_stat WHERE task_flow_id = $1", first)
        case "fail":
            await engine.fail(claim)
        case "approval":
            await engine.turn([Outcome(claim, Status.SUSPEND, Why.APPROVAL)])
        case "poison":
            await connection.execute("UPDATE kr_task_stat SET crashes = 2, worker_id = $1 WHERE exec_status = 1", uuid4())
            await engine.store.workers.sweep()
        case "verb":
            await connection.execute("SELECT flower_ignore($1, '1'), flower_ignore($1, '2')", first)

    assert [claim.flow_id for claim in await engine.claim()] == [second]
    assert await inside(connection) == {second}


async def test_a_stalled_flow_and_one_that_runs_again_queue_like_any_other(engine: Engine, connection: Connection) -> None:
    await limit(connection, 1)
    failed, second = await start(connection, 2)
    await engine.fail(await engine.one())
    assert (await engine.one()).flow_id == second

    await connection.execute("SELECT flower_retry($1, '1')", failed)
    assert await engine.claim() == []
    assert (await gates(connection, failed))[1] == f"limit {DIGEST}"

    await connection.execute("SELECT flower_cancel($1)", second)
    assert [found[0] for found in await engine.run_all()] == [failed] * 2
    third, fourth = await start(connection, 2)
    claim = await engine.one()
    await connection.execute("SELECT flower_rerun($1, '{\"whole\": true}')", failed)
    await engine.look()
    assert (claim.flow_id, (await gates(connection, failed))[1]) == (third, f"limit {DIGEST}")
    await engine.finish(claim)
    assert [found[0] for found in await engine.run_all()] == [third, failed, failed, fourth, fourth]


async def test_a_flow_with_a_failed_branch_keeps_its_place_while_the_other_goes_on(engine: Engine, connection: Connection) -> None:
    await define(connection, "two", {"depends_on": []}, {"depends_on": []}, {"depends_on": [2]})
    await limit(connection, 1, "workflow:two")
    first, _ = await start(connection, 2, "two")
    one, two = await engine.claim()

    await engine.fail(one)
    await engine.finish(two)
    assert [(claim.flow_id, claim.seq) for claim in await engine.claim()] == [(first, 3)]


async def test_a_flow_that_waits_for_a_time_between_attempts_keeps_its_place(engine: Engine, connection: Connection) -> None:
    await limit(connection, 1)
    await start(connection, 2)
    await engine.fail(await engine.one(), retry_after=3_600)

    assert await engine.claim() == []


async def test_the_most_urgent_flow_is_let_in_first_and_one_that_may_not_run_yet_takes_no_place(engine: Engine, connection: Connection) -> None:
    await limit(connection, 0)
    late = (await start(connection, runAt="2999-01-01T00:00:00Z"))[0]
    paused = (await start(connection))[0]
    await connection.execute("SELECT flower_suspend($1)", paused)
    plain, urgent, changed = (await start(connection))[0], (await start(connection, priority=-5))[0], (await start(connection))[0]
    await connection.execute("SELECT flower_priority($1, '{\"priority\": -9}')", changed)
    await limit(connection, 3)

    claims = await engine.claim()

    assert [claim.flow_id for claim in claims] == [changed, urgent, plain]
    assert {(await gates(connection, flow))[1] for flow in (late, paused)} == {"time", f"pause {paused}"}


async def test_rows_that_a_hand_wrote_are_held_and_let_in_as_flows(engine: Engine, connection: Connection) -> None:
    await limit(connection, 1, "workflow:by_hand")
    for flow in ("f", "g"):
        await write(connection, flow, 1)
        await write(connection, flow, 2, after=1)

    assert [found[0] for found in await engine.run_all()] == ["f", "f", "g", "g"]
    assert (await gates(connection, "f")).keys() == {1, 2}


async def test_a_session_that_holds_rows_of_a_flow_holds_up_only_that_flow(engine: Engine, connection: Connection, other: Connection) -> None:
    await limit(connection, 0)
    made = await start(connection, 3)
    await engine.look()
    transaction = other.transaction()
    await transaction.start()
    await other.execute("SELECT FROM kr_task_stat WHERE task_flow_id = $1 FOR UPDATE", made[0])

    await limit(connection, 1)
    claim = await engine.one()
    assert claim.flow_id == made[1]
    await transaction.rollback()
    await engine.finish(claim)
    assert (await engine.one()).flow_id == made[1]


async def test_an_open_transaction_on_the_last_task_of_a_flow_is_not_waited_for(engine: Engine, connection: Connection, other: Connection) -> None:
    await limit(connection, 1)
    first, second = await start(connection, 2)
    await engine.finish(await engine.one())
    claim = await engine.one()
    transaction = other.transaction()
    await transaction.start()
    await other.execute("SELECT FROM kr_task_stat WHERE task_flow_id = $1 FOR UPDATE", first)
    answer = await engine.finish(claim)
    assert answer.locked == (claim.claim_id,)
    await transaction.rollback()

    await engine.finish(claim)
    assert (await engine.one()).flow_id == second


async def test_the_limits_of_the_flow_come_before_those_of_its_tasks(engine: Engine, connection: Connection) -> None:
    await define(connection, "both", {"limits": ["api"]})
    await limit(connection, 1, "workflow:both")
    await limit(connection, 0, "api")
    first, second = await start(connection, 2, "both")
    await engine.look()

    assert await gates(connection, first) == {1: "limit api"}
    assert await gates(connection, second) == {1: "limit workflow:both"}
    await limit(connection, 1, "api")
    assert [found[0] for found in await engine.run_all()] == [first, second]


async def test_a_limit_on_flows_that_a_task_names_does_not_hold_the_task(engine: Engine, connection: Connection) -> None:
    await limit(connection, 0, "workflow:other")
    await write(connection, "f", 1, limits=["workflow:other"])

    assert len(await engine.claim()) == 1


async def test_why_names_the_limit_its_slots_and_the_flows_inside(engine: Engine, connection: Connection) -> None:
    await limit(connection, 1)
    first, second = await start(connection, 2)
    unique = [await once(connection, "order-7", "queue", "digest"), await once(connection, "order-7", "queue", "digest")]
    await limit(connection, 2)
    await engine.claim()
    await engine.look()

    (why,) = [found for found in await engine.store.flows.why(unique[0]) if found.seq == 1]
    assert why.reasons == (f"the limit 'workflow:digest' (2 flows at once) is full; inside: {first}, {second}",)
    (why,) = [found for found in await engine.store.flows.why(unique[1]) if found.seq == 1]
    assert why.reason == f"the unique key 'order-7' lets one flow at a time: waits for {unique[0]}"


async def test_a_probe_heals_a_place_that_was_never_given_up(engine: Engine, connection: Connection) -> None:
    await limit(connection, 1)
    first, second = await start(connection, 2)
    await engine.one()
    await connection.execute("ALTER TABLE kr_task_stat DISABLE TRIGGER USER")
    await connection.execute("UPDATE kr_task_stat SET exec_status = 3 WHERE task_flow_id = $1", first)
    await connection.execute("ALTER TABLE kr_task_stat ENABLE TRIGGER USER")
    assert await engine.claim() == []

    assert (await engine.store.workers.probe(engine.worker_id, "n")).work
    assert [claim.flow_id for claim in await engine.claim()] == [second]


async def test_a_queue_that_is_full_leaves_an_idle_worker_idle(engine: Engine, connection: Connection) -> None:
    await limit(connection, 1)
    await start(connection, 3)
    await engine.fail(await engine.one(), retry_after=3_600)
    await engine.look()

    assert not (await engine.store.workers.probe(engine.worker_id, "n")).work
    assert ((await engine.turn(look=True)).sleep_seconds or 0) > 3_000


# What a definition says


async def defined(connection: Connection, max_flows: int | None, code: str | None) -> str:
    steps = [{"seq": 1, "program": "Ok", "parameters": {"code": code}}]
    definition: dict[str, Any] = {"workflow": "digest", "steps": steps, "parameters": None, "result": None}
    if max_flows is not None:
        definition["maxFlows"] = max_flows
    return str(await connection.fetchval("SELECT kr_define($1, $2, 'test', false)", json.dumps(definition), code))


async def slots(connection: Connection) -> int | None:
    found: int | None = await connection.fetchval("SELECT slots FROM ms_limit WHERE name = $1", DIGEST)
    return found


async def test_a_definition_writes_the_limit_when_it_says_another_number_and_else_leaves_what_an_operator_made_of_it(connection: Connection) -> None:
    await connection.execute("DELETE FROM ms_task_definition")
    await defined(connection, 3, "one")
    assert await slots(connection) == 3
    await limit(connection, 5)
    assert await defined(connection, 3, "one") == "current"
    assert await slots(connection) == 5
    await defined(connection, 3, "two")
    assert await slots(connection) == 5
    await defined(connection, 4, "three")
    assert await slots(connection) == 4
    assert await defined(connection, 3, "one") == "superseded"
    await defined(connection, None, "four")
    assert await slots(connection) is None
    await limit(connection, 7)
    await defined(connection, None, "five")
    assert await slots(connection) == 7
    await defined(connection, 2, None)
    await connection.execute("DELETE FROM ms_task_definition")
    assert await slots(connection) is None


async def test_a_workflow_whose_name_would_make_a_pattern_may_have_none(connection: Connection) -> None:
    definition = json.dumps({"workflow": "dig*", "steps": [{"seq": 1, "program": "Ok"}], "maxFlows": 1})
    with pytest.raises(asyncpg.PostgresError, match="ends in") as raised:
        await connection.fetchval("SELECT kr_define($1, NULL, 'test', false)", definition)
    assert raised.value.sqlstate == "FL422"


# Once at a time


async def test_skip_makes_nothing_while_one_with_the_key_is_in_progress_or_waits(engine: Engine, connection: Connection) -> None:
    first = await once(connection)
    assert await once(connection) == first, "not begun"
    claim = await engine.one()
    assert await once(connection) == first
    await engine.finish(claim)
    assert await once(connection) == first
    assert await once(connection, "other") != first
    await engine.run_all()

    again = await once(connection)
    assert again != first
    await connection.execute("SELECT flower_suspend($1)", again)
    await engine.look()
    assert await once(connection) == again
    assert await connection.fetchval("SELECT count(*) FROM kr_flow_stat") == 3


async def test_a_skipped_order_is_told_apart_and_said_in_a_notice(connection: Connection) -> None:
    heard: list[str] = []
    connection.add_log_listener(lambda _, message: heard.append(str(message)))
    order = [
        "digest",
        ["{}"] * 4,
        [json.dumps(o) for o in ({"unique": {"key": "k"}}, {"unique": {"key": "k"}}, {"unique": {"key": "k", "policy": "queue"}}, {})],
    ]
    rows = await connection.fetch("SELECT * FROM kr_register($1, $2, $3) ORDER BY n", *order)

    assert [row["skipped"] for row in rows] == [False, True, False, False]
    assert rows[0]["flow_id"] == rows[1]["flow_id"]
    assert not any(row["duplicate"] for row in rows)
    flow = await once(connection)
    assert any(f"flow {flow} has this unique key" in words for words in heard)


@pytest.mark.parametrize("how", ["fail", "cancel", "delete"])
async def test_one_that_is_stalled_cancelled_or_gone_does_not_count(engine: Engine, connection: Connection, how: str) -> None:
    first = await once(connection)
    claim = await engine.one()
    if how == "fail":
        await engine.fail(claim)
    else:
        await connection.execute("SELECT flower_cancel($1)" if how == "cancel" else "DELETE FROM kr_task_stat WHERE task_flow_id = $1", first)

    assert await once(connection) != first


async def test_a_stalled_one_that_is_tried_again_counts_again_and_waits_its_turn(engine: Engine, connection: Connection) -> None:
    first = await once(connection)
    await engine.fail(await engine.one())
    second = await once(connection)
    claim = await engine.one()
    await connection.execute("SELECT flower_retry($1, '1')", first)
    assert await engine.claim() == []
    await engine.finish(claim)
    assert [found[0] for found in await engine.run_all()] == [second, first, first]

    await connection.execute("SELECT flower_rerun($1, '{\"whole\": true}')", first)
    assert await once(connection) == first


async def test_queue_runs_one_after_the_other_in_their_order(engine: Engine, connection: Connection) -> None:
    made = [await once(connection, policy="queue") for _ in range(4)]

    for flow in made:
        assert [(await engine.one()).flow_id] == [flow]
        assert await once(connection) in made, "whoever waits counts, too"
        await engine.turn([Outcome(claim, Status.FINISH, value="null") for claim in engine.held.values()])
        await engine.finish(await engine.one())
    assert await connection.fetchval("SELECT count(*) FROM kr_flow_stat") == 4


async def test_workflows_with_colons_in_their_names_do_not_share_keys(connection: Connection) -> None:
    for name in ("a", "a:b", "a\\:b", "a\\"):
        await define(connection, name, {})
    pairs = [("a", "b:c"), ("a:b", "c"), ("a\\:b", "c"), ("a\\", "b:c"), ("a", "\\:b:c")]

    assert len({await once(connection, key, workflow=name) for name, key in pairs}) == len(pairs)


async def test_the_same_flow_of_another_definition_keeps_its_key(engine: Engine, connection: Connection) -> None:
    first = await once(connection)
    await engine.fail(await engine.one())
    await connection.execute("UPDATE ms_task_definition SET parameters = '{\"a\": 1}' WHERE task_seq = 2")
    await connection.execute("INSERT INTO ms_task_definition (task_id, task_seq, program) VALUES ('digest', 3, 'Ok')")
    await connection.execute('SELECT flower_rerun($1, \'{"definition": "latest"}\')', first)

    assert {found["limits"][0] for found in [await row(connection, first, seq) for seq in (1, 2, 3)]} == {"unique:digest:k"}


async def test_the_idempotency_key_is_looked_at_before_the_unique_one(engine: Engine, connection: Connection) -> None:
    first = await once(connection, idempotencyKey="i")
    await engine.run_all()
    second = await once(connection)

    assert await once(connection, idempotencyKey="i") == first
    assert await once(connection, idempotencyKey="new") == second


@pytest.mark.parametrize(
    ("unique", "path"),
    [
        ("k", "unique"),
        (None, "unique"),
        ([], "unique"),
        ({"key": "k", "polcy": "skip"}, "unique"),
        ({}, "unique.key"),
        ({"key": ""}, "unique.key"),
        ({"key": 5}, "unique.key"),
        ({"key": "x" * 513}, "unique.key"),
        ({"key": "ü" * 257}, "unique.key"),
        ({"key": "k", "policy": "wait"}, "unique.policy"),
        ({"key": "k", "policy": None}, "unique.policy"),
    ],
)
async def test_a_unique_of_the_wrong_form_is_refused_with_its_path(connection: Connection, unique: object, path: str) -> None:
    with pytest.raises(asyncpg.PostgresError) as raised:
        await start(connection, unique=unique)

    assert raised.value.sqlstate == "FL422"
    assert [detail["path"] for detail in json.loads(raised.value.detail or "")] == [path]


async def test_a_key_of_512_bytes_runs(engine: Engine, connection: Connection) -> None:
    flow = await once(connection, "ü" * 256)
    assert [found[0] for found in await engine.run_all()] == [flow, flow]


@pytest.mark.parametrize("ends", ["commit", "rollback"])
async def test_of_two_at_the_same_moment_the_second_waits_for_the_first_and_the_engine_for_neither(
    engine: Engine, connection: Connection, other: Connection, ends: str
) -> None:
    (free,) = await start(connection)
    transaction = connection.transaction()
    await transaction.start()
    first = await once(connection)
    waits = asyncio.create_task(once(other))
    async with asyncio.timeout(10):
        while not await connection.fetchval("SELECT cardinality(pg_blocking_pids($1)) > 0", other.get_server_pid()):
            await asyncio.sleep(0)
    assert [claim.flow_id for claim in await engine.claim()] == [free]

    await (transaction.commit() if ends == "commit" else transaction.rollback())

    assert (await waits == first) == (ends == "commit")


async def test_of_fifty_that_come_together_with_one_key_exactly_one_is_made(pool: Pool, connection: Connection) -> None:
    async def one() -> str:
        async with pool.acquire() as session:
            return await once(session)

    assert len(set(await asyncio.gather(*(one() for _ in range(50))))) == 1
    assert await connection.fetchval("SELECT count(*) FROM kr_flow_stat") == 1


async def test_two_calls_that_bring_the_same_keys_in_other_orders_do_not_lock_each_other_out(connection: Connection, other: Connection) -> None:
    keys = [f"k{n}" for n in range(80)]

    async def many(session: Connection, order: list[str]) -> None:
        options = [json.dumps({"unique": {"key": key}}) for key in order]
        await session.fetch("SELECT flow_id FROM kr_register('digest', $1, $2)", ["{}"] * len(order), options)

    for _ in range(5):
        await asyncio.gather(many(connection, keys), many(other, keys[::-1]))
    assert await connection.fetchval("SELECT count(*) FROM kr_flow_stat") == 80


# Whatever happens


class World:
    """Flows that come, run, fail, are tried again, cancelled and deleted; a limit that changes; two workers."""

    def __init__(self, random: Random, pool: Pool, person: Connection) -> None:
        self.random, self.person = random, person
        self.engines = [Engine(pool), Engine(pool)]
        self.outcomes: list[Outcome] = []

    async def begin(self) -> None:
        await self.person.execute("TRUNCATE kr_task_stat; DELETE FROM kr_worker; DELETE FROM ms_limit; DELETE FROM ms_pause; DELETE FROM kr_recount")
        for engine in self.engines:
            await engine.enroll("Ok")
        await limit(self.person, self.slots())

    def slots(self) -> int:
        return self.random.choice([0, 1, 2, 3])

    async def step(self) -> None:
        does = self.random.choices([self.register, self.change, self.by_hand, self.turn, self.verb], [4, 1, 3, 12, 4])
        await does[0]()
        await self.never_too_many()

    async def register(self) -> None:
        options: dict[str, Any] = {"unique": {"key": self.random.choice("ab"), "policy": "queue"}} if self.random.random() < 0.3 else {}
        await start(self.person, self.random.randint(1, 3), **options)

    async def change(self) -> None:
        await limit(self.person, self.slots())

    async def flow(self) -> str | None:
        found = [found[0] for found in await self.person.fetch("SELECT DISTINCT task_flow_id FROM kr_task_stat ORDER BY 1")]
        return self.random.choice(found) if found else None

    async def by_hand(self) -> None:
        flow, seq = await self.flow(), self.random.choice([1, 2])
        if flow is None:
            return
        if self.random.random() < 0.1:
            await self.person.execute("DELETE FROM kr_task_stat WHERE task_flow_id = $1", flow)
        else:
            await put(self.person, flow, seq, self.random.choice([0, 0, 2, 3, 9]))

    async def verb(self) -> None:
        flow = await self.flow()
        verb = self.random.choice(["cancel", "suspend", "resume", "rerun"])
        if flow is not None:
            try:
                await self.person.execute(f"SELECT flower_{verb}($1)", flow)
            except asyncpg.PostgresError as error:
                assert error.sqlstate in {"FL404", "FL409"}, error  # noqa: PT017 - the state is what is asked

    async def turn(self) -> None:
        self.random.shuffle(self.outcomes)
        send = [self.outcomes.pop() for _ in range(self.random.randint(0, len(self.outcomes)))]
        answer = await self.random.choice(self.engines).turn(send, slots=self.random.randint(0, 4), look=self.random.random() < 0.7)
        for claim in answer.claimed:
            way = self.random.choices(["finish", "fail", "retry"], [6, 2, 1])[0]
            self.outcomes.append(
                Outcome(claim, Status.FINISH, value="null")
                if way == "finish"
                else Outcome(claim, Status.SUSPEND, Why.FAILED, "{}")
                if way == "fail"
                else Outcome(claim, Status.WAIT, Why.FAILED, "{}", after_seconds=0)
            )

    async def never_too_many(self) -> None:
        """Whoever has a task at a slot or running is inside, and no key has two."""
        outside = await self.person.fetch("""
            SELECT t.task_flow_id, l.name FROM kr_task_stat t CROSS JOIN LATERAL (
                SELECT 'workflow:digest' AS name UNION ALL SELECT unnest(t.limits)) l
            WHERE (t.exec_status = 1 OR (t.exec_status = 0 AND t.gate = 'slot')) AND NOT EXISTS (
                SELECT FROM kr_flow_inside i WHERE i.task_flow_id = t.task_flow_id AND i.name = l.name)
        """)
        assert not outside
        many = await self.person.fetch("SELECT name FROM kr_flow_inside WHERE name LIKE 'unique:%' GROUP BY name HAVING count(*) > 1")
        assert not many

    async def check(self) -> None:
        """At rest: as many are inside as may be, or all that want to."""
        await self.engines[0].look()
        slots = await self.person.fetchval("SELECT slots FROM ms_limit WHERE name = $1", DIGEST)
        going = await self.person.fetchval("SELECT count(*) FROM kr_flow_inside WHERE name = $1 AND kr_goes_on(task_flow_id)", DIGEST)
        waiting = await self.person.fetchval(
            "SELECT count(DISTINCT task_flow_id) FROM kr_task_stat WHERE exec_status = 0 AND gate = 'limit' AND waits_for = $1", DIGEST
        )
        assert going >= min(slots, going + waiting), f"{going} inside of {slots}, {waiting} wait"
        idle = await self.person.fetch("""
            SELECT DISTINCT t.waits_for FROM kr_task_stat t WHERE t.exec_status = 0 AND t.gate = 'limit' AND t.waits_for LIKE 'unique:%'
                AND NOT EXISTS (SELECT FROM kr_flow_inside i WHERE i.name = t.waits_for AND kr_goes_on(i.task_flow_id))
        """)
        assert not idle


@pytest.mark.timeout(120)
@settings(
    max_examples=15,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(seed=st.integers(0, 2**63))
async def test_after_any_step_no_flow_runs_outside_and_at_rest_no_place_is_empty_while_somebody_waits(
    seed: int, pool: Pool, connection: Connection
) -> None:
    world = World(Random(seed), pool, connection)
    await world.begin()

    for number in range(60):
        await world.step()
        if number % 10 == 9:
            await world.check()
