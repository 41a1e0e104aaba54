"""Schedules as rows: fired by whoever looks, each time at most once, and stopped by nothing but themselves. The clock's hand is set by SQL."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import asyncpg
import pytest
from structlog.testing import capture_logs

from flower.core.errors import Invalid, NotNow, UnknownSchedule
from flower.core.schedule import Backfilled, Cron, Every, read_every
from flower.database.pool import Connection, Pool
from flower.database.store import Store
from flower.database.store.clockwork import DueSchedules
from flower.database.store.schedules import Schedules
from flower.engine.schedules import Clockwork, plan
from tests.sql.engine import Engine, define

HOUR = timedelta(hours=1)


@pytest.fixture
async def schedules(pool: Pool, connection: Connection, engine: Engine) -> Schedules:
    """What the store does with schedules; there is a workflow w of one step."""
    assert engine
    await define(connection, "w", {})
    return Store(pool).schedules


def due(schedules: Schedules) -> DueSchedules:
    """What the engine asks and writes of the same schedules."""
    return DueSchedules(schedules._pool)


async def look(schedules: Schedules) -> float | None:
    """Do what a worker does when it wakes; return in how many seconds it would look again."""
    return await Clockwork(due(schedules))._turn()


async def missed(connection: Connection, name: str, ago: timedelta, **columns: object) -> datetime:
    """Insert an hourly schedule by hand that nobody has looked at for *ago*; return its first time that was missed."""
    values = {"name": name, "task_id": "w", "cron": "0 * * * *", **columns}
    places = ", ".join(f"${number}" for number in range(2, len(values) + 2))
    first: datetime = await connection.fetchval(
        f"INSERT INTO ms_schedule (since_ts, {', '.join(values)}) VALUES (date_trunc('hour', clock_timestamp()) - $1::interval, {places}) RETURNING since_ts + interval '1 hour'",
        ago,
        *values.values(),
    )
    return first


async def due_now(connection: Connection, name: str) -> None:
    """Put the hand of a schedule by the second back to the second that began last."""
    await connection.execute("UPDATE ms_schedule SET next_ts = date_trunc('second', clock_timestamp()) WHERE name = $1", name)


async def times(connection: Connection, name: str) -> list[datetime]:
    """Return the times of the flows of a schedule, in order."""
    return [row[0] for row in await connection.fetch("SELECT scheduled_ts FROM kr_flow_stat WHERE schedule = $1 ORDER BY 1", name)]


async def one(connection: Connection, name: str) -> dict[str, Any]:
    row = await connection.fetchrow("SELECT * FROM ms_schedule WHERE name = $1", name)
    assert row is not None
    return dict(row)


def hours(first: datetime, count: int) -> list[datetime]:
    return [first + n * HOUR for n in range(count)]


async def test_a_row_written_by_hand_is_worked_out_and_fires_when_its_time_comes(connection: Connection, schedules: Schedules) -> None:
    await connection.execute("INSERT INTO ms_schedule (name, task_id, cron, zone) VALUES ('nightly', 'w', '30 2 * * *', 'Europe/Paris')")

    seconds = await look(schedules)

    row = await one(connection, "nightly")
    assert seconds is not None
    assert 0 < seconds <= 25 * 3600
    assert row["next_ts"] == next(Cron("30 2 * * *", zone="Europe/Paris").times(row["since_ts"]))
    assert await times(connection, "nightly") == []


@pytest.mark.parametrize(("catch_up", "made"), [("none", 0), ("last", 1), ("all", 5)])
async def test_what_was_missed_is_caught_up_as_the_row_says(connection: Connection, schedules: Schedules, catch_up: str, made: int) -> None:
    first = await missed(connection, "hourly", 5 * HOUR, catch_up=catch_up, overlap="skip" if catch_up != "all" else "queue")
    if datetime.now(UTC).minute < 2:
        pytest.skip("the hour has only just struck, and is not late")

    await look(schedules)
    for _ in range(5):  # those that wait for the one before
        await connection.execute("UPDATE kr_task_stat SET exec_status = 3 WHERE exec_status = 0")
        await look(schedules)

    row = await one(connection, "hourly")
    assert await times(connection, "hourly") == hours(first, 5)[5 - made :]
    assert row["next_ts"] == first + 5 * HOUR
    assert row["passed_ts"] == (None if catch_up == "all" else first + (4 if catch_up == "none" else 3) * HOUR)


async def test_two_who_look_at_once_make_one_flow(connection: Connection, schedules: Schedules) -> None:
    await missed(connection, "hourly", HOUR)
    seen_by_one, seen_by_other = await due(schedules).candidates(10), await due(schedules).candidates(10)

    made = [await due(schedules).settle([plan(candidate) for candidate in seen]) for seen in (seen_by_one, seen_by_other)]

    assert [event.what for event in made[0]] == ["taken", "fired"]
    assert made[1] == ()
    assert len(await times(connection, "hourly")) == 1


async def test_a_time_that_has_a_flow_makes_no_other_whatever_a_hand_does(connection: Connection, schedules: Schedules) -> None:
    first = await missed(connection, "hourly", HOUR)
    await look(schedules)
    await connection.execute("UPDATE kr_task_stat SET exec_status = 3")

    await connection.execute("UPDATE ms_schedule SET next_ts = $1", first)
    await look(schedules)

    assert await times(connection, "hourly") == [first]
    with pytest.raises(asyncpg.UniqueViolationError):
        await connection.execute(
            "INSERT INTO kr_flow_stat (task_flow_id, task_id, schedule, scheduled_ts) VALUES ('again', 'w', 'hourly', $1)", first
        )


async def test_a_row_that_somebody_changes_meanwhile_is_looked_at_again(connection: Connection, schedules: Schedules) -> None:
    await missed(connection, "hourly", HOUR)
    plans = [plan(candidate) for candidate in await due(schedules).candidates(10)]
    await connection.execute("UPDATE ms_schedule SET paused = true")

    assert await due(schedules).settle(plans) == ()
    assert await times(connection, "hourly") == []


async def test_a_row_that_a_session_holds_keeps_no_other_waiting(connection: Connection, other: Connection, schedules: Schedules) -> None:
    await missed(connection, "held", HOUR)
    await missed(connection, "free", HOUR)
    async with other.transaction():
        await other.execute("SELECT FROM ms_schedule WHERE name = 'held' FOR UPDATE")
        await look(schedules)
        assert (await times(connection, "held"), len(await times(connection, "free"))) == ([], 1)

    await look(schedules)

    assert len(await times(connection, "held")) == 1


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"cron": "99 * * * *"}, "no cron expression"),
        ({"cron": "0 0 31 2 *"}, "never fires"),
        ({"cron": "\u0663 * * * *"}, "no cron expression"),
        ({"zone": "Mars/Olympus"}, "no time zone is called"),
        ({"task_id": "gone"}, "the workflow is gone"),
        ({"parameters": '{"nobody": "takes it"}'}, "nobody"),
        ({"next_ts": datetime.min.replace(tzinfo=UTC)}, "before 1970"),
        ({"last_ts": datetime.min.replace(tzinfo=UTC)}, "before 1970"),
    ],
)
async def test_rubbish_stops_itself_with_a_message_and_nothing_else(
    connection: Connection, schedules: Schedules, columns: dict[str, object], words: str
) -> None:
    await connection.execute("UPDATE kr_program SET takes = '{}'")
    await missed(connection, "rubbish", 3 * HOUR, **columns)
    await missed(connection, "sound", HOUR)

    with capture_logs() as said:
        await look(schedules)

    assert [event["schedule"] for event in said if event["event"] == "schedule.stopped"] == ["rubbish"]
    stopped = await one(connection, "rubbish")
    assert words in stopped["error"]
    assert len(await times(connection, "sound")) == 1
    assert [item.name for item in await schedules.list(stopped=True)] == ["rubbish"]
    assert await look(schedules) is not None  # and not again at once


@pytest.mark.parametrize("value", ["infinity", "-infinity", "20000-01-01Z"])
@pytest.mark.parametrize("column", ["since_ts", "next_ts", "last_ts"])
async def test_a_time_that_no_clock_has_hurts_nobody_else(connection: Connection, schedules: Schedules, column: str, value: str) -> None:
    await connection.execute(f"INSERT INTO ms_schedule (name, task_id, cron, {column}) VALUES ('odd', 'w', '* * * * *', '{value}')")
    await missed(connection, "sound", HOUR)

    await look(schedules)

    assert len(await times(connection, "sound")) == 1
    assert await times(connection, "odd") == []


@pytest.mark.parametrize(
    "columns",
    [
        "cron, every) VALUES ('x', 'w', '* * * * *', '1 s')",
        "zone) VALUES ('x', 'w', 'UTC')",
        "every) VALUES ('x', 'w', '0')",
        "every) VALUES ('x', 'w', '-1 s')",
        "every) VALUES ('x', 'w', '1 month')",
        "every) VALUES ('x', 'w', '100 years')",
        "every, parameters) VALUES ('x', 'w', '1 s', '[]')",
        "every, priority) VALUES ('x', 'w', '1 s', 20)",
        "every, priority) VALUES ('x', 'w', '1 s', 'NaN')",
        "every, catch_up) VALUES ('x', 'w', '1 s', 'some')",
        "every, overlap) VALUES ('x', 'w', '1 s', 'some')",
        "every, catch_up_most) VALUES ('x', 'w', '1 s', 0)",
        "every) VALUES ('', 'w', '1 s')",
        "every) VALUES (repeat('x', 257), 'w', '1 s')",
    ],
)
async def test_what_a_constraint_can_see_is_refused_where_it_is_written(connection: Connection, columns: str) -> None:
    with pytest.raises(asyncpg.CheckViolationError):
        await connection.execute(f"INSERT INTO ms_schedule (name, task_id, {columns}")


async def refuse(connection: Connection, table: str, when: str, state: str = "P0001") -> None:
    """Have a user's trigger raise *state* before a row of *table* is written of which *when* is true."""
    await connection.execute(f"""
        CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF {when} THEN RAISE 'not this one' USING ERRCODE = '{state}'; END IF; RETURN NEW; END $$;
        CREATE TRIGGER no BEFORE INSERT OR UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION no();
    """)


