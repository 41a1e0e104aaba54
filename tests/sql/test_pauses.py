"""Pauses of workflows, flows, programs, limits and everything: nothing new of what is held starts, all else does, and all goes on afterwards."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from flower.core.errors import Invalid, NotNow, UnknownWorkflow
from flower.core.model import Outcome
from flower.core.status import Status, Why
from flower.database.pool import Connection, Pool
from tests.sql.engine import Engine, define, gates, put, seqs, write
from tests.sql.test_gates import write_many

# What holds the flow f and not the flow g, both as rows of the two interfaces, with the door that its tasks wait for.
HOLDS = {
    "workflow": (("workflow", "mine"), "mine"),
    "flow": (("flow", "f"), "f"),
    "by its name alone": (("workflow", "f"), "f"),
    "program": (("program", "Mine"), "program:Mine"),
    "limit": (("limit", "tenant:7"), "limit:tenant:7"),
    "pattern": (("limit", "tenant:*"), "limit:tenant:*"),
}
EVERYTHING = ("all", "*")


@pytest.fixture
async def engine(pool: Pool) -> Engine:
    return await Engine(pool).enroll("Ok", "Mine")


async def mine(connection: Connection, seq: object, after: object = -1, **columns: object) -> None:
    await write(connection, "f", seq, after, program="Mine", task_id="mine", limits=["other", "tenant:7"], **columns)


async def both(connection: Connection) -> None:
    """Three tasks of f, the last of which comes after the first, and two of g."""
    for seq, after in ((1, -1), (2, -1), (3, 1)):
        await mine(connection, seq, after)
    await write(connection, "g", 1, limits=["other", "tenants"])
    await write(connection, "g", 2, 1)


async def pause(connection: Connection, kind: str, name: str, until: str = "NULL") -> None:
    await connection.execute(f"INSERT INTO ms_pause (kind, task_id, reason, until_ts) VALUES ($1, $2, 'why not', {until})", kind, name)


async def unpause(connection: Connection) -> None:
    await connection.execute("DELETE FROM ms_pause")


async def do(connection: Connection, verb: str, **options: Any) -> Any:
    return json.loads(await connection.fetchval(f"SELECT flower_{verb}($1)", json.dumps(options)))


async def refused(connection: Connection, sqlstate: str, verb: str, **options: Any) -> str:
    with pytest.raises(asyncpg.PostgresError) as caught:
        await do(connection, verb, **options)
    assert caught.value.sqlstate == sqlstate, caught.value
    return str(caught.value)


# What is held, and what is not


@pytest.mark.parametrize("kind", HOLDS)
async def test_what_is_paused_starts_nothing_new_everything_else_goes_on_and_what_runs_finishes(
    engine: Engine, connection: Connection, kind: str
) -> None:
    held, door = HOLDS[kind]
    await both(connection)
    running = (await engine.claim(1))[0]

    await pause(connection, *held)
    others = await engine.claim()
    await engine.finish(running, *others)

    assert {claim.flow_id for claim in others} == {"g"}
    assert [claim.flow_id for claim in await engine.claim()] == ["g"]
    assert await gates(connection, "f") == {1: None, 2: f"pause {door}", 3: f"pause {door}"}
    await unpause(connection)
    assert seqs(await engine.claim()) == [2, 3]


async def test_a_pause_of_everything_holds_everything(engine: Engine, connection: Connection) -> None:
    await both(connection)
    running = (await engine.claim(1))[0]

    await pause(connection, *EVERYTHING)
    assert await engine.claim() == []
    await engine.turn([Outcome(running, Status.WAIT, Why.FAILED, "{}")])
    assert await engine.claim() == []

    assert {*(await gates(connection, "f")).values(), *(await gates(connection, "g")).values()} == {"pause all:*", "dependencies 1"}
    await unpause(connection)
    assert len(await engine.claim()) == 3


@pytest.mark.parametrize("suspects", [False, True])
@pytest.mark.parametrize("differ", [False, True])
@pytest.mark.parametrize("kind", [*HOLDS, "all"])
async def test_a_claim_that_follows_the_pause_passes_it_over_before_anybody_has_looked(
    engine: Engine, pool: Pool, connection: Connection, kind: str, differ: bool, suspects: bool
) -> None:
    if differ:
        await Engine(pool).enroll("Ok")
    await mine(connection, 1, crashes=2 if suspects else 0)
    await mine(connection, 2)
    await write(connection, "g", 1)
    await engine.look()
    await pause(connection, *HOLDS.get(kind, (EVERYTHING, ""))[0])

    answer = await engine.turn(slots=10)

    assert [claim.flow_id for claim in answer.claimed] == ([] if kind == "all" else ["g"])


@pytest.mark.parametrize("kind", [*HOLDS, "all"])
async def test_more_than_one_look_takes_up_all_wait_at_the_pause_and_all_come_back(engine: Engine, connection: Connection, kind: str) -> None:
    held, door = HOLDS.get(kind, (EVERYTHING, "all:*"))
    await write_many(connection, 1_200, program="Mine", workflow="mine", limits=["tenant:7"])
    await write(connection, "f", 1_201, program="Mine", task_id="mine", limits=["tenant:7"], crashes=2)
    await engine.look()

    await pause(connection, *held)
    await engine.look()
    assert set((await gates(connection, "f")).values()) == {f"pause {door}"}

    await unpause(connection)
    await engine.look()
    assert set((await gates(connection, "f")).values()) == {"slot"}


async def test_a_pattern_holds_what_begins_so_and_a_star_alone_whatever_has_a_limit(engine: Engine, connection: Connection) -> None:
    for seq, limits in enumerate((["tenant:7"], ["a", "tenant:8"], ["tenants"], ["tenant"], ["tenant:"], [], None, ["tenant:*"]), start=1):
        await write(connection, "f", seq, limits=limits)

    await pause(connection, "limit", "tenant:*")
    assert seqs(await engine.claim()) == [3, 4, 6, 7]
    await unpause(connection)
    await pause(connection, "limit", "*")
    assert await engine.claim() == []
    await unpause(connection)
    await pause(connection, "limit", "ten_nt:7")
    assert seqs(await engine.claim()) == [1, 2, 5, 8]


async def test_of_several_pauses_the_last_one_lets_a_task_go(engine: Engine, connection: Connection) -> None:
    await mine(connection, 1)
    for kind, name in [*(held for held, _ in HOLDS.values() if held != ("workflow", "f")), EVERYTHING]:
        await pause(connection, kind, name)
    await engine.look()

    doors = set()
    while await connection.fetchval("SELECT count(*) FROM ms_pause"):
        (gate,) = (await gates(connection, "f")).values()
        doors.add(gate)
        assert await engine.claim() == []
        await connection.execute("DELETE FROM ms_pause WHERE 'pause ' || door = $1", gate)
        await engine.look()

    assert len(doors) == 6
    assert seqs(await engine.claim()) == [1]


async def test_a_pause_holds_who_waits_at_a_later_gate_and_he_goes_back_there(engine: Engine, connection: Connection) -> None:
    await connection.execute("INSERT INTO ms_limit VALUES ('full', 0)")
    await write(connection, "f", 1, limits=["full"])
    await write(connection, "f", 2, program="Rare", limits=["full"])
    await engine.look()
    for kind, name in (("limit", "full"), EVERYTHING):
        await pause(connection, kind, name)
        await engine.look()
        assert set((await gates(connection, "f")).values()) == {f"pause {kind}:{name}"}
        await unpause(connection)
        await engine.look()
        assert await gates(connection, "f") == {1: "limit full", 2: "program Rare"}
    await pause(connection, "program", "Rare")
    await engine.look()
    assert await gates(connection, "f") == {1: "limit full", 2: "pause program:Rare"}


async def test_what_is_paused_leaves_its_room_in_other_limits_to_others(engine: Engine, connection: Connection) -> None:
    await connection.execute("INSERT INTO ms_limit VALUES ('l', 1)")
    await write(connection, "f", 1, limits=["l", "tenant:7"])
    await write(connection, "g", 1, limits=["l"])
    await engine.look()
    assert await gates(connection, "g") == {1: "limit l"}

    await pause(connection, "limit", "tenant:7")

    assert [claim.flow_id for claim in await engine.claim()] == ["g"]


async def test_a_name_counts_only_for_what_its_kind_says(engine: Engine, connection: Connection) -> None:
    for kind, name in (("flow", "mine"), ("program", "mine"), ("limit", "mine"), ("limit", "f"), ("program", "f"), ("flow", "Mine")):
        await pause(connection, kind, name)
    await write(connection, "program:Mine", 1, task_id="limit:tenant:7")
    await mine(connection, 1)

    assert len(await engine.claim()) == 2


async def test_workflows_that_are_called_like_the_doors_of_others_are_not_held_by_them(engine: Engine, connection: Connection) -> None:
    await pause(connection, "program", "Mine")
    await pause(connection, "limit", "tenant:7")
    await write(connection, "all:*", 1, task_id="program:Mine")
    await write(connection, "g", 1, task_id="limit:tenant:7")
    assert len(await engine.claim()) == 2

    await define(connection, "program:Mine", {})
    assert "cannot be paused beside it" in await refused(connection, "FL409", "pause", workflow="program:Mine")
    await connection.execute("DELETE FROM ms_pause")
    await do(connection, "pause", workflow="program:Mine")
    await write(connection, "h", 1, task_id="program:Mine")
    await write(connection, "h", 2, program="Mine")
    assert seqs(await engine.claim()) == [2]


async def test_a_probe_sees_no_work_in_what_is_paused_and_opens_a_door_that_was_missed(engine: Engine, connection: Connection) -> None:
    await both(connection)
    for held, _ in HOLDS.values():
        await pause(connection, *held)
        await engine.claim()
        assert (await engine.store.workers.probe(engine.worker_id, "")).work is False, held
        await connection.execute("TRUNCATE ms_pause")  # rings nothing
        assert (await engine.store.workers.probe(engine.worker_id, "")).work is True, held
        await engine.look()
        assert "slot" in (await gates(connection, "f")).values(), held
    await pause(connection, *EVERYTHING)
    await engine.look()
    assert (await engine.store.workers.probe(engine.worker_id, "")).work is False


async def test_a_pause_of_a_flow_holds_no_workflow_of_that_name_that_was_paused_before(engine: Engine, connection: Connection) -> None:
    await mine(connection, 1)
    await write(connection, "mine", 1)
    await pause(connection, "workflow", "mine")
    await engine.look()

    await connection.execute("UPDATE ms_pause SET kind = 'flow'")

    assert [claim.flow_id for claim in await engine.claim()] == ["f"]
    assert await gates(connection, "mine") == {1: "pause mine"}


COMES_TO_ITS_SLOT = "UPDATE kr_task_stat SET gate = 'slot', run_after = NULL, claim_id = gen_random_uuid() WHERE task_flow_id = 'f'"


@pytest.mark.parametrize(("held", "door"), [*HOLDS.values(), (EVERYTHING, "all:*")], ids=[*HOLDS, "everything"])
async def test_a_probe_takes_back_who_came_to_a_slot_while_the_pause_was_written(
    engine: Engine, connection: Connection, other: Connection, held: tuple[str, str], door: str
) -> None:
    await mine(connection, 1, run_after=datetime.now(UTC) + timedelta(hours=1))
    await engine.look()
    async with other.transaction():
        await other.execute(COMES_TO_ITS_SLOT)
        await pause(connection, *held)
        await engine.look()
    assert await engine.claim() == []
    assert await gates(connection, "f") == {1: "slot"}

    await engine.store.workers.probe(engine.worker_id, "")
    await engine.look()

    assert await gates(connection, "f") == {1: f"pause {door}"}


async def test_a_probe_takes_back_who_came_to_a_slot_while_the_last_worker_with_its_program_left(
    pool: Pool, engine: Engine, connection: Connection, other: Connection
) -> None:
    await mine(connection, 1, run_after=datetime.now(UTC) + timedelta(hours=1))
    await engine.look()
    left = await Engine(pool).enroll("Ok")
    async with other.transaction():
        await other.execute(COMES_TO_ITS_SLOT)
        await engine.leave()
        await left.look()
    assert await gates(connection, "f") == {1: "slot"}

    await left.store.workers.probe(left.worker_id, "")
    await left.look()

    assert await gates(connection, "f") == {1: "program Mine"}


# Until


async def test_a_pause_that_ends_by_itself_says_when_and_lets_all_go_then(engine: Engine, connection: Connection) -> None:
    await both(connection)
    await pause(connection, "program", "Mine", until="clock_timestamp() + interval '0.4 s'")
    await pause(connection, "limit", "never", until="'infinity'")
    await engine.look()
    answer = await engine.turn(look=True)
    assert 0 < (answer.sleep_seconds or 0) <= 0.4
    assert 0 < ((await engine.store.workers.probe(engine.worker_id, "")).seconds or 0) <= 0.4

    await asyncio.sleep(answer.sleep_seconds or 0)  # what the dispatcher does: the answer said when to look

    assert {claim.flow_id for claim in (await engine.turn(slots=10, look=True)).claimed} == {"f", "g"}
    assert await connection.fetchval("SELECT array_agg(task_id) FROM ms_pause") == ["never"]
    assert (await engine.turn(look=True)).sleep_seconds is None


async def test_the_next_time_is_that_of_the_pause_or_of_a_task_whichever_is_sooner(engine: Engine, connection: Connection) -> None:
    await pause(connection, "program", "Mine", until="clock_timestamp() + interval '1 h'")
    await write(connection, "f", 1, run_after=datetime.now(UTC) + timedelta(hours=2))
    await engine.look()
    assert 3_500 < ((await engine.turn(look=True)).sleep_seconds or 0) <= 3_600

    await connection.execute("UPDATE kr_task_stat SET run_after = clock_timestamp() + interval '0.5 h'")
    await engine.look()
    assert 1_700 < ((await engine.turn(look=True)).sleep_seconds or 0) <= 1_800


async def test_a_session_that_holds_a_pause_which_is_over_is_not_waited_for(engine: Engine, connection: Connection, other: Connection) -> None:
    await mine(connection, 1)
    await pause(connection, "program", "Mine", until="clock_timestamp() - interval '1 s'")
    async with other.transaction():
        await other.execute("SELECT FROM ms_pause FOR UPDATE")

        answer = await asyncio.wait_for(engine.turn(slots=10, look=True), 1)

        assert (answer.claimed, answer.sleep_seconds) == ((), 0.05)
    assert seqs(await engine.claim()) == [1]


# What a user's trigger does with the change of a pause.
REFUSALS = {
    "raises on DELETE": ("DELETE", "RAISE 'never'"),
    "drops the DELETE": ("DELETE", "RETURN NULL"),
    "raises as if it could be tried again": ("DELETE", "RAISE 'never' USING ERRCODE = '40001'"),
    "raises on every change": ("UPDATE OR DELETE", "RAISE 'never'"),
}


@pytest.mark.parametrize("careful", [False, True])
@pytest.mark.parametrize("refusal", REFUSALS)
async def test_a_pause_that_is_over_and_that_a_users_trigger_will_not_let_go_stops_nothing_else(
    engine: Engine, connection: Connection, refusal: str, careful: bool
) -> None:
    event, does = REFUSALS[refusal]
    await connection.execute(f"""
        CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF OLD.task_id = 'Mine' THEN {does}; END IF; RETURN OLD; END $$;
        CREATE TRIGGER no BEFORE {event} ON ms_pause FOR EACH ROW EXECUTE FUNCTION no();
    """)
    await both(connection)
    await pause(connection, "program", "Mine", until="clock_timestamp() - interval '1 s'")
    await pause(connection, "program", "Ok", until="clock_timestamp() - interval '1 s'")

    answer = await engine.turn(slots=10, look=True, careful=careful)

    assert {claim.flow_id for claim in answer.claimed} == {"g"}
    assert await connection.fetchval("SELECT array_agg(task_id) FROM ms_pause") == ["Mine"]
    answer = await engine.turn(look=True)
    assert answer.sleep_seconds == 0.05 if "every" in refusal else 55 < (answer.sleep_seconds or 0) <= 60

    await connection.execute("DROP TRIGGER no ON ms_pause; UPDATE ms_pause SET until_ts = clock_timestamp()")
    assert {claim.flow_id for claim in await engine.claim()} == {"f"}


async def test_a_pause_by_name_alone_moves_the_workflow_and_the_flow_that_are_both_called_so_out_of_the_way_of_others(
    engine: Engine, connection: Connection
) -> None:
    await connection.execute("INSERT INTO ms_limit (name, slots) VALUES ('other', 2)")
    await mine(connection, 1)
    await write(connection, "mine", 1, task_id="another", limits=["other"])
    await engine.look()
    assert (await gates(connection, "f"), await gates(connection, "mine")) == ({1: "slot"}, {1: "slot"})
    await pause(connection, "workflow", "mine")
    await write(connection, "g", 1, limits=["other"])

    assert [claim.flow_id for claim in await engine.claim()] == ["g"]
    assert (await gates(connection, "f"), await gates(connection, "mine")) == ({1: "pause mine"}, {1: "pause mine"})


async def test_a_pause_that_is_prolonged_holds_on(engine: Engine, connection: Connection) -> None:
    await mine(connection, 1)
    await define(connection, "mine", {})
    now = datetime.now(UTC)
    await do(connection, "pause", workflow="mine", until=(now + timedelta(seconds=0.3)).isoformat())
    await engine.look()

    told = await do(connection, "pause", workflow="mine")

    await asyncio.sleep(0.4)  # past the time that was said first
    assert (told["until"], await engine.claim()) == (None, [])


# The verbs


async def test_the_verbs_pause_tell_and_let_go(engine: Engine, connection: Connection) -> None:
    await define(connection, "mine", {"limits": ["tenant:{customer}"]})
    until = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
    for options, kind, name in (
        ({"workflow": "mine"}, "workflow", "mine"),
        ({"program": "Mine"}, "program", "Mine"),
        ({"limit": "tenant:7"}, "limit", "tenant:7"),
        ({"limit": "tenant:*"}, "limit", "tenant:*"),
        ({"all": True}, "all", "*"),
    ):
        done = await do(connection, "pause", **options, until=until.isoformat(), reason="why not", by="anna")
        assert datetime.fromisoformat(done.pop("until")) == until
        assert datetime.fromisoformat(done.pop("since")) <= datetime.now(UTC)
        assert done == {"kind": kind, "name": name, "reason": "why not", "by": "anna"}
        done = await do(connection, "unpause", **options)
        assert done == {"kind": kind, "name": name, "everythingPaused": False}
        assert f"{'everything' if kind == 'all' else name} " in (await refused(connection, "FL409", "unpause", **options)).replace("'", "")
    rows = await connection.fetch("SELECT verb, task_flow_id, who, reason, what FROM kr_audit ORDER BY id")
    assert [row["verb"] for row in rows] == ["pause", "unpause"] * 5
    assert tuple(rows[0])[1:4] == (None, "anna", "why not")
    assert json.loads(rows[2]["what"])["program"] == "Mine"


async def test_pausing_again_keeps_since_when_and_why_and_unpausing_says_what_else_is_paused(engine: Engine, connection: Connection) -> None:
    first = await do(connection, "pause", program="Mine", reason="vendor outage", by="anna")
    second = await do(connection, "pause", program="Mine", by="bert")
    assert second == first | {"by": "bert"}

    await do(connection, "pause", all=True)
    assert "paused: the program 'Mine', everything" in await refused(connection, "FL409", "unpause", program="mine")
    assert (await do(connection, "unpause", program="Mine"))["everythingPaused"] is True


async def test_a_workflow_that_has_only_flows_can_be_paused_and_the_suspension_of_a_flow_is_not_the_pause_of_a_workflow(
    engine: Engine, connection: Connection
) -> None:
    await mine(connection, 1)
    await engine.look()
    await do(connection, "pause", workflow="mine")
    await connection.execute("SELECT flower_suspend('f')")

    assert "is not paused" in await refused(connection, "FL409", "unpause", workflow="f")
    await do(connection, "unpause", workflow="mine")
    assert await engine.claim() == []
    await connection.execute("SELECT flower_resume('f')")
    assert seqs(await engine.claim()) == [1]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({}, "must name one"),
        ({"workflow": None}, "must name one"),
        ({"workflow": "mine", "program": "Mine"}, "must name one"),
        ({"all": False}, "all: must be true"),
        ({"all": "yes"}, "all: must be true"),
        ({"workflow": ""}, "must be a name"),
        ({"limit": "x" * 257}, "must be a name"),
        ({"program": 5}, "must be a name"),
        ({"workflw": "mine"}, "there are until, workflow, program, limit, all"),
        ({"flow": "f"}, "no such option"),
        ({"workflow": "mine", "reason": 5}, "reason: must be a text"),
        ({"workflow": "mine", "until": "2020-01-01T00:00:00Z"}, "until: is over"),
        ({"workflow": "mine", "until": "2030-01-01T00:00:00"}, "with a zone"),
        ({"workflow": "mine", "until": "2030-02-31T00:00:00Z"}, "with a zone"),
        ({"workflow": "mine", "until": 5}, "with a zone"),
    ],
)
async def test_odd_options_are_refused_and_nothing_is_paused(connection: Connection, options: dict[str, Any], told: str) -> None:
    await define(connection, "mine", {})

    assert told in await refused(connection, "FL422", "pause", **options)
    assert await connection.fetchval("SELECT count(*) FROM ms_pause") == 0


@pytest.mark.parametrize(
    "row", ["('folw', 'x')", "('all', 'x')", "('workflow', NULL)"], ids=["an unknown kind", "everything by another name", "no name"]
)
async def test_an_odd_row_is_refused(connection: Connection, row: str) -> None:
    with pytest.raises(asyncpg.IntegrityConstraintViolationError):
        await connection.execute(f"INSERT INTO ms_pause (kind, task_id) VALUES {row}")


async def test_somebody_elses_open_transaction_is_waited_for_no_longer_than_a_second(connection: Connection, other: Connection) -> None:
    await pause(connection, "program", "Mine")
    async with other.transaction():
        await other.execute("DELETE FROM ms_pause")

        for verb in ("pause", "unpause"):
            assert "somebody else is pausing" in await refused(connection, "FL409", verb, program="Mine")


# What is told of it


async def test_why_names_every_pause_with_its_reason_since_when_until_when_and_by_whom(engine: Engine, connection: Connection) -> None:
    await define(connection, "mine", {})
    await mine(connection, 1)
    await engine.look()
    until = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
    for options in ({"workflow": "mine"}, {"program": "Mine"}, {"limit": "tenant:*"}, {"all": True}):
        await do(connection, "pause", **options, reason="maintenance", by="anna", until=until.isoformat())
    await connection.execute("SELECT flower_suspend('f')")
    await engine.look()

    (told,) = await engine.store.flows.why("f")

    subjects = [
        "everything is paused",
        "the flow is suspended",
        "the limit 'tenant:*' is paused",
        "the program 'Mine' is paused",
        "the workflow 'mine' is paused",
    ]
    assert told.gate == "pause"
    assert sorted(reason.partition(" (")[0].removesuffix(": maintenance") for reason in told.reasons) == subjects
    (of_program,) = [reason for reason in told.reasons if "program" in reason]
    assert of_program.startswith("the program 'Mine' is paused: maintenance (by anna, since 20")
    assert f"until {until.isoformat()[:19]}" in of_program


async def test_a_workflow_says_that_it_is_paused_by_itself_or_with_everything(engine: Engine, connection: Connection) -> None:
    await define(connection, "mine", {})
    await define(connection, "other", {})
    await do(connection, "pause", all=True, reason="maintenance")
    await do(connection, "pause", workflow="mine", reason="vendor outage", by="anna")

    found = {item.workflow: item.paused for item in await engine.store.workflows.list()}

    pauses = {name: pause and (pause.kind, pause.name, pause.reason) for name, pause in found.items() if name in {"mine", "other"}}
    assert pauses == {"mine": ("workflow", "mine", "vendor outage"), "other": ("all", "*", "maintenance")}
    await unpause(connection)
    assert (await engine.store.workflows.get("mine")).paused is None


async def test_pauses_are_listed_in_parts_everything_first_and_flows_last(engine: Engine, connection: Connection) -> None:
    await write(connection, "a flow", 1)
    await write(connection, "b:flow", 1)
    await engine.look()
    await pause(connection, "workflow", "a flow")  # as a hand may write it
    await pause(connection, "flow", "b:flow")
    for kind, name in (("limit", "tenant:*"), ("workflow", "w"), ("program", "a:b"), EVERYTHING):
        await pause(connection, kind, name, until="'infinity'")
    store = engine.store.pauses

    found, after = [], None
    while True:
        page = await store.list(limit=2, after=after)
        found += [(item.kind, item.name) for item in page.items]
        assert {item.until for item in page.items} == {None}
        after = page.next
        if after is None:
            break

    assert found == [("all", "*"), ("workflow", "w"), ("program", "a:b"), ("limit", "tenant:*"), ("flow", "a flow"), ("flow", "b:flow")]
    assert await store.counts() == {"all": 1, "workflow": 2, "program": 1, "limit": 1, "flow": 1}
    for odd in ("x", "x:y", ":"):
        with pytest.raises(Invalid):
            await store.list(after=odd)


async def test_a_name_that_nobody_has_is_a_404_with_near_ones_or_a_hint(engine: Engine, connection: Connection) -> None:
    await define(connection, "mine", {"limits": ["stripe", "tenant:{customer}"]})
    store = engine.store.pauses

    with pytest.raises(UnknownWorkflow, match="did you mean mine"):
        await store.pause({"workflow": "mien"})
    with pytest.raises(NotNow, match="the workflow 'mien' is not paused"):
        await store.unpause({"workflow": "mien"})
    hints = [(await store.pause(options)).hint for options in ({"program": "Mien"}, {"limit": "strip"}, {"limit": "stripe"}, {"limit": "tenant:*"})]
    assert hints == [
        "no live worker has a program called 'Mien'; did you mean Mine?",
        "no task, and no row of ms_limit, names a limit like 'strip'; did you mean stripe?",
        None,
        None,
    ]
    assert (await store.pause({"limit": "vendor:7"})).hint is not None
    await connection.execute("UPDATE kr_program SET limits = ARRAY['vendor:{name}'] WHERE program = 'Mine'")
    assert (await store.pause({"limit": "vendor:7"})).hint is None


async def test_the_pause_of_a_flow_from_before_kinds_is_that_of_a_flow(engine: Engine, connection: Connection) -> None:
    """A row that names only a flow, as flower_suspend wrote it once, is resumed, shown and cancelled as one of today."""
    await write(connection, "f", 1)
    await engine.look()
    await connection.execute("INSERT INTO ms_pause (task_id, reason) VALUES ('f', 'as ever')")
    assert (await engine.store.flows.get("f")).suspended is not None
    await connection.execute("SELECT flower_suspend('f')")
    assert (await engine.store.flows.get("f")).suspended.reason == "as ever"  # type: ignore[union-attr]

    await connection.execute("SELECT flower_resume('f')")

    assert seqs(await engine.claim()) == [1]
    await put(connection, "f", 1, 0)
