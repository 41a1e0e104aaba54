"""Steps that wait for a signal: each signal is taken once, by all that wait when it comes or else by the first that comes, and nothing is lost."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import asyncpg
import pytest

from flower.core.status import Status
from flower.database.pool import Connection, Pool
from tests.sql.engine import Engine, define, gates, put, row, seqs, statuses, write

WAIT = "WaitForSignal"


async def wait(connection: Connection, flow: str, seq: object = 1, after: object = -1, **parameters: Any) -> None:
    """Write a step that waits for a signal, by hand."""
    await write(connection, flow, seq, after, program=WAIT, parameters=json.dumps({"name": "go", **parameters}))


async def send(connection: Connection, name: str = "go", key: str = "", payload: Any = None, **options: Any) -> Any:
    return json.loads(await connection.fetchval("SELECT flower_signal($1, $2, $3, $4)", name, key, json.dumps(payload), json.dumps(options)))


async def kept(connection: Connection) -> list[Any]:
    """Return the payloads of all signals that nobody has taken, in their order."""
    return [json.loads(found[0]) for found in await connection.fetch("SELECT payload FROM kr_signal WHERE stage <> 'taken' ORDER BY id")]


async def result(connection: Connection, flow: str, seq: object = 1) -> Any:
    """Return what a finished step resulted in."""
    task = await row(connection, flow, seq)
    assert task["exec_status"] == 3, task
    return task["result"]


# One signal, one step.


async def test_a_step_waits_at_its_door_and_a_signal_finishes_it_with_its_payload_and_releases_the_next_in_the_same_turn(
    engine: Engine, connection: Connection
) -> None:
    await wait(connection, "f", key="order-7")
    await write(connection, "f", 2, 1)
    await engine.look()
    assert await gates(connection, "f") == {1: "signal go\norder-7", 2: "dependencies 1"}
    task = await row(connection, "f", 1)
    assert (task["attempt"], task["started_ts"], task["waits_until"]) == (0, None, None)

    assert await send(connection, key="order-7", payload={"amount": 3}) == {"signalId": 1, "name": "go", "key": "order-7", "waiting": 1}
    answer = await engine.turn(slots=10, look=True)

    assert seqs(answer.claimed) == [2]
    done = await row(connection, "f", 1)
    assert done["result"] == {"amount": 3}
    assert (done["exec_status"], done["outcome"], done["attempt"], done["tries"], done["gate"], done["waits_for"], done["waits_since"]) == (
        3, None, 1, 1, None, None, None)  # fmt: skip
    assert done["started_ts"] == task["waits_since"] < done["finished_ts"]
    assert await kept(connection) == []


async def test_a_signal_of_another_name_or_key_continues_nothing(engine: Engine, connection: Connection) -> None:
    await wait(connection, "f", key="7")
    await wait(connection, "g")
    await engine.look()

    for name, key in (("go", "8"), ("go", "7\n"), ("stop", "7"), ("stop", ""), ("go 7", "")):
        await send(connection, name, key)
    await engine.look()

    assert (await statuses(connection, "f"), await statuses(connection, "g")) == ({1: 0}, {1: 0})
    assert len(await kept(connection)) == 5


@pytest.mark.parametrize(("key", "sent"), [(7, "7"), ("7", "7"), (1.5, "1.5"), (True, "true"), (None, ""), ("é\n\t", "é\n\t")])
async def test_a_key_that_is_a_number_is_met_by_the_text_of_it(engine: Engine, connection: Connection, key: Any, sent: str) -> None:
    await wait(connection, "f", key=key)
    await engine.look()

    await send(connection, key=sent, payload=1)
    await engine.look()

    assert await result(connection, "f") == 1


async def test_a_signal_that_comes_first_is_kept_and_taken_once_by_the_first_step_that_comes(engine: Engine, connection: Connection) -> None:
    await send(connection, payload="early")
    await engine.look()
    assert await connection.fetchval("SELECT stage FROM kr_signal") == "kept"
    await wait(connection, "f")
    await engine.look()
    await wait(connection, "g")
    await engine.look()

    assert await result(connection, "f") == "early"
    assert await statuses(connection, "g") == {1: 0}
    assert await kept(connection) == []


async def test_kept_signals_go_out_in_their_order_one_to_each_that_comes_even_if_they_come_together(engine: Engine, connection: Connection) -> None:
    for number in range(5):
        await send(connection, payload=number)
    await engine.look()
    for flow in "abc":
        await wait(connection, flow)
    await engine.look()

    assert [await result(connection, flow) for flow in "abc"] == [0, 1, 2]
    assert await kept(connection) == [3, 4]


async def test_signals_that_nobody_has_looked_at_yet_count_as_sent_before_a_step_that_comes_now(engine: Engine, connection: Connection) -> None:
    await engine.claim()
    await write(connection, "a", 1)
    await wait(connection, "a", 2, 1)
    await wait(connection, "a", 3, 1)
    (first,) = await engine.claim()
    await send(connection, payload=1)
    await send(connection, payload=2)

    await engine.finish(first)  # a turn that does not look

    assert sorted([await result(connection, "a", 2), await result(connection, "a", 3)]) == [1, 2]


async def test_a_signal_continues_every_step_that_waits_and_later_ones_are_kept(engine: Engine, connection: Connection) -> None:
    for number in range(7):
        await wait(connection, f"f{number}")
    await engine.look()

    await send(connection, payload="all")
    await send(connection, payload="next")
    await engine.look()

    assert {await result(connection, f"f{number}") for number in range(7)} == {"all"}
    assert await kept(connection) == ["next"]


async def test_more_steps_than_a_look_takes_all_get_the_same_signal_and_one_that_comes_later_gets_the_next(
    engine: Engine, connection: Connection
) -> None:
    await connection.execute(f"""
        INSERT INTO kr_task_stat (task_flow_id, task_exec_seq, depends_task_exec_seq, task_id, task_seq, exec_status, parameters, program)
            SELECT 'many', g, -1, 'w', 1, 0, '{{"name": "go"}}', '{WAIT}' FROM generate_series(1, 1300) g
    """)
    await engine.look()
    await send(connection, payload=1)
    await engine.turn(look=True)
    assert await connection.fetchval("SELECT stage FROM kr_signal") == "open"
    await wait(connection, "late")
    await send(connection, payload=2)

    await engine.look()

    assert await connection.fetch("SELECT result::text, count(*) FROM kr_task_stat WHERE task_flow_id = 'many' GROUP BY 1") == [("1", 1300)]
    assert await result(connection, "late") == 2
    assert await kept(connection) == []


async def test_a_chain_of_waits_whose_signals_are_there_is_passed_in_one_turn(engine: Engine, connection: Connection) -> None:
    for number in range(3):
        await send(connection, key=str(number), payload=number)
        await wait(connection, "f", number + 1, number or -1, key=str(number))
    await write(connection, "f", 4, 3)

    answer = await engine.turn(slots=1, look=True)

    assert seqs(answer.claimed) == [4]
    assert [await result(connection, "f", seq) for seq in (1, 2, 3)] == [0, 1, 2]


# Transactions of users, and other engines.


async def test_a_signal_counts_when_its_transaction_commits_and_never_if_it_rolls_back(
    engine: Engine, connection: Connection, other: Connection
) -> None:
    await wait(connection, "f")
    await engine.look()
    transaction = other.transaction()
    await transaction.start()
    await send(other, payload="never")
    await engine.look()
    assert await statuses(connection, "f") == {1: 0}
    await transaction.rollback()
    await engine.look()
    assert await statuses(connection, "f") == {1: 0}

    async with other.transaction():
        await send(other, payload="now")
        await engine.look()
    await engine.look()

    assert await result(connection, "f") == "now"


async def test_a_step_that_a_session_holds_gets_the_signal_of_its_time_when_it_is_let_go_and_nobody_else_waits_for_that(
    engine: Engine, connection: Connection, other: Connection
) -> None:
    await wait(connection, "held")
    await wait(connection, "free")
    await engine.look()
    async with other.transaction():
        await other.execute("SELECT FROM kr_task_stat WHERE task_flow_id = 'held' FOR UPDATE")
        await send(connection, payload="first")
        await engine.look()
        assert await result(connection, "free") == "first"
        await wait(connection, "late")
        await engine.look()
        assert await statuses(connection, "late") == {1: 0}
        await send(connection, payload="second")
        await engine.look()
        assert await result(connection, "late") == "second"

    await engine.look()

    assert await result(connection, "held") == "first"
    assert await kept(connection) == []


async def test_a_kept_signal_that_a_session_holds_is_taken_when_it_is_let_go(engine: Engine, connection: Connection, other: Connection) -> None:
    await send(connection, payload="first")
    await send(connection, payload="second")
    await engine.look()
    async with other.transaction():
        await other.execute("SELECT FROM kr_signal WHERE id = 1 FOR UPDATE")
        await wait(connection, "f")
        await engine.look()
        assert await statuses(connection, "f") == {1: 0}

    await engine.look()

    assert await result(connection, "f") == "first"


# One turn that looks, as an engine sends it: $1 is the worker.
CYCLE = "SELECT * FROM kr_cycle($1, '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', 0, true, false, NULL, NULL, NULL, NULL)"


async def test_a_signal_for_which_an_engine_finds_nobody_while_another_brings_a_step_to_its_door_reaches_that_step(
    engine: Engine, connection: Connection, other: Connection
) -> None:
    await wait(connection, "f")
    async with other.transaction():
        await other.execute(CYCLE, engine.worker_id)  # it comes to the door, and no signal is there
        await send(connection, payload="found")
        await engine.look()  # nobody is at the door
        assert await connection.fetchval("SELECT stage FROM kr_signal") == "kept"

    await engine.look()

    assert await result(connection, "f") == "found"
    assert await kept(connection) == []


async def test_a_step_that_comes_while_an_engine_looks_at_the_signal_reaches_it(engine: Engine, connection: Connection, other: Connection) -> None:
    await send(connection, payload="found")
    async with other.transaction():
        await other.execute(CYCLE, engine.worker_id)  # nobody is at the door: the signal is to be kept
        await wait(connection, "f")
        await engine.look()
        assert await statuses(connection, "f") == {1: 0}

    await engine.look()

    assert await result(connection, "f") == "found"


async def test_many_engines_and_senders_at_once_lose_no_signal_and_take_none_twice(pool: Pool, connection: Connection) -> None:
    """Each key has as many signals as steps; a signal may continue several, so others are kept."""
    engines = [await Engine(pool).enroll("Ok") for _ in range(4)]

    async def work(engine: Engine) -> None:
        for _ in range(25):
            await engine.turn(slots=5, look=True)

    async def sends() -> None:
        for number in range(60):
            async with pool.acquire() as session:
                await send(session, key=str(number % 10), payload=number)

    async def starts() -> None:
        for number in range(60):
            async with pool.acquire() as session:
                await wait(session, f"f{number}", key=str(number % 10))

    await asyncio.gather(*(work(engine) for engine in engines), sends(), starts())
    await engines[0].look()

    signals = {json.loads(found[0]) for found in await connection.fetch("SELECT payload FROM kr_signal")}
    steps = await connection.fetch("SELECT task_flow_id, exec_status, gate, result::text FROM kr_task_stat")
    taken = {int(step["result"]) for step in steps if step["exec_status"] == 3}
    assert (taken | signals, taken & signals) == (set(range(60)), set())
    waiting = {step["task_flow_id"][-1] for step in steps if step["exec_status"] == 0}
    assert waiting & {str(number % 10) for number in signals} == set()
    assert all(int(step["result"]) % 10 == int(step["task_flow_id"][-1]) for step in steps if step["exec_status"] == 3)
    assert {(step["exec_status"], step["gate"]) for step in steps} <= {(3, None), (0, "signal")}


# Its time.


async def test_without_a_default_a_step_fails_at_its_time_and_waits_anew_when_it_is_retried(engine: Engine, connection: Connection) -> None:
    await wait(connection, "f", key="order-7", timeout=0.2)
    await write(connection, "f", 2, 1)
    await engine.look()
    answer = await engine.turn(look=True)
    assert 0 < (answer.sleep_seconds or 0) <= 0.2
    assert 0 < ((await engine.store.workers.probe(engine.worker_id, "")).seconds or 0) <= 0.2
    since = (await row(connection, "f", 1))["waits_since"]

    await asyncio.sleep(answer.sleep_seconds or 0)
    assert (await engine.store.workers.probe(engine.worker_id, "")).work is True
    await engine.look()

    task = await row(connection, "f", 1)
    assert (task["exec_status"], task["outcome"], task["attempt"], task["started_ts"], task["gate"]) == (2, "failed", 1, since, None)
    assert task["error"]["type"] == "SignalTimeout"
    assert "no signal 'go' with key 'order-7' came within 0.2 s" in task["error"]["message"]
    assert (task["error"]["signal"], task["error"]["key"]) == ("go", "order-7")
    assert await gates(connection, "f") == {1: None, 2: "dependencies 1"}

    await connection.execute("SELECT flower_retry('f', '1')")
    await engine.look()
    again = await row(connection, "f", 1)
    assert (again["gate"], again["error"]) == ("signal", None)
    assert again["waits_since"] > task["suspended_ts"]
    await send(connection, key="order-7", payload="late")
    await engine.look()
    assert await result(connection, "f") == "late"
    assert (await row(connection, "f", 1))["attempt"] == 2
    assert await connection.fetchval("SELECT error ->> 'type' FROM kr_task_attempt") == "SignalTimeout"


@pytest.mark.parametrize("default", [None, {"paid": False}, "later"])
async def test_with_a_default_a_step_finishes_with_it_at_its_time_and_says_so(engine: Engine, connection: Connection, default: Any) -> None:
    await wait(connection, "f", timeout=0, default=default)
    await write(connection, "f", 2, 1)

    await engine.look()

    assert await result(connection, "f") == default
    assert json.loads((await row(connection, "f", 1))["notice"])["message"] == "no signal 'go' came within 0 s: it goes on with its default"
    assert await gates(connection, "f") == {1: None, 2: "slot"}


async def test_a_kept_signal_goes_before_a_timeout_of_nothing_and_one_after_the_time_is_over_comes_too_late(
    engine: Engine, connection: Connection
) -> None:
    await send(connection, payload="there")
    await wait(connection, "f", timeout=0, default="not there")
    await engine.look()
    assert await result(connection, "f") == "there"

    await wait(connection, "g", timeout=0.01, default="too late")
    await engine.turn(look=True)
    await asyncio.sleep(0.02)  # no worker looks meanwhile: the time decides, not who is alive
    await send(connection, payload="second")
    await engine.look()

    assert await result(connection, "g") == "too late"
    assert await kept(connection) == ["second"]


async def test_signals_that_were_sent_in_time_are_not_lost_when_more_doors_rang_than_a_look_takes(engine: Engine, connection: Connection) -> None:
    await connection.execute("""
        INSERT INTO kr_task_stat (task_flow_id, task_exec_seq, depends_task_exec_seq, task_id, task_seq, exec_status, program, parameters)
        SELECT 'f' || n, 1, -1, 'by_hand', 1, 0, 'WaitForSignal', json_build_object('name', 'go', 'key', n::text, 'timeout', 3600) FROM generate_series(1, 1500) n
    """)
    await engine.look()
    await connection.execute("SELECT flower_signal('go', n::text, to_jsonb(n)) FROM generate_series(1, 1500) n")
    await connection.execute("UPDATE kr_task_stat SET waits_until = clock_timestamp()")  # nobody looks until the time is over

    await engine.look()

    assert await connection.fetch("SELECT exec_status, count(*) FROM kr_task_stat GROUP BY 1") == [(3, 1500)]
    assert await connection.fetchval("SELECT count(*) FROM kr_task_stat WHERE task_flow_id <> 'f' || result::text") == 0
    assert await kept(connection) == []


async def test_a_signal_that_was_sent_in_time_and_that_a_session_holds_when_the_time_is_over_is_waited_for(
    engine: Engine, connection: Connection, other: Connection
) -> None:
    await wait(connection, "called", key="1", timeout=3600)
    await wait(connection, "late", key="2", timeout=3600)
    await engine.look()
    await send(connection, key="1", payload=1)
    async with other.transaction():
        await other.execute("SELECT FROM kr_signal FOR UPDATE")
        await connection.execute("UPDATE kr_task_stat SET waits_until = clock_timestamp()")
        await send(connection, key="2")
        await engine.look()
        assert (await statuses(connection, "called"), await statuses(connection, "late")) == ({1: 0}, {1: 2})

    await engine.look()

    assert await result(connection, "called") == 1


async def test_a_step_whose_parent_was_set_back_does_not_wait_beyond_its_time_for_the_sake_of_a_signal_that_is_not_for_it(
    engine: Engine, connection: Connection
) -> None:
    await write(connection, "f", 1, status=3)
    await wait(connection, "f", 2, 1, timeout=3600)
    await engine.look()
    await connection.execute("SET session_replication_role = replica")  # nobody hears of it
    await put(connection, "f", 1, 2)
    await connection.execute("SET session_replication_role = origin")
    await send(connection)
    await connection.execute("UPDATE kr_task_stat SET waits_until = clock_timestamp() WHERE task_exec_seq = 2")

    await engine.turn(look=True)

    assert (await statuses(connection, "f"))[2] == 2


async def test_timers_that_a_session_holds_are_tried_again_and_stand_before_no_others(
    engine: Engine, connection: Connection, other: Connection
) -> None:
    await wait(connection, "held", timeout=0)
    await engine.turn(look=True)
    async with other.transaction():
        await other.execute("SELECT FROM kr_task_stat WHERE task_flow_id = 'held' FOR UPDATE")
        await wait(connection, "free", timeout=0)
        await engine.look()
        assert await statuses(connection, "free") == {1: 2}
        assert (await engine.turn(look=True)).sleep_seconds == 0.05

    await engine.look()

    assert await statuses(connection, "held") == {1: 2}


# Parameters: from rows, from the flow, from results.


async def test_the_key_comes_from_the_flow_or_from_part_of_an_earlier_result(engine: Engine, connection: Connection) -> None:
    await connection.execute('INSERT INTO ms_workflow (task_id, takes) VALUES (\'pay\', \'{"order": {"schema": {"type": "integer"}}}\')')
    await define(
        connection, "pay",
        {"name": "bill", "depends_on": []},
        {"name": "own", "program": WAIT, "depends_on": [], "parameters": '{"name": "go", "key": {"$param": "order"}}'},
        {"name": "next", "program": WAIT, "depends_on": [1], "parameters": '{"name": "go", "key": {"$task": "bill", "path": ["ids", 1]}, "default": {"$task": "bill"}}'},
    )  # fmt: skip
    flow = await connection.fetchval("SELECT flower_register('pay', '{\"order\": 7}')")
    (claim,) = await engine.claim()
    assert await gates(connection, flow) == {1: None, 2: "signal go\n7", 3: "dependencies 1"}
    await engine.finish(claim, value='{"ids": ["a", "b"]}')
    assert (await gates(connection, flow))[3] == "signal go\nb"

    await send(connection, key="b", payload=1)
    await send(connection, key="7", payload=2)
    await engine.look()

    assert (await result(connection, flow, 2), await result(connection, flow, 3)) == (2, 1)


async def test_what_a_flow_of_rows_is_given_is_the_key_and_never_the_name(engine: Engine, connection: Connection) -> None:
    await define(connection, "rows", {"program": WAIT, "param1_key": "name", "param1_value": "go", "param2_key": "timeout", "param2_value": "3600"})
    flow = await connection.fetchval('SELECT flower_register(\'rows\', \'{"name": "other", "key": "k"}\')')
    await engine.look()

    assert await gates(connection, flow) == {1: "signal go\nk"}
    assert (await row(connection, flow, 1))["waits_until"] is not None


async def test_a_step_whose_key_comes_from_an_ignored_task_is_ignored_and_a_plan_says_so(engine: Engine, connection: Connection) -> None:
    await define(
        connection, "pay",
        {"name": "bill"}, {"name": "paid", "program": WAIT, "parameters": '{"name": "go", "key": {"$task": "bill"}}'}, {"name": "ship"},
    )  # fmt: skip
    flow = await connection.fetchval("SELECT flower_register('pay')")
    await engine.look()
    plan = json.loads(await connection.fetchval("SELECT flower_ignore($1, 'bill', '{\"dryRun\": true}')", flow))
    assert (plan["ignored"], plan["runs"]) == (["paid"], ["ship"])

    await connection.execute("SELECT flower_ignore($1, 'bill')", flow)
    assert seqs(await engine.claim()) == [3]

    paid = await row(connection, flow, 2)
    assert (paid["exec_status"], paid["outcome"], paid["error"]["type"]) == (9, "skipped", "SourceIgnored")
    assert "key comes from bill, which was ignored" in paid["error"]["message"]


@pytest.mark.parametrize(
    ("parameters", "told"),
    [
        ("[]", "a JSON object is wanted"),
        ("null", "a JSON object is wanted"),
        ('{"name": "go", "key": "\\u0000"}', "a JSON object is wanted"),
        ("{}", "name: a text of 1 to 256 characters"),
        ('{"name": 3}', "name: a text"),
        ('{"name": ""}', "name: a text"),
        ('{"name": "a\\nb"}', "name: a text"),
        (json.dumps({"name": "a" * 257}), "name: a text"),
        ('{"name": "go", "key": {"id": 1}}', "key: a text is wanted, not this object"),
        ('{"name": "go", "key": [1]}', "key: a text is wanted, not this array"),
        (json.dumps({"name": "go", "key": "é" * 257}), "key: has 514 bytes, the limit is 512"),
        ('{"name": "go", "timeout": "soon"}', "timeout: a number of seconds"),
        ('{"name": "go", "timeout": -1}', "timeout: a number of seconds"),
        ('{"name": "go", "timeout": 1e99}', "timeout: a number of seconds"),
        ('{"name": "go", "timeout": 1e400}', "timeout: a number of seconds"),
        ('{"name": "go", "timeout": 1e-400}', "timeout: a number of seconds"),
        ('{"name": "go", "timeout": "1e-400"}', "timeout: a number of seconds"),
        ('{"name": "go", "timeout": "NaN"}', "timeout: a number of seconds"),
        ('{"name": "go", "timeout": [1]}', "timeout: a number of seconds"),
        ('{"name": "go", "timeuot": 1}', "it takes no timeuot; it takes name, key, timeout and default"),
        (json.dumps({"name": "go", "default": "a" * 1_048_576}), "default: has 1048578 bytes"),
    ],
)
async def test_a_row_that_cannot_wait_stops_itself_with_a_message_and_nothing_else(
    engine: Engine, connection: Connection, parameters: str, told: str
) -> None:
    await write(connection, "odd", 1, program=WAIT, parameters=parameters)
    await wait(connection, "f")
    await engine.look()

    task = await row(connection, "odd", 1)
    assert (task["exec_status"], task["outcome"], task["error"]["type"], task["gate"]) == (2, "invalid", "InvalidParameters", None)
    assert told in task["error"]["message"]
    assert await gates(connection, "f") == {1: "signal go\n"}

    await connection.execute("UPDATE kr_task_stat SET parameters = '{\"name\": \"go\"}', exec_status = 0 WHERE task_flow_id = 'odd'")
    await engine.look()
    assert await gates(connection, "odd") == {1: "signal go\n"}


@pytest.mark.parametrize("careful", [False, True])
@pytest.mark.parametrize("inputs", ["5", '[{"at": 5, "seq": "x"}]', '[{"at": ["key"], "seq": 1, "path": {}}]', '[{"at": [0], "seq": 1, "path": 7}]'])
async def test_a_row_whose_inputs_a_hand_has_spoilt_stops_itself_and_nothing_else(
    engine: Engine, connection: Connection, inputs: str, careful: bool
) -> None:
    await write(connection, "odd", 1, status=3)
    await write(connection, "odd", 2, 1, program=WAIT, parameters='{"name": "go"}', inputs=inputs)
    await wait(connection, "f")
    for _ in range(3):
        await engine.turn(look=True, careful=careful)

    task = await row(connection, "odd", 2)
    assert (task["exec_status"], task["error"]["type"]) == (2, "InvalidParameters")
    assert await gates(connection, "f") == {1: "signal go\n"}


async def test_a_row_that_a_hand_spoils_while_it_waits_stops_itself_at_its_time_and_nothing_else(engine: Engine, connection: Connection) -> None:
    for flow in ("odd", "f"):
        await wait(connection, flow, timeout=0.01)
    await engine.turn(look=True)
    await connection.execute("SET session_replication_role = replica")
    await connection.execute('UPDATE kr_task_stat SET parameters = \'{"name": "go", "timeout": 1e-400}\' WHERE task_flow_id = \'odd\'')
    await connection.execute("SET session_replication_role = origin")
    await asyncio.sleep(0.02)
    await engine.look()

    assert (await row(connection, "odd", 1))["error"]["type"] == "InvalidParameters"
    assert (await row(connection, "f", 1))["error"]["type"] == "SignalTimeout"


@pytest.mark.parametrize(
    ("reference", "told"),
    [
        ({"$task": "bill", "path": ["no"]}, "key: there is no bill.no in what that step returned"),
        ({"$env": "HOME"}, "key: a variable of a worker's environment"),
    ],
)
async def test_a_key_that_cannot_be_had_stops_the_step(engine: Engine, connection: Connection, reference: Any, told: str) -> None:
    await define(connection, "pay", {"name": "bill"}, {"program": WAIT, "parameters": json.dumps({"name": "go", "key": reference})})
    flow = await connection.fetchval("SELECT flower_register('pay')")
    await engine.finish(await engine.one(), value="{}")

    task = await row(connection, flow, 2)
    assert (task["outcome"], task["error"]["message"].startswith("the parameters do not fit WaitForSignal: " + told)) == ("invalid", True)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (("", "", "1", "{}"), "name: must be a text of 1 to 256 characters"),
        ((None, "", "1", "{}"), "name: must be a text"),
        (("a\nb", "", "1", "{}"), "name: must be a text"),
        (("a" * 257, "", "1", "{}"), "name: must be a text"),
        (("go", "é" * 257, "1", "{}"), "key: has 514 bytes, the limit is 512"),
        (("go", "", json.dumps("a" * 1_048_576), "{}"), "payload: has 1048578 bytes of JSON, the limit is 1048576"),
        (("go", "", "1", "[]"), "options: must be a JSON object"),
        (("go", "", "1", '{"by": "me"}'), "by: no such option; there is idempotencyKey"),
        (("go", "", "1", '{"idempotencyKey": 3}'), "idempotencyKey: must be a text"),
        (("go", "", "1", '{"idempotencyKey": ""}'), "idempotencyKey: must be a text"),
    ],
)
async def test_a_signal_of_wrong_content_is_refused_with_its_field(connection: Connection, values: tuple[str, ...], told: str) -> None:
    with pytest.raises(asyncpg.PostgresError) as caught:
        await connection.fetchval("SELECT flower_signal($1, $2, $3, $4)", *values)

    assert caught.value.sqlstate == "FL422"
    assert told in str(caught.value)
    assert await kept(connection) == []


async def test_the_longest_names_and_keys_that_are_taken_are_met(engine: Engine, connection: Connection) -> None:
    name, key = "é" * 256, "".join(chr(33 + n % 90) for n in range(512))
    await wait(connection, "f", name=name, key=key)
    await engine.look()
    await send(connection, name, key, 1)
    await engine.look()

    assert await result(connection, "f") == 1


async def test_an_unknown_parameter_or_one_of_a_wrong_type_is_refused_at_the_definition_though_no_worker_has_the_program(
    connection: Connection,
) -> None:
    for parameters in ('{"name": "go", "kye": 1}', '{"name": 3}', '{"name": "go", "timeout": "soon"}', '{"name": "go", "key": [1]}'):
        with pytest.raises(asyncpg.PostgresError, match="parameters"):
            await define(connection, "w", {"program": WAIT, "parameters": parameters})
    await define(connection, "w", {"program": WAIT, "parameters": '{"name": "go", "key": 7, "timeout": 3600, "default": null}'})


# Sent twice.


async def test_the_same_idempotency_key_is_the_same_signal_before_and_after_it_was_taken(engine: Engine, connection: Connection) -> None:
    await wait(connection, "f")
    await engine.look()
    first = await send(connection, payload=1, idempotencyKey="once")
    assert await send(connection, payload=1, idempotencyKey="once") == {name: first[name] for name in ("signalId", "name", "key")} | {
        "duplicate": True
    }
    await engine.look()
    assert await result(connection, "f") == 1

    assert (await send(connection, payload=1, idempotencyKey="once"))["duplicate"] is True
    with pytest.raises(asyncpg.PostgresError, match="used before with another payload") as caught:
        await send(connection, payload=2, idempotencyKey="once")
    assert caught.value.sqlstate == "FL409"
    assert "duplicate" not in await send(connection, key="other", payload=2, idempotencyKey="once")
    await wait(connection, "g")
    await engine.look()
    assert await statuses(connection, "g") == {1: 0}


async def test_whoever_sends_is_told_how_many_wait_at_that_moment(engine: Engine, connection: Connection) -> None:
    for flow in "abc":
        await wait(connection, flow, key="1")
    await wait(connection, "other", key="2")
    await wait(connection, "over", key="3", timeout=0)
    await engine.turn(look=True)

    assert [(await send(connection, key=key))["waiting"] for key in ("1", "2", "3", "4")] == [3, 1, 0, 0]


async def test_whoever_sends_to_very_many_is_told_that_there_are_a_thousand_or_more(engine: Engine, connection: Connection) -> None:
    await connection.execute("""
        INSERT INTO kr_task_stat (task_flow_id, task_exec_seq, depends_task_exec_seq, task_id, task_seq, exec_status, program, parameters)
        SELECT 'f' || n, 1, -1, 'by_hand', 1, 0, 'WaitForSignal', '{"name": "go"}' FROM generate_series(1, 1001) n
    """)
    await engine.look()

    assert (await send(connection))["waiting"] == 1000


async def test_signals_are_kept_for_thirty_days_and_swept_a_thousand_at_a_time(engine: Engine, connection: Connection) -> None:
    await connection.execute(
        "INSERT INTO kr_signal (name, key, payload, sent_ts) SELECT 'go', g::text, '1', now() - interval '31 days' FROM generate_series(1, 1500) g"
    )
    await send(connection, payload="young")

    await engine.store.workers.sweep()
    assert await connection.fetchval("SELECT count(*) FROM kr_signal") == 501
    await engine.store.workers.sweep()

    assert await kept(connection) == ["young"]


# What people do meanwhile.


async def test_cancel_ignore_and_complete_end_the_wait_and_a_signal_after_that_is_kept(engine: Engine, connection: Connection) -> None:
    for flow in ("cancelled", "ignored", "completed", "by hand"):
        await wait(connection, flow, timeout=3600)
        await write(connection, flow, 2, 1)
    await engine.look()
    await connection.execute("SELECT flower_cancel('cancelled'), flower_ignore('ignored', '1'), flower_complete('completed', '1', '{\"result\": 5}')")
    await put(connection, "by hand", 1, 9)

    assert sorted(claim.flow_id for claim in await engine.claim()) == ["by hand", "completed", "ignored"]
    await send(connection)
    await engine.look()

    assert await result(connection, "completed") == 5
    assert [(await statuses(connection, flow))[1] for flow in ("cancelled", "ignored", "by hand")] == [9, 9, 9]
    assert len(await kept(connection)) == 1
    assert await connection.fetchval("SELECT count(*) FROM kr_task_stat WHERE waits_since IS NOT NULL OR waits_until IS NOT NULL") == 0


async def test_a_pause_holds_a_step_before_its_wait_and_one_that_has_begun_goes_on_while_the_next_step_is_held(
    engine: Engine, connection: Connection
) -> None:
    await wait(connection, "begun", key="1")
    await write(connection, "begun", 2, 1)
    await engine.look()
    await connection.execute("INSERT INTO ms_pause (task_id) VALUES ('by_hand')")
    await wait(connection, "new", key="2")
    await engine.look()
    assert (await gates(connection, "begun"), await gates(connection, "new")) == ({1: "signal go\n1", 2: "dependencies 1"}, {1: "pause by_hand"})

    await send(connection, key="1")
    await send(connection, key="2")
    await engine.look()
    assert (await gates(connection, "begun"), await gates(connection, "new")) == ({1: None, 2: "pause by_hand"}, {1: "pause by_hand"})

    await connection.execute("DELETE FROM ms_pause")
    assert [(claim.flow_id, claim.seq) for claim in await engine.claim()] == [("begun", 2)]
    assert await statuses(connection, "new") == {1: 3}


async def test_a_suspended_flow_goes_on_waiting_and_its_next_step_starts_after_the_resume(engine: Engine, connection: Connection) -> None:
    await wait(connection, "f", timeout=0.05, default="default")
    await write(connection, "f", 2, 1)
    await engine.look()
    await connection.execute("SELECT flower_suspend('f')")
    await asyncio.sleep(0.05)
    await engine.look()
    assert await result(connection, "f") == "default"
    assert await engine.claim() == []

    await connection.execute("SELECT flower_resume('f')")
    assert seqs(await engine.claim()) == [2]


async def test_a_changed_priority_or_limit_leaves_the_wait_as_it_began_and_changed_parameters_count_at_once(
    engine: Engine, connection: Connection
) -> None:
    await wait(connection, "f", timeout=3600)
    await engine.look()
    before = await row(connection, "f", 1)
    await connection.execute("SELECT flower_priority('f', '{\"priority\": -5}')")
    await engine.look()
    same = await row(connection, "f", 1)
    assert [same[name] for name in ("gate", "waits_for", "waits_since", "waits_until")] == [
        before[name] for name in ("gate", "waits_for", "waits_since", "waits_until")
    ]

    await send(connection, "other", payload=1)
    await connection.execute('UPDATE kr_task_stat SET parameters = \'{"name": "other"}\'')
    await engine.look()

    assert await result(connection, "f") == 1


async def test_a_step_of_which_a_parent_is_set_back_waits_for_it_first_and_then_begins_its_time_anew(engine: Engine, connection: Connection) -> None:
    await write(connection, "f", 1)
    await wait(connection, "f", 2, 1, timeout=3600)
    await engine.run_all()
    first = (await row(connection, "f", 2))["waits_since"]
    await put(connection, "f", 1, 0)
    await send(connection, payload="meanwhile")
    claim = await engine.one()
    blocked = await row(connection, "f", 2)
    assert (blocked["gate"], blocked["waits_since"]) == ("dependencies", None)

    await engine.finish(claim)

    assert await result(connection, "f", 2) == "meanwhile"
    assert (await row(connection, "f", 2))["started_ts"] > first


async def test_a_signal_does_not_continue_a_step_whose_parent_was_set_back_before_anybody_looked(engine: Engine, connection: Connection) -> None:
    await write(connection, "f", 1, status=3)
    await wait(connection, "f", 2, 1)
    await engine.look()
    await put(connection, "f", 1, 0)
    await connection.execute("DELETE FROM kr_recount")

    await send(connection)
    await engine.look()

    assert (await statuses(connection, "f"))[2] == 0


async def test_a_rerun_waits_again_and_takes_no_signal_twice(engine: Engine, connection: Connection) -> None:
    await define(connection, "pay", {"name": "paid", "program": WAIT, "parameters": '{"name": "go"}'}, {"name": "ship"})
    flow = await connection.fetchval("SELECT flower_register('pay')")
    await send(connection, payload=1)
    await engine.run_all()
    assert await statuses(connection, flow) == {1: 3, 2: 3}

    await connection.execute('SELECT flower_rerun($1, \'{"from": "paid"}\')', flow)
    await engine.look()
    assert await gates(connection, flow) == {1: "signal go\n", 2: "dependencies 1"}
    await send(connection, payload=2)
    await engine.run_all()

    assert await result(connection, flow) == 2
    assert await connection.fetchval("SELECT result FROM kr_task_attempt WHERE task_exec_seq = 1") == "1"


async def test_a_rerun_by_the_latest_definition_waits_as_that_says(engine: Engine, connection: Connection) -> None:
    await define(connection, "pay", {"name": "paid", "program": WAIT, "parameters": '{"name": "go", "timeout": 3600}'})
    flow = await connection.fetchval("SELECT flower_register('pay')")
    await engine.look()
    await connection.execute("UPDATE ms_task_definition SET parameters = '{\"name\": \"other\"}' WHERE task_id = 'pay'")

    await connection.execute('SELECT flower_rerun($1, \'{"definition": "latest"}\')', flow)
    await engine.look()

    assert await gates(connection, flow) == {1: "signal other\n"}
    assert (await row(connection, flow, 1))["waits_until"] is None


async def test_a_step_that_a_users_trigger_will_not_let_finish_stops_itself_and_the_others_go_on(engine: Engine, connection: Connection) -> None:
    await connection.execute("""
        CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF NEW.task_flow_id = 'odd' AND NEW.exec_status = 3 THEN RAISE 'not this one'; END IF; RETURN NEW; END $$;
        CREATE TRIGGER no BEFORE UPDATE ON kr_task_stat FOR EACH ROW EXECUTE FUNCTION no();
    """)
    for flow in ("f", "g", "odd"):
        await wait(connection, flow)
    await engine.look()
    await send(connection, payload=1)
    with pytest.raises(asyncpg.PostgresError, match="not this one"):
        await engine.turn(look=True)

    await engine.turn(look=True, careful=True)

    assert (await result(connection, "f"), await result(connection, "g")) == (1, 1)
    odd = await row(connection, "odd", 1)
    assert (odd["outcome"], odd["error"]["type"]) == ("invalid", "RowRefused")
    assert "not this one" in odd["error"]["message"]


async def test_one_whose_time_is_over_and_whose_row_takes_no_change_does_not_hold_up_others(engine: Engine, connection: Connection) -> None:
    await connection.execute("""
        CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF NEW.task_flow_id = 'odd' AND NEW.outcome = 'failed' THEN RAISE 'not this one'; END IF; RETURN NEW; END $$;
        CREATE TRIGGER no BEFORE UPDATE ON kr_task_stat FOR EACH ROW EXECUTE FUNCTION no();
    """)
    for flow in ("odd", "f"):
        await wait(connection, flow, timeout=0)

    await engine.turn(look=True)
    with pytest.raises(asyncpg.PostgresError, match="not this one"):
        await engine.turn(look=True)
    await engine.turn(look=True, careful=True)

    assert (await row(connection, "f", 1))["error"]["type"] == "SignalTimeout"
    assert (await row(connection, "odd", 1))["error"]["type"] == "RowRefused"


async def test_rows_that_came_without_triggers_wait_like_any_other(engine: Engine, connection: Connection) -> None:
    await connection.execute("SET session_replication_role = replica")
    await wait(connection, "f")
    await connection.execute("SET session_replication_role = origin")
    await engine.look()
    await send(connection, payload=1)
    await engine.look()

    assert await result(connection, "f") == 1


async def test_the_end_of_the_last_wait_of_a_flow_is_told_to_whoever_awaits_it(engine: Engine, connection: Connection, other: Connection) -> None:
    heard: list[object] = []
    await other.add_listener("flower_end", lambda *_: heard.append(1))
    await wait(connection, "f")
    await engine.look()
    async with engine.store.flows.awaited("f"):
        await send(connection)
        await engine.look()
        await other.execute("SELECT 1")

    assert heard


# Limits on flows.


async def test_a_flow_that_waits_holds_its_place_and_gives_it_away_in_the_turn_in_which_the_signal_ends_it(
    engine: Engine, connection: Connection
) -> None:
    await connection.execute("INSERT INTO ms_limit VALUES ('workflow:pay', 1)")
    await define(connection, "pay", {"name": "paid", "program": WAIT, "parameters": '{"name": "go", "timeout": 3600}'})
    first, second = [await connection.fetchval("SELECT flower_register('pay')") for _ in range(2)]
    await engine.look()
    assert (await gates(connection, first), await gates(connection, second)) == ({1: "signal go\n"}, {1: "limit workflow:pay"})
    assert (await row(connection, second, 1))["waits_since"] is None

    await send(connection, payload=1)
    await engine.turn(look=True)

    assert await result(connection, first) == 1
    assert await gates(connection, second) == {1: "signal go\n"}
    assert await connection.fetch("SELECT task_flow_id FROM kr_flow_inside") == [(second,)]


async def test_of_flows_with_one_unique_key_the_second_does_not_take_the_signal_of_the_first(engine: Engine, connection: Connection) -> None:
    await define(connection, "pay", {"name": "paid", "program": WAIT, "parameters": '{"name": "go"}'}, {"name": "ship"})
    order = """SELECT flower_register('pay', '{}', '{"unique": {"key": "shop", "policy": "queue"}}')"""
    first, second = [await connection.fetchval(order) for _ in range(2)]
    await engine.look()
    await send(connection, payload=1)
    await send(connection, payload=2)
    claim = await engine.one()
    assert (claim.flow_id, await statuses(connection, second)) == (first, {1: 0, 2: 0})

    await engine.finish(claim)

    assert (await result(connection, first), await result(connection, second)) == (1, 2)
    assert (await engine.one()).flow_id == second


# What people read.


async def test_why_names_the_signal_its_key_since_when_and_until_when(engine: Engine, connection: Connection) -> None:
    await wait(connection, "f", name="payment", key="order\n7", timeout=3600)
    await wait(connection, "g", name="payment")
    await engine.look()
    since, until = await connection.fetchrow("SELECT waits_since, waits_until FROM kr_task_stat WHERE task_flow_id = 'f'") or ((), ())
    (one,) = await engine.store.flows.why("f")
    (other_,) = await engine.store.flows.why("g")

    facts = json.loads(await connection.fetchval("SELECT reasons FROM flower_why WHERE flow_id = 'f'"))
    assert [(fact["gate"], fact["signal"], fact["key"]) for fact in facts] == [("signal", "payment", "order\n7")]
    assert "waits for the signal 'payment' with key 'order\\n7' since " in one.reason
    assert ", until " in one.reason
    assert "waits for the signal 'payment' since " in other_.reason
    assert "until" not in other_.reason
    assert since < until
    assert one.gate == "signal"


async def test_a_flow_that_waits_for_a_signal_is_found_and_counted_as_waiting(engine: Engine, connection: Connection) -> None:
    await wait(connection, "f")
    await engine.look()

    flows = await engine.store.flows.list(status="wait")
    counts = await engine.store.overview.open()

    assert [(flow.flow_id, flow.status, flow.stalled) for flow in flows.items] == [("f", Status.WAIT, False)]
    assert (counts.gates["signal"].value, counts.tasks["wait"].value, counts.flows["wait"].value) == (1, 1, 1)