@pytest.fixture
async def three(connection: Connection, schedules: Schedules) -> Schedules:
    """Three schedules by the hour, good, bad and best, each of which has missed one time."""
    for name in ("good", "bad", "best"):
        await missed(connection, name, HOUR)
    return schedules


async def made(connection: Connection) -> dict[str, int]:
    return {row[0]: row[1] for row in await connection.fetch("SELECT schedule, count(*) FROM kr_flow_stat GROUP BY 1")}


@pytest.mark.parametrize("table", ["ms_schedule", "kr_flow_stat"])
async def test_one_that_a_users_trigger_refuses_stops_itself_and_no_other(connection: Connection, three: Schedules, table: str) -> None:
    when = "NEW.name = 'bad' AND NEW.error IS NULL" if table == "ms_schedule" else "NEW.schedule = 'bad'"
    await refuse(connection, table, when)

    with capture_logs() as said:
        assert (await look(three) or 0) > 1

    assert [event["schedule"] for event in said if event["event"] == "schedule.stopped"] == ["bad"]
    assert await made(connection) == {"good": 1, "best": 1}
    assert "not this one" in (await one(connection, "bad"))["error"]
    await connection.execute(f"DROP TRIGGER no ON {table}")
    await three.unpause("bad", {})
    await look(three)
    assert await made(connection) == {"good": 1, "best": 1, "bad": 1}


