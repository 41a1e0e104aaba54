"""The verbs: each does what it says or changes nothing, from SQL, in the caller's own transaction."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import asyncpg
import pytest

from flower.core.model import Outcome, Program
from flower.core.status import Status, Why
from flower.database.pool import Connection, Pool, connect
from tests.sql.engine import Engine, define, write
from tests.sql.test_workflows import code, register

DIAMOND = [
    {"seq": 1, "name": "load", "program": "Ok", "dependsOn": [], "parameters": {"url": {"$param": "url"}}},
    {"seq": 2, "name": "left", "program": "Ok", "dependsOn": [1], "parameters": {"page": {"$task": "load"}}},
    {"seq": 3, "name": "right", "program": "Ok", "dependsOn": [1], "parameters": {}},
    {"seq": 4, "name": "join", "program": "Ok", "dependsOn": [2, 3], "parameters": {"url": {"$param": "url"}, "left": {"$task": "left"}}},
]
TAKES = {"url": {"schema": {"type": "string"}, "default": "u"}}


@pytest.fixture
async def engine(pool: Pool) -> Engine:
    return await Engine(pool).enroll("Ok")


@pytest.fixture
async def flow(connection: Connection) -> str:
    await code(connection, DIAMOND, "one", parameters=TAKES, result={"$task": "join"})
    return await register(connection)


async def do(connection: Connection, verb: str, *values: Any, **options: Any) -> Any:
    places = ", ".join(f"${number}" for number in range(1, len(values) + 2))
    return json.loads(await connection.fetchval(f"SELECT flower_{verb}({places})", *values, json.dumps(options)))


async def refused(connection: Connection, state: str, verb: str, *values: Any, **options: Any) -> str:
    before = await snapshot(connection)
    with pytest.raises(asyncpg.PostgresError) as raised:
        await do(connection, verb, *values, **options)
    assert raised.value.sqlstate == state, raised.value
    assert await snapshot(connection) == before
    return str(raised.value)


async def snapshot(connection: Connection) -> Any:
    return await connection.fetchval("SELECT (SELECT json_agg(t) FROM kr_task_stat t)::text || (SELECT count(*) FROM kr_audit)")


async def states(connection: Connection, flow: str) -> list[tuple[str, str]]:
    rows = await connection.fetch("SELECT name, status, outcome FROM flower_tasks WHERE flow_id = $1 ORDER BY seq", flow)
    return [(row["name"], " ".join(filter(None, (row["status"], row["outcome"])))) for row in rows]


async def finish_all(engine: Engine, value: str = "1") -> list[str]:
    names = []
    while claims := await engine.claim():
        for claim in claims:
            names.append(claim.name)
            await engine.finish(claim, value=value)
    return names


async def fail(engine: Engine, name: str) -> None:
    """Finish tasks until the one called *name* comes, and fail that."""
    while claims := await engine.claim():
        for claim in claims:
            if claim.name == name:
                await engine.turn([Outcome(claim, Status.SUSPEND, Why.FAILED, '{"type": "Busy", "message": "broken"}')])
            else:
                await engine.finish(claim, value="1")


# Rerun


async def test_a_rerun_runs_what_failed_and_what_depends_on_it_and_keeps_the_rest(engine: Engine, connection: Connection, flow: str) -> None:
    await fail(engine, "left")
    assert await states(connection, flow) == [("load", "finish"), ("left", "suspend failed"), ("right", "finish"), ("join", "wait")]

    plan = await do(connection, "rerun", flow, reason="mended", by="anna")

    assert [(task["name"], task["was"]) for task in plan["run"]] == [("left", "suspend failed"), ("join", "wait")]
    assert [task["name"] for task in plan["reused"]] == ["load", "right"]
    assert await finish_all(engine) == ["left", "join"]
    (audit,) = await connection.fetch("SELECT verb, who, reason, task_exec_seq FROM kr_audit")
    assert tuple(audit) == ("rerun", "anna", "mended", None)


async def test_from_a_task_of_a_finished_flow_runs_it_and_all_that_follows_with_a_history(engine: Engine, connection: Connection, flow: str) -> None:
    await finish_all(engine)

    await do(connection, "rerun", flow, **{"from": "left"})

    assert await states(connection, flow) == [("load", "finish"), ("left", "wait"), ("right", "finish"), ("join", "wait")]
    assert await finish_all(engine, "2") == ["left", "join"]
    kept = await connection.fetch(
        "SELECT task_exec_seq::integer AS seq, attempt, exec_status::integer AS status, result FROM kr_task_attempt ORDER BY 1"
    )
    assert [tuple(row) for row in kept] == [(2, 1, 3, "1"), (4, 1, 3, "1")]
    assert await connection.fetchval("SELECT kr_flow_result($1)", flow) == "2"


async def test_the_whole_of_a_flow_runs_again(engine: Engine, connection: Connection, flow: str) -> None:
    assert "has run yet" in await refused(connection, "FL409", "rerun", flow, whole=True)
    await finish_all(engine)

    plan = await do(connection, "rerun", flow, whole=True)

    assert ([task["name"] for task in plan["run"]], plan["reused"]) == (["load", "left", "right", "join"], [])
    assert sorted(await finish_all(engine)) == ["join", "left", "load", "right"]


async def test_only_one_task_leaves_those_after_it_as_they_are(engine: Engine, connection: Connection, flow: str) -> None:
    await finish_all(engine)

    await do(connection, "rerun", flow, only=2)

    assert await finish_all(engine) == ["left"]


async def test_a_plan_changes_nothing_and_its_version_carries_out_exactly_that(engine: Engine, connection: Connection, flow: str) -> None:
    await finish_all(engine)
    before = await snapshot(connection)
    plan = await do(connection, "rerun", flow, dryRun=True, parameters={"url": "v"}, **{"from": 4})
    assert await snapshot(connection) == before
    assert (plan["dryRun"], [task["name"] for task in plan["run"]]) == (True, ["join"])
    assert plan["reused"][0]["ageSeconds"] >= 0

    await do(connection, "rerun", flow, ifUnchanged=plan["version"], parameters={"url": "v"}, **{"from": 4})

    assert "moved on" in await refused(connection, "FL409", "rerun", flow, ifUnchanged=plan["version"], parameters={"url": "v"}, **{"from": 4})


async def test_new_values_for_parameters_reach_the_tasks_that_run(engine: Engine, connection: Connection, flow: str) -> None:
    await finish_all(engine)

    await do(connection, "rerun", flow, parameters={"url": "other"}, **{"from": "join"})

    claim = await engine.one()
    assert json.loads(claim.parameters) == {"url": "other", "left": 1}
    await engine.finish(claim)
    assert await connection.fetchval("SELECT parameters FROM kr_flow_stat") == '{"url": "other"}'
    assert "takes no parameter" in await refused(connection, "FL422", "rerun", flow, parameters={"nope": 1}, **{"from": "load"})
    assert "string is wanted" in await refused(connection, "FL422", "rerun", flow, parameters={"url": [1]}, **{"from": "load"})


async def test_rows_take_new_values_by_the_names_of_their_parameters(engine: Engine, connection: Connection) -> None:
    await define(connection, "rows", {"param1_key": "a", "param1_value": "1"}, {})
    flow = await register(connection, workflow="rows")
    await finish_all(engine)

    assert "no task that runs again" in await refused(connection, "FL422", "rerun", flow, parameters={"b": 1}, only=1)
    await do(connection, "rerun", flow, parameters={"a": 2}, only=1)

    assert json.loads((await engine.one()).parameters) == {"a": 2}


async def test_while_something_runs_it_is_refused_or_taken_away_and_its_late_result_refused(
    engine: Engine, connection: Connection, flow: str
) -> None:
    running = await engine.one()
    assert "load of flow" in await refused(connection, "FL409", "rerun", flow, **{"from": "load"})
    assert (await do(connection, "rerun", flow, dryRun=True, **{"from": "load"}))["running"] == ["load"]

    await do(connection, "rerun", flow, cancelRunning=True, **{"from": "load"})

    assert running.claim_id in (await engine.finish(running, value="late")).refused
    assert await finish_all(engine) == ["load", "left", "right", "join"]


async def test_a_cancelled_flow_runs_on_from_where_it_was(engine: Engine, connection: Connection, flow: str) -> None:
    await engine.finish(await engine.one(), value="1")
    await do(connection, "cancel", flow)

    await do(connection, "rerun", flow)

    assert sorted(await finish_all(engine)) == ["join", "left", "right"]


async def test_what_cannot_be_rerun_is_a_sentence_and_changes_nothing(engine: Engine, connection: Connection, flow: str) -> None:
    assert "has not run yet" in await refused(connection, "FL409", "rerun", flow, **{"from": "join"})
    assert "nothing of flow" in await refused(connection, "FL409", "rerun", flow)
    assert "no task 'nope'" in await refused(connection, "FL404", "rerun", flow, **{"from": "nope"})
    assert "no flow 'gone'" in await refused(connection, "FL404", "rerun", "gone")
    for options in (
        {"dryRun": "true"},
        {"cancelRunning": 1},
        {"from": 1, "only": 2},
        {"from": 1, "whole": True},
        {"whole": "yes"},
        {"only": 2, "definition": "latest"},
        {"from": [1]},
        {"parameters": 1},
        {"definition": "newest"},
        {"frm": 1},
        {"reason": 7},
    ):
        await refused(connection, "FL422", "rerun", flow, **options)


async def test_a_version_is_that_of_one_plan_and_of_no_other(engine: Engine, connection: Connection, flow: str) -> None:
    other = await register(connection)
    await finish_all(engine)
    plan = await do(connection, "rerun", flow, dryRun=True, reason="to see", **{"from": "left"})

    for options in ({"from": "right"}, {"only": "left"}, {"from": "left", "definition": "latest"}, {"from": "left", "parameters": {"url": "x"}}):
        assert "other options" in await refused(connection, "FL409", "rerun", flow, ifUnchanged=plan["version"], **options)
    assert "moved on" in await refused(connection, "FL409", "rerun", other, ifUnchanged=plan["version"], **{"from": "left"})

    done = await do(connection, "rerun", flow, ifUnchanged=plan["version"], definition="same", cancelRunning=True, **{"from": "left"})
    assert done["run"] == plan["run"]


async def test_a_plan_by_the_latest_definition_is_refused_once_there_is_a_later_one(engine: Engine, connection: Connection, flow: str) -> None:
    await fail(engine, "left")
    await connection.execute("UPDATE ms_task_definition SET parameters = '{\"way\": 1}' WHERE task_seq = 3")
    plan = await do(connection, "rerun", flow, dryRun=True, definition="latest")
    await connection.execute("UPDATE ms_task_definition SET place = 'app.py:9' WHERE task_seq = 3")
    assert (await do(connection, "rerun", flow, dryRun=True, ifUnchanged=plan["version"], definition="latest"))["run"] == plan["run"]
    await connection.execute("UPDATE ms_task_definition SET parameters = '{\"way\": 2}' WHERE task_seq = 3")

    assert "moved on" in await refused(connection, "FL409", "rerun", flow, ifUnchanged=plan["version"], definition="latest")


async def test_what_runs_is_taken_away_and_run_again_though_nothing_has_failed(engine: Engine, connection: Connection, flow: str) -> None:
    await engine.one()

    assert "--cancel-running" in await refused(connection, "FL409", "rerun", flow, **{"from": "load"})
    done = await do(connection, "rerun", flow, cancelRunning=True)

    assert ([task["name"] for task in done["run"]], done["running"]) == (["load"], ["load"])
    assert [claim.name for claim in await engine.claim()] == ["load"]
    await code(connection, [DIAMOND[0] | {"parameters": {"url": "new"}}, *DIAMOND[1:]], "two", parameters=TAKES)
    done = await do(connection, "rerun", flow, cancelRunning=True, definition="latest")
    assert (done["running"], json.loads((await engine.one()).parameters)) == (["load"], {"url": "new"})


async def test_a_new_value_of_a_wrong_type_loses_no_result(pool: Pool, connection: Connection) -> None:
    engine = await Engine(pool).enroll(Program("Ok", ("seconds",), (), {"seconds": {"type": "number"}}))
    await define(connection, "w", {"parameters": '{"seconds": 1}'})
    flow = await register(connection)
    await finish_all(engine)

    assert "number is wanted" in await refused(connection, "FL422", "rerun", flow, **{"from": 1, "parameters": {"seconds": "abc"}})
    await do(connection, "rerun", flow, **{"from": 1, "parameters": {"seconds": "2"}})


async def test_two_who_press_at_once_are_one_after_the_other_and_the_second_is_told(
    engine: Engine, connection: Connection, flow: str, database_url: str
) -> None:
    await fail(engine, "left")
    other = await connect(database_url, role="test")
    try:
        results = await asyncio.gather(do(connection, "rerun", flow), do(other, "rerun", flow), return_exceptions=True)
        told = [str(result) for result in results if isinstance(result, Exception)]
        assert len(told) == 1
        assert "nothing of flow" in told[0]
        assert await connection.fetchval("SELECT count(*) FROM kr_audit") == 1
    finally:
        await other.close()


async def test_a_task_that_is_claimed_while_it_is_to_run_again_is_not_passed_over(
    engine: Engine, connection: Connection, flow: str, database_url: str
) -> None:
    (load,) = await engine.claim()
    await engine.finish(load, value="1")
    await engine.look()
    other = await connect(database_url, role="test")
    try:
        async with connection.transaction():
            # as the engine claims it: it has load's result in its hands
            await connection.execute(
                "UPDATE kr_task_stat SET exec_status = 1, claim_id = gen_random_uuid() WHERE task_flow_id = $1 AND name = 'left'", flow
            )
            rerun = asyncio.create_task(do(other, "rerun", flow, **{"from": "load"}))
            while not await connection.fetchval(
                "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
            ):
                await asyncio.sleep(0.01)
        with pytest.raises(asyncpg.PostgresError, match=r"left of flow .* runs at this moment"):
            await rerun
        assert await states(connection, flow) == [("load", "finish"), ("left", "running"), ("right", "wait"), ("join", "wait")]

        await do(other, "rerun", flow, cancelRunning=True, **{"from": "load"})
        assert await states(connection, flow) == [("load", "wait"), ("left", "wait"), ("right", "wait"), ("join", "wait")]
    finally:
        await other.close()


async def test_a_lock_of_somebody_else_is_waited_for_a_second_and_then_said(
    engine: Engine, connection: Connection, flow: str, database_url: str
) -> None:
    other = await connect(database_url, role="test")
    try:
        async with other.transaction():
            await other.execute("UPDATE kr_task_stat SET task_priority = 1 WHERE task_flow_id = $1", flow)
            assert "try again" in await asyncio.wait_for(refused(connection, "FL409", "cancel", flow), 3)
    finally:
        await other.close()


# Rerun by the latest definition


async def test_the_latest_definition_runs_what_it_changed_and_what_follows_and_keeps_the_rest(
    engine: Engine, connection: Connection, flow: str
) -> None:
    await fail(engine, "left")
    newer = [
        DIAMOND[0],
        {"seq": 1.5, "name": "check", "program": "Ok", "dependsOn": [1], "parameters": {}},
        DIAMOND[1] | {"dependsOn": [1.5]},
        DIAMOND[2] | {"parameters": {"way": "new"}},
        DIAMOND[3],
    ]
    await code(connection, newer, "two", parameters=TAKES, result={"$task": "join"})
    plan = await do(connection, "rerun", flow, dryRun=True)
    assert plan["changed"] == ["right"]

    plan = await do(connection, "rerun", flow, definition="latest")

    assert [task["name"] for task in plan["run"]] == ["check", "left", "right", "join"]
    assert [task["name"] for task in plan["reused"]] == ["load"]
    assert [name for name, _ in await states(connection, flow)] == ["load", "check", "left", "right", "join"]
    ran = await finish_all(engine, "7")
    assert sorted(ran) == ["check", "join", "left", "right"]
    assert (ran.index("check") < ran.index("left"), ran[-1]) == (True, "join")
    assert await connection.fetchval("SELECT kr_flow_result($1)", flow) == "7"
    assert await connection.fetchval("SELECT revision FROM kr_flow_stat") == 2
    history = await connection.fetch(
        "SELECT t.name, a.exec_status::integer AS status FROM kr_task_attempt a JOIN kr_task_stat t USING (task_flow_id, task_exec_seq) ORDER BY 1"
    )
    assert [tuple(row) for row in history] == [("left", 2), ("right", 3)]
    assert await connection.fetchval("SELECT attempt FROM kr_task_stat WHERE name = 'left'") == 2


async def test_a_latest_definition_without_a_step_forgets_its_task(engine: Engine, connection: Connection, flow: str) -> None:
    await finish_all(engine)
    await code(connection, [DIAMOND[0], DIAMOND[1]], "two", parameters=TAKES)

    assert "nothing of flow" in await refused(connection, "FL409", "rerun", flow)
    await do(connection, "rerun", flow, definition="latest", **{"from": "left"})

    assert await finish_all(engine) == ["left"]
    assert await states(connection, flow) == [("load", "finish"), ("left", "finish")]


async def test_a_plan_by_the_latest_definition_can_be_carried_out_as_it_is(engine: Engine, connection: Connection, flow: str) -> None:
    await fail(engine, "left")
    await code(
        connection, [DIAMOND[0], DIAMOND[1] | {"parameters": {"page": {"$task": "load"}, "way": "new"}}, *DIAMOND[2:]], "two", parameters=TAKES
    )

    plan = await do(connection, "rerun", flow, dryRun=True, definition="latest")
    assert [(task["name"], task["was"]) for task in plan["run"]] == [("left", "suspend failed"), ("join", "wait")]
    assert plan["changed"] == ["left"]
    done = await do(connection, "rerun", flow, ifUnchanged=plan["version"], definition="latest")

    assert done["run"] == plan["run"]
    assert json.loads((await engine.one()).parameters) == {"page": 1, "way": "new"}


async def test_with_a_step_that_goes_from_the_middle_goes_its_history_and_nobody_else_gets_it(engine: Engine, connection: Connection) -> None:
    chain = [{"seq": n, "name": name, "program": "Ok", "parameters": {}} for n, name in enumerate("abc", 1)]
    await code(connection, chain, "one", parameters={})
    flow = await register(connection)
    await fail(engine, "b")
    await do(connection, "retry", flow, "b")
    await finish_all(engine)
    await connection.execute(
        "INSERT INTO kr_task_log (task_flow_id, task_exec_seq, attempt, said_ts, level, source, message) SELECT $1, n, 1, now(), 'info', 'stdout', n::text FROM generate_series(1, 3) n",
        flow,
    )
    await code(connection, [chain[0], chain[2]], "two", parameters={})

    await do(connection, "rerun", flow, definition="latest", **{"from": "c"})

    assert await connection.fetch("SELECT task_exec_seq::integer AS seq, attempt FROM kr_task_attempt") == [(2, 1)]  # that of c, moved with it
    assert [row[0] for row in await connection.fetch("SELECT message FROM kr_task_log ORDER BY id")] == ["1", "3"]
    assert await finish_all(engine) == ["c"]


async def test_with_another_definition_the_time_of_a_flow_what_was_skipped_and_its_limits_stay_true(engine: Engine, connection: Connection) -> None:
    chain = [{"seq": n, "name": name, "program": "Ok", "parameters": {}, "dependsOn": [], "limits": ["l"]} for n, name in enumerate("ab", 1)]
    await connection.execute("INSERT INTO ms_limit VALUES ('l', 1)")
    await code(connection, chain, "one", parameters={})
    flow = await connection.fetchval("SELECT flower_register('w', '{}', '{\"runAt\": \"2099-01-01T00:00:00Z\"}')")
    other = await register(connection)
    await do(connection, "ignore", flow, "a")
    await code(connection, [chain[0], chain[1] | {"parameters": {"x": 1}}], "two", parameters={})

    await do(connection, "rerun", flow, definition="latest")

    assert await states(connection, flow) == [("a", "ignore skipped"), ("b", "wait")]
    assert {claim.flow_id for claim in await engine.claim()} == {other}


@pytest.mark.parametrize("name", ["a", "b"])
async def test_a_seq_as_a_number_and_a_name_as_a_text_are_told_apart(engine: Engine, connection: Connection, name: str) -> None:
    await define(connection, "rows", {"name": "2", "depends_on": []}, {"name": "other", "depends_on": []})
    flow = await register(connection, workflow="rows")
    await finish_all(engine)

    await do(connection, "rerun", flow, only=2 if name == "b" else "2")

    assert await finish_all(engine) == ["other" if name == "b" else "2"]


async def test_a_task_that_waits_at_its_slot_does_not_start_before_its_parent_that_runs_again(engine: Engine, connection: Connection) -> None:
    await define(connection, "rows", {"name": "a"}, {"name": "b"})
    first, second = await register(connection, workflow="rows"), await register(connection, workflow="rows")
    await engine.finish(*await engine.claim())
    assert {claim.name for claim in (await engine.claim(0))} == set()

    await do(connection, "rerun", first, **{"from": "a"})
    await connection.execute("UPDATE kr_task_stat SET exec_status = 0 WHERE task_flow_id = $1 AND task_exec_seq = 1", second)  # by hand

    assert (await engine.turn(slots=10)).claimed == ()  # no look yet
    assert [claim.name for claim in await engine.claim()] == ["a", "a"]


async def test_a_task_that_leaves_its_slot_for_its_parents_leaves_room_in_its_limit(engine: Engine, connection: Connection) -> None:
    await connection.execute("INSERT INTO ms_limit VALUES ('l', 1)")
    await define(connection, "rows", {"name": "a"}, {"name": "b", "limits": ["l"]})
    flow = await register(connection, workflow="rows")
    await engine.finish(await engine.one())
    await engine.look()
    await write(connection, "other", 1, limits=["l"])
    assert [claim.flow_id for claim in await engine.claim(0)] == []

    await do(connection, "rerun", flow, **{"from": "a"})

    assert {claim.flow_id for claim in await engine.claim()} == {flow, "other"}


async def test_an_open_transaction_with_a_verb_on_rows_of_a_hand_stops_no_worker(pool: Pool, connection: Connection, database_url: str) -> None:
    await write(connection, "hand", 1)
    await write(connection, "other", 1)
    other = await connect(database_url, role="test")
    try:
        async with other.transaction():
            await do(other, "suspend", "hand")
            engine = await Engine(pool).enroll("Ok")
            assert {claim.flow_id for claim in await engine.claim()} >= {"other"}
    finally:
        await other.close()


async def test_kept_results_keep_the_parameters_that_they_came_from_and_a_name_that_comes_twice_breaks_nothing(
    engine: Engine, connection: Connection, flow: str
) -> None:
    await fail(engine, "join")
    await do(connection, "rerun", flow, parameters={"url": "second"})
    await fail(engine, "join")
    await write(connection, flow, 9, name="join", status=3)
    await code(connection, [*DIAMOND[:3], DIAMOND[3] | {"parameters": {}}], "two", parameters=TAKES)

    plan = await do(connection, "rerun", flow, definition="latest")

    assert json.loads(await connection.fetchval("SELECT parameters FROM kr_task_stat WHERE name = 'load'")) == {"url": "u"}
    assert [task["name"] for task in plan["run"]] == ["join"]
    assert await finish_all(engine) == ["join"]


async def test_a_task_that_a_hand_has_stopped_is_not_run_by_a_plain_rerun(engine: Engine, connection: Connection, flow: str) -> None:
    await connection.execute("UPDATE kr_task_stat SET exec_status = 2 WHERE name = 'load'")

    assert "nothing of flow" in await refused(connection, "FL409", "rerun", flow)


@pytest.mark.parametrize("parameters", ["[]", "5", "null"])
async def test_odd_parameters_of_a_hand_are_passed_over(engine: Engine, connection: Connection, parameters: str) -> None:
    await write(connection, "odd", 1, status=3, parameters=parameters, attempt=1)

    assert "no task that runs again" in await refused(connection, "FL422", "rerun", "odd", parameters={"a": 1}, **{"from": 1})


@pytest.mark.parametrize("seq", [1.0, "1.50", 1.5])
async def test_a_seq_is_a_number_however_it_is_written(engine: Engine, connection: Connection, seq: object) -> None:
    await write(connection, "odd", 1, status=3)
    await write(connection, "odd", "1.50", status=3)

    assert len((await do(connection, "rerun", "odd", only=seq))["run"]) == 1


async def test_a_flow_that_is_called_like_a_workflow_takes_no_pause_from_it(engine: Engine, connection: Connection) -> None:
    await define(connection, "w", {})
    await write(connection, "w", 1)
    await connection.execute("INSERT INTO ms_pause (task_id) VALUES ('w')")

    assert "a workflow is called like" in await refused(connection, "FL409", "suspend", "w")
    await refused(connection, "FL409", "resume", "w")
    await do(connection, "cancel", "w")
    assert await connection.fetchval("SELECT count(*) FROM ms_pause") == 1


# Cancel, suspend, resume


@pytest.mark.parametrize(("verb", "status"), [("ignore", 9), ("complete", 3), ("cancel", 9)])
async def test_what_is_set_aside_keeps_the_attempt_that_failed(engine: Engine, connection: Connection, flow: str, verb: str, status: int) -> None:
    await fail(engine, "left")

    await do(connection, verb, flow, *([] if verb == "cancel" else ["left"]))

    (kept,) = await connection.fetch("SELECT attempt, exec_status::integer AS status, error FROM kr_task_attempt")
    assert (kept["attempt"], kept["status"], json.loads(kept["error"])["message"]) == (1, 2, "broken")
    assert await connection.fetchval("SELECT exec_status FROM kr_task_stat WHERE name = 'left'") == status


async def test_cancel_ignores_everything_unfinished_stops_what_runs_and_says_why(engine: Engine, connection: Connection, flow: str) -> None:
    await engine.finish(await engine.one(), value="1")
    running = (await engine.claim(1))[0]

    done = await do(connection, "cancel", flow, reason="wrong day", by="anna")

    assert done["cancelled"] == [2, 3, 4]
    assert (await states(connection, flow))[1:] == [("left", "ignore cancelled"), ("right", "ignore cancelled"), ("join", "ignore cancelled")]
    assert await connection.fetchval("SELECT status FROM flower_flows") == "ignore"
    error = json.loads(await connection.fetchval("SELECT error FROM kr_task_stat WHERE name = 'join'"))
    assert (error["message"], error["by"]) == ("wrong day", "anna")
    assert running.claim_id in (await engine.finish(running, value="late")).refused
    assert await engine.claim() == []
    assert (await do(connection, "cancel", flow))["cancelled"] == []  # once more does no harm


async def test_a_priority_counts_at_once_for_what_has_not_ended(engine: Engine, connection: Connection, flow: str) -> None:
    other = await register(connection)
    (first,) = await engine.claim(1)
    await engine.finish(first, value="1")

    done = await do(connection, "priority", other, priority=-5, reason="the customer waits")

    assert (done, first.flow_id) == ({"flowId": other, "priority": -5}, flow)
    assert [claim.flow_id for claim in await engine.claim(1)] == [other]
    rows = await connection.fetch(
        "SELECT DISTINCT flow_id, priority::integer FROM flower_tasks UNION SELECT flow_id, priority::integer FROM flower_flows"
    )
    assert {tuple(row) for row in rows} == {(flow, 0), (other, -5)}
    assert await connection.fetchval("SELECT reason FROM kr_audit WHERE verb = 'priority'") == "the customer waits"
    for odd in (-21, 20, 1.5, "1", None, True):
        await refused(connection, "FL422", "priority", other, priority=odd)
    await refused(connection, "FL422", "priority", other)
    await refused(connection, "FL404", "priority", "gone", priority=1)


async def test_a_finished_flow_cannot_be_cancelled_or_suspended(engine: Engine, connection: Connection, flow: str) -> None:
    await finish_all(engine)

    assert "is over" in await refused(connection, "FL409", "cancel", flow)
    assert "is over" in await refused(connection, "FL409", "suspend", flow)
    assert "is not suspended" in await refused(connection, "FL409", "resume", flow)


async def test_of_a_suspended_flow_nothing_new_starts_not_even_another_attempt_and_why_says_so(
    engine: Engine, connection: Connection, flow: str
) -> None:
    running = await engine.one()
    other = await register(connection)
    await do(connection, "suspend", flow, reason="vendor outage")
    await do(connection, "suspend", flow, reason="vendor outage, still")

    assert [claim.flow_id for claim in await engine.claim()] == [other]
    await engine.turn([Outcome(running, Status.WAIT, Why.FAILED, '{"type": "Busy"}')])
    assert await engine.claim() == []
    (task,) = await connection.fetch("SELECT gate, waits_for FROM kr_task_stat WHERE task_flow_id = $1 AND task_exec_seq = 1", flow)
    assert tuple(task) == ("pause", flow)
    (why,) = [item for item in await engine.store.flows.why(flow) if item.name == "load"]
    assert "vendor outage, still" in why.reason
    await do(connection, "suspend", flow)  # once more, without a word: the reason stays
    assert await connection.fetchval("SELECT reason FROM ms_pause") == "vendor outage, still"
    await do(connection, "resume", flow)

    assert [claim.name for claim in await engine.claim()] == ["load"]


async def test_a_flow_that_is_cancelled_while_suspended_is_not_suspended_when_it_runs_again(
    engine: Engine, connection: Connection, flow: str
) -> None:
    await fail(engine, "left")
    await do(connection, "suspend", flow)
    assert (await do(connection, "rerun", flow, dryRun=True))["suspended"] is True
    assert (await do(connection, "cancel", flow))["resumed"] is True
    assert (await do(connection, "cancel", flow))["resumed"] is False
    assert "suspended" not in await do(connection, "rerun", flow)

    assert [claim.name for claim in await engine.claim()] == ["left"]


# Skip, hand in, retry


async def test_ignore_says_what_follows_before_and_after(pool: Pool, connection: Connection) -> None:
    engine = await Engine(pool).enroll(
        Program("Ok", None), Program("Needs", ("x",), ("x",), {"x": {"type": "integer"}}), Program("Can", ("x",), (), {"x": {"type": "integer"}})
    )
    await define(
        connection,
        "w",
        {"name": "a"},
        {"name": "needs", "program": "Needs", "parameters": json.dumps({"x": {"$task": "a"}})},
        {"name": "after", "depends_on": [2]},
        {"name": "can", "program": "Can", "depends_on": [1], "parameters": json.dumps({"x": {"$task": "a"}})},
        {"name": "later", "depends_on": [4]},
    )
    flow = await register(connection)
    await fail(engine, "a")

    before = await snapshot(connection)
    plan = await do(connection, "ignore", flow, "a", dryRun=True)
    assert await snapshot(connection) == before
    assert (plan["runs"], plan["ignored"]) == (["after", "can"], ["needs"])
    done = await do(connection, "ignore", flow, "1", reason="not needed")

    assert done["runs"] == ["after", "can"]
    assert (await states(connection, flow))[0] == ("a", "ignore skipped")
    assert "is in status ignore" in await refused(connection, "FL409", "ignore", flow, "a")


async def test_complete_hands_in_a_result_that_the_dependents_get(engine: Engine, connection: Connection, flow: str) -> None:
    await fail(engine, "left")

    await do(connection, "complete", flow, "left", result={"score": 1}, reason="by hand", by="anna")

    assert json.loads((await engine.one()).parameters)["left"] == {"score": 1}
    assert "is in status finish" in await refused(connection, "FL409", "complete", flow, "left", result=1)
    (audit,) = await connection.fetch("SELECT verb, task_exec_seq::integer, who FROM kr_audit")
    assert tuple(audit) == ("complete", 2, "anna")


async def test_a_result_is_held_against_the_type_of_the_function_if_asked_to_and_its_size_always(pool: Pool, connection: Connection) -> None:
    await Engine(pool).enroll(Program("Ok", None, (), {}, {"type": "integer"}))
    await code(connection, DIAMOND, "one", parameters=TAKES)
    flow = await register(connection)

    assert "integer is wanted" in await refused(connection, "FL422", "complete", flow, "load", result="many", checked=True)
    assert "integer is wanted" in await refused(connection, "FL422", "complete", flow, "load", result="5", checked=True)  # kept as it is
    assert "1 MiB" in await refused(connection, "FL422", "complete", flow, "load", result="x" * 1_100_000)
    await do(connection, "complete", flow, "load", result="many")
    assert await connection.fetchval("SELECT result FROM kr_task_stat WHERE name = 'load'") == '"many"'


async def test_retry_runs_a_suspended_task_again_and_brings_the_next_attempt_forward(engine: Engine, connection: Connection, flow: str) -> None:
    await fail(engine, "load")
    await do(connection, "retry", flow, "load")
    claim = await engine.one()
    await engine.turn([Outcome(claim, Status.WAIT, Why.FAILED, "{}", after_seconds=3600)])
    assert await engine.claim() == []

    await do(connection, "retry", flow, "load")

    assert (await engine.one()).attempt == 3
    assert "retry is for one" in await refused(connection, "FL409", "retry", flow, "load")


@pytest.mark.parametrize("verb", ["ignore", "complete", "retry"])
async def test_a_task_that_is_not_there_is_said(engine: Engine, connection: Connection, flow: str, verb: str) -> None:
    assert "has no task 'nope'" in await refused(connection, "FL404", verb, flow, "nope")
    assert "no flow 'gone'" in await refused(connection, "FL404", verb, "gone", "load")


async def test_verbs_are_part_of_the_callers_transaction(engine: Engine, connection: Connection, flow: str) -> None:
    transaction = connection.transaction()
    await transaction.start()
    await do(connection, "cancel", flow)
    await transaction.rollback()

    assert sorted(await finish_all(engine)) == ["join", "left", "load", "right"]


async def test_skipping_the_root_of_ten_thousand_says_what_follows_in_a_moment(engine: Engine, connection: Connection) -> None:
    await connection.execute(
        "INSERT INTO ms_task_definition (task_id, task_seq, program, depends_on) SELECT 'big', n, 'Ok', CASE n WHEN 1 THEN '{}'::numeric[] ELSE '{1}' END FROM generate_series(1, 10000) n"
    )
    flow = await register(connection, workflow="big")
    loop = asyncio.get_running_loop()
    began = loop.time()

    assert len((await do(connection, "ignore", flow, "1", dryRun=True))["runs"]) == 9_999
    assert loop.time() - began < 3


async def test_a_rerun_of_ten_thousand_tasks_takes_a_moment(engine: Engine, connection: Connection) -> None:
    await connection.execute(
        "INSERT INTO ms_task_definition (task_id, task_seq, program, depends_on) SELECT 'big', n, 'Ok', CASE n WHEN 1 THEN '{}'::numeric[] ELSE '{1}' END FROM generate_series(1, 10000) n"
    )
    flow = await register(connection, workflow="big")
    await connection.execute(
        "UPDATE kr_task_stat SET exec_status = 3, attempt = 1, claim_id = gen_random_uuid(), gate = NULL WHERE task_flow_id = $1", flow
    )
    loop = asyncio.get_running_loop()
    began = loop.time()

    plan = await do(connection, "rerun", flow, **{"from": 1})

    assert len(plan["run"]) == 10_000
    assert loop.time() - began < 3
