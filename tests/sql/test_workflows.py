"""Definitions: checked once when a transaction commits, kept as revisions, written by code only where nobody else has; and what references become."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import asyncpg
import pytest

from flower.core.model import Program
from flower.database.pool import Connection, Pool
from tests.sql.engine import Engine, define

PLAIN = {"seq": 1, "name": "one", "program": "Ok", "dependsOn": [], "parameters": {}}


async def revisions(connection: Connection, workflow: str = "w") -> list[int]:
    rows = await connection.fetch("SELECT revision FROM ms_workflow_revision WHERE task_id = $1 ORDER BY 1", workflow)
    return [row["revision"] for row in rows]


async def register(connection: Connection, parameters: object = None, workflow: str = "w") -> str:
    return str(await connection.fetchval("SELECT flower_register($1, $2)", workflow, json.dumps(parameters or {})))


async def input_of(connection: Connection, flow: str, seq: int) -> tuple[Any, Any]:
    """Return what a task would be called with, and the places that are open."""
    row = await connection.fetchval(
        "SELECT kr_input(task_flow_id, parameters::jsonb, inputs) FROM kr_task_stat WHERE task_flow_id = $1 AND task_exec_seq = $2", flow, seq
    )
    return json.loads(row[0]), row[1] and json.loads(row[1])


async def code(connection: Connection, steps: list[dict[str, Any]], hash_: str | None, *, forced: bool = False, **whole: Any) -> str:
    definition = json.dumps({"workflow": "w", "steps": steps, **whole})
    return str(await connection.fetchval("SELECT kr_define($1, $2, 'app.py:1', $3)", definition, hash_, forced))


async def refusal(connection: Connection, statement: str, *values: object) -> list[dict[str, str]]:
    with pytest.raises(asyncpg.PostgresError) as raised:
        await connection.execute(statement, *values)
    assert raised.value.sqlstate == "FL422"
    detail: list[dict[str, str]] = json.loads(raised.value.detail or "[]")
    return detail


# Checked when it is written


async def test_a_transaction_may_write_in_any_order_and_is_checked_when_it_commits(connection: Connection) -> None:
    async with connection.transaction():
        await connection.execute("INSERT INTO ms_task_definition (task_id, task_seq, program, depends_on) VALUES ('w', 2, 'Ok', '{1}')")
        await connection.execute("INSERT INTO ms_task_definition (task_id, task_seq, program) VALUES ('w', 1, 'Ok')")

    assert await revisions(connection) == [1]


async def test_what_would_break_the_graph_is_refused_at_the_commit_and_the_rest_of_the_transaction_with_it(connection: Connection) -> None:
    await define(connection, "w", {}, {"depends_on": [1]})

    transaction = connection.transaction()
    await transaction.start()
    await connection.execute("INSERT INTO ms_limit VALUES ('l', 1)")
    await connection.execute("DELETE FROM ms_task_definition WHERE task_id = 'w' AND task_seq = 1")
    with pytest.raises(asyncpg.PostgresError, match="has no step 1"):
        await transaction.commit()

    assert await connection.fetchval("SELECT count(*) FROM ms_limit") == 0
    assert await connection.fetchval("SELECT count(*) FROM ms_task_definition WHERE task_id = 'w'") == 2
    assert await revisions(connection) == [1]


async def test_two_sessions_that_together_would_make_a_circle_cannot_both_commit(connection: Connection, other: Connection) -> None:
    await define(connection, "w", {"depends_on": []}, {"depends_on": []})
    first, second = connection.transaction(), other.transaction()
    await first.start()
    await second.start()
    await connection.execute("UPDATE ms_task_definition SET depends_on = '{2}' WHERE task_id = 'w' AND task_seq = 1")
    await other.execute("UPDATE ms_task_definition SET depends_on = '{1}' WHERE task_id = 'w' AND task_seq = 2")

    await first.commit()
    with pytest.raises(asyncpg.PostgresError, match="circle"):
        await second.commit()


async def test_a_workflow_may_be_started_in_the_transaction_that_writes_it(connection: Connection) -> None:
    async with connection.transaction():
        await connection.execute("INSERT INTO ms_task_definition (task_id, task_seq, program) VALUES ('w', 1, 'Ok')")
        flow = await register(connection)
        await connection.execute("INSERT INTO ms_task_definition (task_id, task_seq, program) VALUES ('w', 2, 'Ok')")
        later = await register(connection)

    counts = "SELECT count(*) FROM kr_task_stat WHERE task_flow_id = $1"
    assert [await connection.fetchval(counts, one) for one in (flow, later)] == [1, 2]
    assert await revisions(connection) == [1, 2]


async def test_a_thousand_steps_are_worked_out_and_started_within_their_budget(connection: Connection) -> None:
    statement = (
        "INSERT INTO ms_task_definition (task_id, task_seq, program, depends_on) SELECT 'w', n, 'Ok', ARRAY[n - 1] FROM generate_series(1, 1000) n"
    )
    await connection.execute(statement.replace("ARRAY[n - 1]", "CASE n WHEN 1 THEN '{}' ELSE ARRAY[n - 1] END"))
    await register(connection)
    times = []
    for _ in range(5):
        began = time.perf_counter()
        await register(connection)
        times.append(time.perf_counter() - began)

    assert min(times) < 0.05 * 2  # the budget is 50 ms; the machine of a test may be busy


# Revisions


async def test_every_change_makes_a_revision_with_who_and_what_and_none_makes_none(connection: Connection) -> None:
    await define(connection, "w", {}, {})
    await connection.execute("UPDATE ms_task_definition SET task_priority = task_priority WHERE task_id = 'w'")
    assert await revisions(connection) == [1]

    await connection.execute("UPDATE ms_task_definition SET task_priority = 3 WHERE task_id = 'w'")

    last = await connection.fetchrow("SELECT *, session_user AS me FROM ms_workflow_revision WHERE task_id = 'w' AND revision = 2")
    assert last is not None
    assert [step["priority"] for step in json.loads(last["steps"])] == [3, 3]
    assert (last["changed_by"], last["code_hash"]) == (last["me"], None)
    assert "flower/" in last["source"]


async def test_a_flow_keeps_the_steps_and_the_number_of_the_revision_it_was_registered_with(engine: Engine, connection: Connection) -> None:
    await define(connection, "w", {}, {})
    flow = await register(connection)

    await connection.execute("DELETE FROM ms_task_definition WHERE task_id = 'w' AND task_seq = 2")
    newer = await register(connection)
    await connection.execute("DELETE FROM ms_task_definition WHERE task_id = 'w'")

    rows = {row["flow_id"]: row["revision"] for row in await connection.fetch("SELECT flow_id, revision FROM flower_flows")}
    assert rows == {flow: 1, newer: 2}
    assert sorted(await engine.run_all()) == sorted([(flow, 1), (flow, 2), (newer, 1)])
    with pytest.raises(asyncpg.PostgresError, match="no tasks registered"):
        await register(connection)


async def test_code_is_written_once_and_neither_over_newer_code_nor_over_a_hand(connection: Connection) -> None:
    other = [PLAIN | {"name": "other"}]
    assert await code(connection, [PLAIN], "a") == "written"
    assert await code(connection, [PLAIN], "a") == "current"
    assert await code(connection, other, "b") == "written"
    assert await code(connection, [PLAIN], "a") == "superseded"
    assert await code(connection, [PLAIN], "a", forced=True) == "written"
    assert await code(connection, other, "b") == "superseded"

    await connection.execute("UPDATE ms_task_definition SET task_priority = 1 WHERE task_id = 'w'")
    assert await code(connection, [PLAIN | {"name": "third"}], "c") == "edited"
    assert await code(connection, [PLAIN], "a") == "edited"
    assert await code(connection, [PLAIN | {"name": "third"}], "c", forced=True) == "written"
    assert await revisions(connection) == [1, 2, 3, 4, 5]


async def test_rows_that_were_there_before_the_code_are_left_alone(connection: Connection) -> None:
    await define(connection, "w", {})

    assert await code(connection, [PLAIN], "a") == "edited"


async def test_two_releases_that_roll_over_each_other_settle_on_the_newer_one_both_ways(connection: Connection, other: Connection) -> None:
    old, new = [PLAIN], [PLAIN | {"name": "new"}]
    await code(connection, old, "old")

    became = await asyncio.gather(*[code(connection if n % 2 else other, new if n % 2 else old, "new" if n % 2 else "old") for n in (0, 1)])
    assert became[1] == "written"
    for steps, hash_, expected in ((old, "old", "superseded"), (new, "new", "current"), (old, "old", "superseded")):
        assert await code(connection, steps, hash_) == expected
    # the way back: the old code is written again on purpose, and the new pods that still start do not undo it
    assert await code(connection, old, "old", forced=True) == "written"
    assert await code(connection, new, "new") == "superseded"
    assert await connection.fetchval("SELECT name FROM ms_task_definition WHERE task_id = 'w'") == "one"


# References


async def test_results_parameters_and_the_environment_go_where_the_definition_says(engine: Engine, connection: Connection) -> None:
    await define(
        connection,
        "w",
        {"name": "fetch", "parameters": json.dumps({"url": {"$param": "page", "path": ["url"]}})},
        {
            "name": "use",
            "parameters": json.dumps({"x": [{"$task": "fetch", "path": ["links", 1]}, 7], "all": {"$task": "fetch"}, "key": {"$env": "KEY"}}),
        },
    )
    flow = await register(connection, {"page": {"url": "u"}})
    claim = await engine.one()
    assert json.loads(claim.parameters) == {"url": "u"}
    await connection.execute('UPDATE kr_task_stat SET exec_status = 3, result = \'{"links": [1, {"$task": "no"}]}\' WHERE task_exec_seq = 1')

    used = await engine.one()

    links = {"links": [1, {"$task": "no"}]}
    assert json.loads(used.parameters) == {"x": [{"$task": "no"}, 7], "all": links, "key": None}
    assert json.loads(used.open or "") == [{"at": ["key"], "env": "KEY"}]
    shown = await connection.fetchval("SELECT parameters FROM flower_tasks WHERE flow_id = $1 AND seq = 2", flow)
    assert json.loads(shown) == {"x": [{"$task": "no"}, 7], "all": links, "key": {"$env": "KEY"}}


async def test_what_was_given_at_registration_is_never_read_as_a_reference(engine: Engine, connection: Connection) -> None:
    await define(connection, "w", {"parameters": json.dumps({"x": {"$param": "x"}, "y": {"$literal": {"$task": "no"}}})})

    await register(connection, {"x": {"$env": "HOME"}})

    claim = await engine.one()
    assert (json.loads(claim.parameters), claim.open) == ({"x": {"$env": "HOME"}, "y": {"$task": "no"}}, None)


@pytest.mark.parametrize(
    ("status", "result", "open_"),
    [
        (9, None, {"at": ["x"], "ignored": "fetch"}),
        (3, '{"b": 1}', {"at": ["x"], "missing": "fetch.a[0]"}),
        (3, None, {"at": ["x"], "missing": "fetch.a[0]"}),
    ],
)
async def test_what_no_result_fills_is_left_to_the_worker(connection: Connection, status: int, result: str | None, open_: dict[str, Any]) -> None:
    await define(connection, "w", {"name": "fetch"}, {"parameters": json.dumps({"x": {"$task": "fetch", "path": ["a", 0]}})})
    flow = await register(connection)

    await connection.execute("UPDATE kr_task_stat SET exec_status = $1, result = $2 WHERE task_exec_seq = 1", status, result)

    assert await input_of(connection, flow, 2) == ({"x": None}, [open_])


async def test_a_result_that_is_null_is_a_value(connection: Connection) -> None:
    await define(connection, "w", {"name": "fetch"}, {"parameters": json.dumps({"x": {"$task": "fetch"}})})
    flow = await register(connection)

    await connection.execute("UPDATE kr_task_stat SET exec_status = 3 WHERE task_exec_seq = 1")

    assert await input_of(connection, flow, 2) == ({"x": None}, None)


async def test_a_source_that_lies_far_above_counts_as_coming_before(connection: Connection) -> None:
    await define(connection, "w", {"name": "a"}, {"name": "b"}, {"name": "c", "parameters": json.dumps({"x": {"$task": "a"}})})

    (detail,) = await refusal(
        connection, 'UPDATE ms_task_definition SET parameters = \'{"x": {"$task": "c"}}\' WHERE task_id = \'w\' AND task_seq = 2'
    )
    assert detail == {"path": "steps[2].parameters.x", "message": "'c' does not come before 'b': name it in dependsOn"}


async def test_a_parameter_that_nothing_gives_is_refused_at_registration(connection: Connection) -> None:
    await define(connection, "w", {"parameters": json.dumps({"x": {"$param": "size"}})})

    assert await refusal(connection, "SELECT flower_register('w')") == [{"path": "parameters.size", "message": "is missing"}]


# What a flow takes

TAKES = {
    "url": {"schema": {"type": "string"}},
    "top": {"schema": {"type": "integer"}, "default": 5},
    "day": {"schema": {"type": "string", "format": "date"}, "default": "2026-01-31"},
    "since": {"schema": {"anyOf": [{"type": "string", "format": "date"}, {"type": "null"}]}, "default": None},
    "page": {
        "schema": {
            "$ref": "#/$defs/Page",
            "$defs": {
                "Page": {
                    "type": "object",
                    "properties": {"n": {"type": "integer"}, "tags": {"type": "array", "items": {"enum": ["a", "b"]}}},
                    "required": ["n"],
                }
            },
        },
        "default": {"n": 1},
    },
}


@pytest.mark.parametrize(
    ("given", "path", "told"),
    [
        ({}, "parameters.url", "is missing"),
        ({"url": "u", "ulr": 1}, "parameters.ulr", "takes no parameter of this name; it takes"),
        ({"url": 3}, "parameters.url", "string is wanted, not 3"),
        ({"url": "u", "top": "many"}, "parameters.top", "integer is wanted"),
        ({"url": "u", "top": 1.5}, "parameters.top", "integer is wanted, not 1.5"),
        ({"url": "u", "since": [3]}, "parameters.since", "string is wanted"),
        ({"url": "u", "day": "2026-02-30"}, "parameters.day", 'date is wanted, not "2026-02-30"'),
        ({"url": "u", "day": "31.12.2026"}, "parameters.day", "date is wanted"),
        ({"url": "u", "page": {}}, "parameters.page.n", "is missing"),
        ({"url": "u", "page": {"n": 1, "tags": ["a", "c"]}}, "parameters.page.tags[1]", "is none of"),
        ({"url": "u", "page": []}, "parameters.page", "object is wanted"),
    ],
)
async def test_parameters_that_do_not_fit_are_refused_from_sql_too_with_their_path(connection: Connection, given: Any, path: str, told: str) -> None:
    await code(connection, [PLAIN], None, parameters=TAKES)

    (detail,) = await refusal(connection, "SELECT flower_register('w', $1)", json.dumps(given))

    assert detail["path"] == path
    assert told in detail["message"]
    assert await connection.fetchval("SELECT count(*) FROM kr_flow_stat") == 0


async def test_defaults_fill_in_and_a_text_that_is_json_of_the_right_type_will_do(engine: Engine, connection: Connection) -> None:
    step = PLAIN | {"parameters": {name: {"$param": name} for name in TAKES}}
    await code(connection, [step], None, parameters=TAKES)

    await register(connection, {"url": "7", "top": "3"})

    assert json.loads((await engine.one()).parameters) == {"url": "7", "top": "3", "day": "2026-01-31", "since": None, "page": {"n": 1}}


async def test_with_parameters_of_its_own_a_flow_gives_steps_only_what_they_ask_for(pool: Pool, connection: Connection) -> None:
    engine = await Engine(pool).enroll(Program("Ok", ("url",)))
    await code(connection, [PLAIN], None, parameters={"url": {"schema": {}}})

    await register(connection, {"url": "u"})

    assert json.loads((await engine.one()).parameters) == {}


async def test_the_result_of_a_flow_is_what_its_workflow_says(connection: Connection) -> None:
    await code(connection, [PLAIN], None, parameters={}, result={"all": [{"$task": "one", "path": ["a"]}], "more": {"$literal": {"$task": "x"}}})
    flow = await register(connection)
    await connection.execute("UPDATE kr_task_stat SET exec_status = 3, result = '{\"a\": 1}'")

    assert json.loads(await connection.fetchval("SELECT kr_flow_result($1)", flow)) == {"all": [1], "more": {"$task": "x"}}


# What somebody may try


async def test_many_places_are_filled_in_one_pass(engine: Engine, connection: Connection) -> None:
    many = 8_000
    await define(
        connection, "w", {"name": "a"}, {"parameters": json.dumps({"x": [{"$task": "a"}] * many, "deep": {"y": [1, {"z": {"$task": "a"}}]}})}
    )
    await register(connection)
    await engine.finish(await engine.one(), value=json.dumps("x" * 1_000))

    began = time.perf_counter()
    claim = await engine.one()

    assert time.perf_counter() - began < 5
    given = json.loads(claim.parameters)
    assert given == {"x": ["x" * 1_000] * many, "deep": {"y": [1, {"z": "x" * 1_000}]}}


async def test_a_task_whose_source_was_set_back_while_it_stood_at_its_slot_does_not_start_without_it(engine: Engine, connection: Connection) -> None:
    await define(connection, "w", {"name": "a"}, {"name": "b", "parameters": json.dumps({"x": {"$task": "a"}})})
    flow = await register(connection)
    await engine.finish(await engine.one(), value="1")
    await connection.execute("UPDATE kr_task_stat SET exec_status = 0 WHERE task_flow_id = $1 AND task_exec_seq = 1", flow)

    assert (await engine.turn(slots=10)).claimed == ()  # no look yet: it still stands at its slot

    await engine.finish(await engine.one(), value="2")
    assert json.loads((await engine.one()).parameters) == {"x": 2}


async def test_whoever_starts_a_flow_cannot_have_a_secret_sent_elsewhere(engine: Engine, connection: Connection) -> None:
    own = {"url": "https://good", "headers": {"key": {"$env": "KEY"}}}
    await define(connection, "w", {"parameters": json.dumps(own)})

    await register(connection, {"url": "https://evil", "headers": {}})

    assert json.loads((await engine.one()).parameters) == {"url": "https://good", "headers": {"key": None}}


async def test_what_is_given_does_not_replace_a_place_that_a_reference_fills(engine: Engine, connection: Connection) -> None:
    await define(connection, "w", {"name": "a"}, {"parameters": json.dumps({"body": {"x": {"$task": "a"}}, "other": 1})})
    await register(connection, {"body": "text", "other": 2})
    await engine.finish(await engine.one(), value="1")

    assert json.loads((await engine.one()).parameters) == {"body": {"x": 1}, "other": 2}


@pytest.mark.parametrize(
    ("parameters", "path", "told"),
    [
        ({"$task": "a"}, "steps[2].parameters", "under one of them"),
        ({"x": {"$env": "FLOWER_DATABASE_URL"}}, "steps[2].parameters.x", "no variable for tasks"),
        ({"x": {"$env": "PGPASSWORD"}}, "steps[2].parameters.x", "no variable for tasks"),
        ({"x": {"$literal": 1, "other": 2}}, "parameters.x", "stands alone"),
    ],
)
async def test_references_that_cannot_be_are_refused_when_they_are_written(connection: Connection, parameters: Any, path: str, told: str) -> None:
    await define(connection, "w", {"name": "a"}, {})

    (detail,) = await refusal(
        connection, "UPDATE ms_task_definition SET parameters = $1 WHERE task_id = 'w' AND task_seq = 2", json.dumps(parameters)
    )

    assert (detail["path"], told in detail["message"]) == (path, True)


async def test_a_list_of_lists_as_dependencies_is_refused(connection: Connection) -> None:
    statement = "INSERT INTO ms_task_definition (task_id, task_seq, program, depends_on) VALUES ('w', 1, 'Ok', '{}'), ('w', 2, 'Ok', '{{1,1}}')"

    (detail,) = await refusal(connection, statement)

    assert "plain list" in detail["message"]


async def test_a_parameter_that_would_fill_a_step_beyond_its_limit_is_refused(connection: Connection) -> None:
    await define(connection, "w", {"parameters": json.dumps({"x": [{"$param": "x"}] * 300})})

    (detail,) = await refusal(connection, "SELECT flower_register('w', $1)", json.dumps({"x": "x" * 100_000}))

    assert "the limit is 262144" in detail["message"]


async def test_a_result_of_a_flow_that_is_too_large_or_not_there_is_said(engine: Engine, connection: Connection) -> None:
    await code(connection, [PLAIN], None, parameters={}, result=[{"$task": "one"}] * 20 + [{"$task": "one", "path": ["a"]}])
    flow = await register(connection)
    await engine.finish(await engine.one(), value=json.dumps("x" * 1_000))
    (missing,) = await refusal(connection, "SELECT kr_flow_result($1)", flow)
    assert "no one.a in what that step returned" in missing["message"]

    await connection.execute("UPDATE kr_task_stat SET result = to_jsonb(repeat('x', 1000000)) WHERE task_flow_id = $1", flow)
    (large,) = await refusal(connection, "SELECT kr_flow_result($1)", flow)
    assert "more than 16 MiB" in large["message"]


async def test_rows_that_cannot_be_give_way_to_what_is_written_in_their_place(connection: Connection) -> None:
    async with connection.transaction():
        await connection.execute("SET LOCAL session_replication_role = replica")
        await connection.execute("INSERT INTO ms_task_definition (task_id, task_seq, program, name) VALUES ('w', 1, 'Ok', 'a'), ('w', 2, 'Ok', 'a')")

    assert await code(connection, [PLAIN], None) == "written"
    assert await code(connection, [PLAIN | {"name": "b"}], "b", forced=True) == "written"


async def test_transactions_that_change_the_same_workflows_do_not_lock_each_other_out(connection: Connection, other: Connection) -> None:
    async def write(one: Connection, workflows: list[str], seq: int) -> None:
        async with one.transaction():
            for name in workflows:
                await one.execute("INSERT INTO ms_task_definition (task_id, task_seq, program) VALUES ($1, $2, 'Ok')", name, seq)

    names = [f"w{n}" for n in range(30)]
    for seq in range(1, 6):
        await asyncio.gather(write(connection, names, 2 * seq), write(other, names[::-1], 2 * seq + 1))


async def test_with_its_last_step_goes_what_a_workflow_took_and_resulted_in(connection: Connection) -> None:
    await code(connection, [PLAIN], None, parameters={"x": {"schema": {}}}, result={"$task": "one"})

    await connection.execute("DELETE FROM ms_task_definition WHERE task_id = 'w'")
    await define(connection, "w", {"name": "other"})

    assert await register(connection)


async def test_parameters_that_a_hand_made_unreadable_are_shown_as_they_stand(connection: Connection) -> None:
    await define(connection, "w", {"name": "a"}, {"parameters": json.dumps({"x": {"$task": "a"}})})
    flow = await register(connection)
    odd = '{"x": "\\u0000"}'
    await connection.execute("UPDATE kr_task_stat SET parameters = $1 WHERE task_flow_id = $2 AND task_exec_seq = 2", odd, flow)

    shown = await connection.fetchval("SELECT parameters::text FROM flower_tasks WHERE flow_id = $1 AND seq = 2", flow)
    assert "u0000" in shown


async def test_large_graphs_are_worked_out_in_a_moment_whatever_their_order(connection: Connection) -> None:
    many = 3_000
    steps = [{"seq": n, "program": "Ok", "dependsOn": [n + 1] if n < many else [], "parameters": {}} for n in range(1, many + 1)]
    steps[0] |= {"parameters": {"x": {"$task": f"Ok-{many}"}}}
    began = time.perf_counter()

    assert await code(connection, steps, None) == "written"

    assert time.perf_counter() - began < 5


async def test_code_that_only_moved_is_the_same_revision_at_its_new_place(connection: Connection) -> None:
    step = {"seq": 1, "name": "a", "program": "Ok", "parameters": {}}
    await code(connection, [step | {"place": "app.py:8"}], "one", parameters={})
    flow = await register(connection)

    assert await code(connection, [step | {"place": "app.py:9"}], "one", parameters={}) == "current"

    rows = await connection.fetch("SELECT revision, place FROM kr_step")
    assert [tuple(row) for row in rows] == [(1, "app.py:9")]
    assert await connection.fetchval("SELECT place FROM ms_task_definition WHERE task_id = 'w'") == "app.py:9"
    await connection.execute("SELECT kr_revise('w')")
    assert await connection.fetchval("SELECT revision FROM ms_workflow WHERE task_id = 'w'") == 1
    assert await connection.fetchval("SELECT revision FROM kr_flow_stat WHERE task_flow_id = $1", flow) == 1