@pytest.mark.parametrize(("table", "when"), [("ms_schedule", "NEW.name = 'bad'"), ("kr_flow_stat", "NEW.schedule = 'bad'")])
async def test_one_that_fails_in_passing_is_tried_again_and_keeps_no_other_waiting(
    connection: Connection, three: Schedules, table: str, when: str
) -> None:
    await refuse(connection, table, when, "40001")

    for _ in range(3):
        await look(three)
    assert (await made(connection), (await one(connection, "bad"))["error"]) == ({"good": 1, "best": 1}, None)
    await missed(connection, "late", HOUR)
    await look(three)
    assert (await made(connection))["late"] == 1

    await connection.execute(f"DROP TRIGGER no ON {table}")
    await look(three)
    assert (await made(connection))["bad"] == 1


async def test_one_whose_flow_will_not_be_cancelled_stops_itself_and_no_other(connection: Connection, three: Schedules) -> None:
    await look(three)
    await connection.execute("UPDATE ms_schedule SET overlap = 'cancel', catch_up = 'all'")
    for name in ("good", "bad", "best"):
        await connection.execute(
            "UPDATE ms_schedule SET since_ts = since_ts - interval '9 h', next_ts = last_ts - interval '1 h' WHERE name = $1", name
        )
    bad = await connection.fetchval("SELECT task_flow_id FROM kr_flow_stat WHERE schedule = 'bad'")
    await refuse(connection, "kr_task_stat", f"NEW.exec_status = 9 AND NEW.task_flow_id = '{bad}'")

    await look(three)

    assert await made(connection) == {"good": 2, "best": 2, "bad": 1}
    assert "not this one" in (await one(connection, "bad"))["error"]


async def test_one_whose_row_takes_no_change_at_all_keeps_no_other_waiting(connection: Connection, three: Schedules) -> None:
    await refuse(connection, "ms_schedule", "NEW.name = 'bad'")

    assert await look(three) == 0.05
    assert await made(connection) == {"good": 1, "best": 1}

    await connection.execute("DROP TRIGGER no ON ms_schedule")
    await look(three)
    assert await made(connection) == {"good": 1, "best": 1, "bad": 1}


async def test_one_that_has_stopped_itself_goes_on_where_it_stopped_once_it_is_put_right(connection: Connection, schedules: Schedules) -> None:
    first = await missed(connection, "early", HOUR, task_id="later")
    await look(schedules)
    await define(connection, "later", {})

    await schedules.unpause("early", {})
    await look(schedules)

    assert await times(connection, "early") == [first]
    assert (await one(connection, "early"))["error"] is None


async def test_a_change_by_hand_tries_again_and_counts_from_then_on(connection: Connection, schedules: Schedules) -> None:
    await missed(connection, "hourly", 5 * HOUR, cron="99 * * * *")
    await look(schedules)

    await connection.execute("UPDATE ms_schedule SET cron = '0 0 1 1 *'")
    await look(schedules)

    row = await one(connection, "hourly")
    assert (row["error"], await times(connection, "hourly")) == (None, [])
    assert row["next_ts"].month == 1


async def test_a_paused_schedule_makes_nothing_and_catches_up_when_it_goes_on(connection: Connection, schedules: Schedules) -> None:
    first = await missed(connection, "hourly", HOUR)
    await schedules.pause("hourly", {"reason": "stocktaking"})
    assert await look(schedules) is None
    assert await times(connection, "hourly") == []
    assert (await schedules.get("hourly")).obstacles == ("it is paused: stocktaking",)

    await schedules.unpause("hourly", {})
    await look(schedules)

    assert await times(connection, "hourly") == [first]


# Overlap: what counts are the flows that the schedule itself made.


@pytest.fixture
async def busy(connection: Connection, schedules: Schedules) -> Schedules:
    """A flow is in progress of each of the schedules skip, queue, cancel, and hold, which queues and is held by failures."""
    for name in ("skip", "queue", "cancel", "hold"):
        await connection.execute(
            "INSERT INTO ms_schedule (name, task_id, every, overlap, on_failure) VALUES ($1, 'w', '1 s', $2, $3)",
            name,
            "queue" if name == "hold" else name,
            "hold" if name == "hold" else "go-on",
        )
        await look(schedules)
        await due_now(connection, name)
        await look(schedules)
        await connection.execute("UPDATE ms_schedule SET next_ts = 'infinity' WHERE name = $1", name)
    return schedules


async def flow_of(connection: Connection, name: str) -> str:
    found: str = await connection.fetchval("SELECT task_flow_id FROM kr_flow_stat WHERE schedule = $1 ORDER BY registered_ts DESC LIMIT 1", name)
    return found


async def fire_once_more(connection: Connection, schedules: Schedules, name: str) -> datetime:
    """Have the next second of a schedule come, and no other; return it."""
    (last,) = (await times(connection, name))[-1:]
    at: datetime = max(last, (await one(connection, name))["last_ts"]) + timedelta(seconds=1)
    candidates = [item for item in await due(schedules).candidates(10) if item.name != name]
    assert candidates == []
    await connection.execute("UPDATE ms_schedule SET next_ts = $2 WHERE name = $1", name, at)
    while (await connection.fetchval("SELECT clock_timestamp()")) < at:
        pass
    (candidate,) = await due(schedules).candidates(10)
    planned = plan(candidate)
    await due(schedules).settle([planned])
    await connection.execute("UPDATE ms_schedule SET next_ts = 'infinity' WHERE name = $1", name)
    return at


async def test_a_time_is_skipped_while_a_flow_is_in_progress_and_that_is_noted(connection: Connection, busy: Schedules) -> None:
    before = await times(connection, "skip")

    at = await fire_once_more(connection, busy, "skip")

    row = await one(connection, "skip")
    assert await times(connection, "skip") == before
    assert row["passed_ts"] >= at
    assert "in progress" in row["passed_why"]


async def test_a_time_waits_in_the_queue_until_the_flow_before_is_over(connection: Connection, busy: Schedules) -> None:
    before = await times(connection, "queue")
    at = await fire_once_more(connection, busy, "queue")
    await look(busy)
    assert await times(connection, "queue") == before
    assert (await busy.get("queue")).waiting >= 1

    await connection.execute("UPDATE kr_task_stat SET exec_status = 3 WHERE task_flow_id = $1", await flow_of(connection, "queue"))
    await look(busy)

    assert (await times(connection, "queue"))[len(before)] == at


async def test_a_time_cancels_the_flow_before(connection: Connection, busy: Schedules) -> None:
    before = await flow_of(connection, "cancel")

    await fire_once_more(connection, busy, "cancel")

    assert await connection.fetchval("SELECT outcome FROM kr_task_stat WHERE task_flow_id = $1", before) == "cancelled"
    assert await connection.fetchval("SELECT count(*) FROM flower_flows WHERE schedule = 'cancel' AND status = 'wait'") == 1


async def test_a_flow_that_has_failed_holds_only_who_wants_to_be_held(connection: Connection, busy: Schedules) -> None:
    for name in ("skip", "queue", "hold"):
        await connection.execute(
            "UPDATE kr_task_stat SET exec_status = 2, outcome = 'failed' WHERE task_flow_id = $1", await flow_of(connection, name)
        )
    before = {name: len(await times(connection, name)) for name in ("skip", "queue", "hold")}

    for name in before:
        await fire_once_more(connection, busy, name)

    assert {name: len(await times(connection, name)) - count for name, count in before.items()} == {"skip": 1, "queue": 1, "hold": 0}
    await connection.execute("UPDATE kr_task_stat SET exec_status = 9 WHERE task_flow_id = $1", await flow_of(connection, "hold"))
    await look(busy)
    assert len(await times(connection, "hold")) == before["hold"] + 1


async def test_flows_of_others_do_not_count(connection: Connection, schedules: Schedules) -> None:
    await connection.execute("SELECT flower_register('w')")
    await missed(connection, "hourly", HOUR, overlap="skip")

    await look(schedules)

    assert len(await times(connection, "hourly")) == 1


async def test_cancelling_waits_for_nobody_who_holds_a_row(connection: Connection, other: Connection, busy: Schedules) -> None:
    flow = await flow_of(connection, "cancel")
    async with other.transaction():
        await other.execute("SELECT FROM kr_task_stat WHERE task_flow_id = $1 FOR UPDATE", flow)
        await fire_once_more(connection, busy, "cancel")
    assert await connection.fetchval("SELECT exec_status FROM kr_task_stat WHERE task_flow_id = $1", flow) == 0

    await connection.execute("SELECT kr_sweep()")

    assert await connection.fetchval("SELECT outcome FROM kr_task_stat WHERE task_flow_id = $1", flow) == "cancelled"


# What people do.


async def test_fire_starts_a_flow_now_and_takes_no_time_away(connection: Connection, schedules: Schedules) -> None:
    await schedules.put("yearly", {"workflow": "w", "cron": "0 0 1 1 *", "priority": -5})
    await look(schedules)
    before = (await one(connection, "yearly"))["next_ts"]

    done = await schedules.fire("yearly", {"by": "anna"})

    flow = await connection.fetchrow("SELECT * FROM kr_flow_stat WHERE task_flow_id = $1", done["flowId"])
    assert flow is not None
    assert (flow["schedule"], flow["scheduled_ts"], flow["task_priority"]) == ("yearly", None, Decimal(-5))
    assert (await one(connection, "yearly"))["next_ts"] == before
    assert (await schedules.get("yearly")).in_progress == (done["flowId"],)


async def test_who_pauses_unpauses_or_fires_a_schedule_and_why_is_kept(connection: Connection, schedules: Schedules) -> None:
    await schedules.put("yearly", {"workflow": "w", "cron": "0 0 1 1 *"})
    said = {"by": "anna", "reason": "stocktaking"}

    assert await schedules.pause("yearly", said) == {"schedule": "yearly", "paused": True}
    assert await schedules.unpause("yearly", said) == {"schedule": "yearly", "paused": False}
    fired = await schedules.fire("yearly", {**said, "parameters": {"password": "s3cret"}})

    kept = [tuple(row) for row in await connection.fetch("SELECT verb, task_flow_id, who, reason, what ->> 'schedule' FROM kr_audit ORDER BY id")]
    assert fired.keys() == {"schedule", "flowId"}
    assert kept == [(verb, flow, "anna", "stocktaking", "yearly") for verb, flow in (("pause", None), ("unpause", None), ("fire", fired["flowId"]))]
    assert not await connection.fetchval("SELECT EXISTS (SELECT FROM kr_audit a WHERE a::text LIKE '%s3cret%')")


async def test_a_span_means_in_sql_what_it_means_in_python(connection: Connection) -> None:
    for text in (
        "1s",
        "90s",
        "1.5m",
        "2h",
        "1d",
        "3650d",
        "3650.5d",
        "0s",
        "0.5s",
        "15",
        "1w",
        "1 hour",
        "01:00:00",
        "1 month",
        " 1h",
        "1h ",
        "-1m",
        "",
        "9" * 50 + "d",
    ):
        try:
            expected: timedelta | str = read_every(text)
        except ValueError:
            expected = "FL422"
        try:
            found = await connection.fetchval("SELECT kr_every(to_jsonb($1::text))", text)
        except asyncpg.PostgresError as error:
            found = error.sqlstate
        assert found == expected, text


async def test_backfill_makes_what_lacks_and_nothing_twice(connection: Connection, schedules: Schedules) -> None:
    first = await missed(connection, "hourly", 5 * HOUR, overlap="skip")
    await look(schedules)
    (last,) = await times(connection, "hourly")
    wanted = hours(first, 5)

    planned = await schedules.backfill("hourly", wanted, dry_run=True)
    assert planned == Backfilled("hourly", tuple(at for at in wanted if at != last), made=0, there=1, is_planned=True)
    assert await times(connection, "hourly") == [last]

    made = await schedules.backfill("hourly", wanted), await schedules.backfill("hourly", wanted)

    assert made == (Backfilled("hourly", planned.times, made=4, there=1), Backfilled("hourly", (), made=0, there=5))
    assert await times(connection, "hourly") == wanted


@pytest.mark.parametrize(
    ("options", "paths"),
    [
        ({}, {"workflow", "cron"}),
        ({"workflow": "w"}, {"cron"}),
        ({"workflow": "w", "cron": "* * * * *", "every": 5}, {"cron"}),
        ({"workflow": "w", "cron": "0 0 2 * * *"}, {"cron"}),
        ({"workflow": "w", "cron": "* * * *"}, {"cron"}),
        ({"workflow": "w", "cron": 5}, {"cron"}),
        ({"workflow": "w", "every": 0}, {"every"}),
        ({"workflow": "w", "every": "soon"}, {"every"}),
        ({"workflow": "w", "every": "1 month"}, {"every"}),
        ({"workflow": "w", "every": [1]}, {"every"}),
        ({"workflow": "w", "every": 5, "zone": "UTC"}, {"zone"}),
        ({"workflow": "w", "cron": "* * * * *", "zone": "Mars/Olympus"}, {"zone"}),
        ({"workflow": "w", "every": 5, "catchUp": "some", "overlap": "some", "onFailure": "some"}, {"catchUp", "overlap", "onFailure"}),
        ({"workflow": "w", "every": 5, "catchUpMost": 0}, {"catchUpMost"}),
        ({"workflow": "w", "every": 5, "priority": 20}, {"priority"}),
        ({"workflow": "w", "every": 5, "parameters": []}, {"parameters"}),
        ({"workflow": "w", "every": 5, "often": True}, {"often"}),
        ({"workflow": "nix", "every": 5}, {"workflow"}),
    ],
)
async def test_options_that_make_no_sense_are_refused_by_name(
    connection: Connection, schedules: Schedules, options: dict[str, object], paths: set[str]
) -> None:
    with pytest.raises(Invalid) as refused:
        await schedules.put("x", options)

    assert {error.path for error in refused.value.errors} == paths
    assert await connection.fetchval("SELECT count(*) FROM ms_schedule") == 0


async def test_parameters_are_held_against_the_workflow_as_at_registration(connection: Connection, schedules: Schedules) -> None:
    await connection.execute("INSERT INTO ms_workflow (task_id) VALUES ('w') ON CONFLICT DO NOTHING")
    await connection.execute("""UPDATE ms_workflow SET takes = '{"day": {"schema": {"type": "string"}}}' WHERE task_id = 'w'""")
    for parameters in ({}, {"day": "monday", "hour": 5}, {"day": 5}):
        with pytest.raises(Invalid):
            await schedules.put("x", {"workflow": "w", "every": 5, "parameters": parameters})

    await schedules.put("x", {"workflow": "w", "every": 5, "parameters": {"day": "monday"}})

    assert await connection.fetchval("SELECT count(*) FROM kr_flow_stat") == 0


async def test_a_schedule_in_place_of_another_stays_paused(connection: Connection, schedules: Schedules) -> None:
    assert (await schedules.put("x", {"workflow": "w", "every": "15m"}))["became"] == "added"
    await schedules.pause("x", {"reason": "not now"})

    assert (await schedules.put("x", {"workflow": "w", "cron": "0 0 * * *"}))["became"] == "changed"

    found = await schedules.get("x")
    assert (found.paused, found.reason, found.cron, found.every) == (True, "not now", "0 0 * * *", None)


async def test_verbs_on_what_is_not_there_name_what_is(schedules: Schedules) -> None:
    await schedules.put("nightly", {"workflow": "w", "every": 3600})
    for verb in (schedules.pause, schedules.unpause, schedules.fire):
        with pytest.raises(UnknownSchedule, match="nightly"):
            await verb("nigthly", {})
    with pytest.raises(UnknownSchedule):
        await schedules.remove("nigthly")
    with pytest.raises(UnknownSchedule):
        await schedules.backfill("nigthly", [datetime.now(UTC)])


async def test_a_verb_waits_no_longer_than_a_second_for_somebody_else(connection: Connection, other: Connection, schedules: Schedules) -> None:
    await schedules.put("x", {"workflow": "w", "every": 3600})
    async with other.transaction():
        await other.execute("SELECT FROM ms_schedule FOR UPDATE")
        with pytest.raises(NotNow, match="somebody else"):
            await schedules.pause("x", {})


async def test_what_code_says_wins_when_it_changes_and_an_operators_pause_stays(connection: Connection, schedules: Schedules) -> None:
    def at(hour: int) -> Cron:
        return Cron(f"0 {hour} * * *")

    became = [await schedules.declare("w", at(2)), await schedules.declare("w", at(2))]
    await schedules.pause("w", {})
    await connection.execute("UPDATE ms_schedule SET cron = '0 5 * * *'")
    became.append(await schedules.declare("w", at(2)))  # the same code again: the operator's hour stays
    assert (await schedules.get("w")).cron == "0 5 * * *"
    became.append(await schedules.declare("w", at(3)))

    found = await schedules.get("w")
    assert became == ["written", "current", "current", "written"]
    assert (found.cron, found.paused, found.by_code) == ("0 3 * * *", True, True)
    assert [await schedules.declare("w", None), await schedules.declare("w", None)] == ["removed", "none"]


async def test_a_schedule_that_no_code_has_written_is_left_alone_by_code(schedules: Schedules) -> None:
    await schedules.put("w", {"workflow": "w", "every": 3600})

    assert [await schedules.declare("w", Every("1s")), await schedules.declare("w", None)] == ["edited", "none"]
    assert (await schedules.get("w")).every == HOUR


async def test_a_task_is_told_the_time_that_its_flow_is_for(connection: Connection, schedules: Schedules, engine: Engine) -> None:
    first = await missed(connection, "hourly", HOUR)
    await look(schedules)
    await connection.execute("SELECT flower_register('w')")

    claims = await engine.claim()

    assert sorted((claim.scheduled_for for claim in claims), key=str) == [first, None]


async def test_the_views_name_schedule_and_time(connection: Connection, schedules: Schedules) -> None:
    first = await missed(connection, "hourly", HOUR)
    await look(schedules)

    (flow,) = await schedules.flows("hourly")

    assert (flow.schedule, flow.scheduled_for) == ("hourly", first)


async def test_removing_one_drops_what_waits_and_leaves_its_flows(connection: Connection, busy: Schedules) -> None:
    await fire_once_more(connection, busy, "queue")

    await busy.remove("queue")

    assert await connection.fetchval("SELECT count(*) FROM kr_schedule_turn WHERE schedule = 'queue'") == 0
    assert len(await times(connection, "queue")) == 1


async def test_a_role_that_may_only_write_schedules_needs_no_other_right(connection: Connection, schedules: Schedules) -> None:
    await connection.execute("DROP ROLE IF EXISTS flower_test_clerk")
    await connection.execute("CREATE ROLE flower_test_clerk")
    try:
        await connection.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON ms_schedule TO flower_test_clerk")
        async with connection.transaction():
            await connection.execute("SET LOCAL ROLE flower_test_clerk")
            await connection.execute("INSERT INTO ms_schedule (name, task_id, every) VALUES ('x', 'w', '1 h')")
            await connection.execute("UPDATE ms_schedule SET every = '2 h'")
            await connection.execute("DELETE FROM ms_schedule")
    finally:
        await connection.execute("DROP OWNED BY flower_test_clerk; DROP ROLE flower_test_clerk")


async def test_the_looks_use_their_index_on_ten_thousand_schedules(connection: Connection) -> None:
    from flower.database.queries import query

    await connection.execute("""
        INSERT INTO ms_schedule (name, task_id, every, next_ts) SELECT 's' || n, 'w', '1 day', clock_timestamp() + n * interval '1 minute' FROM generate_series(1, 10000) n
    """)
    await connection.execute("ANALYZE ms_schedule")
    for statement, values in ((query("due_schedules"), ["200"]), (query("next_schedule"), [])):
        plan_ = await explained(connection, statement, values)
        assert "Seq Scan on ms_schedule" not in plan_, plan_
        assert "ms_schedule_due" in plan_, plan_


async def explained(connection: Connection, statement: str, values: Sequence[str]) -> str:
    await connection.execute(f"PREPARE looked AS {statement}")
    given = f"({', '.join(values)})" if values else ""
    lines = await connection.fetch(f"EXPLAIN EXECUTE looked{given}")
    await connection.execute("DEALLOCATE looked")
    return "\n".join(row[0] for row in lines)
