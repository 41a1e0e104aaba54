"""Who goes first: the lower number over all workflows, and whoever has waited for four hours per point."""

from __future__ import annotations

from decimal import Decimal

from flower.core.model import Claim
from flower.database.pool import Connection
from tests.sql.engine import Engine, define, write

DAY, HOUR = 24, 1


async def start(connection: Connection, workflow: str, flow: str, priority: int, *, hours_ago: float = 0, count: int = 1) -> None:
    """Have *count* tasks of a flow wait since *hours_ago*."""
    await connection.execute(
        """INSERT INTO kr_task_stat (task_flow_id, task_exec_seq, depends_task_exec_seq, task_id, task_seq, exec_status, parameters, program, task_priority, registered_ts)
            SELECT $2, g, -1, $1, 1, 0, '{}', 'Ok', $3, clock_timestamp() - make_interval(secs => 3600 * $4::float8 - g * 0.001) FROM generate_series(1, $5::integer) g""",
        workflow, flow, Decimal(priority), hours_ago, count,
    )  # fmt: skip


def flows(claims: list[Claim]) -> list[str]:
    return [claim.flow_id for claim in claims]


async def test_the_lower_number_goes_first_whatever_the_workflow_and_whoever_came_first_among_equals(engine: Engine, connection: Connection) -> None:
    await define(connection, "slow", {"task_priority": 7})
    await define(connection, "quick", {"task_priority": -7})
    by_definition = [await connection.fetchval("SELECT flower_register($1)", workflow) for workflow in ("slow", "quick")]
    told = [await connection.fetchval("SELECT flower_register('slow', '{}', $1)", f'{{"priority": {n}}}') for n in (19, -20, 0, 0)]

    order = flows([(await engine.claim(1))[0] for _ in range(6)])

    assert order == [told[1], by_definition[1], told[2], told[3], by_definition[0], told[0]]


async def test_a_flow_of_minus_20_passes_a_backlog_of_three_days_and_not_one_of_four(engine: Engine, connection: Connection) -> None:
    await start(connection, "batch", "four days", 0, hours_ago=4 * DAY, count=3)
    await start(connection, "batch", "three days", 0, hours_ago=3 * DAY, count=1_000)
    await engine.look()
    await start(connection, "order", "urgent", -20)

    assert flows(await engine.claim(5)) == ["four days"] * 3 + ["urgent", "three days"]


async def test_a_flow_that_waits_passes_the_backlog_when_somebody_makes_it_urgent(engine: Engine, connection: Connection) -> None:
    await start(connection, "batch", "three days", 0, hours_ago=3 * DAY, count=1_000)
    await start(connection, "order", "patient", 0)
    await engine.look()

    await connection.execute("""SELECT flower_priority('patient', '{"priority": -20}')""")

    assert flows(await engine.claim(2)) == ["patient", "three days"]


async def test_a_task_of_19_under_an_endless_stream_of_minus_20_runs_when_its_ageing_says_and_not_before(
    engine: Engine, connection: Connection
) -> None:
    """39 points lie between them, each worth four hours: before those that came less than 156 hours after it, it must not go."""
    await start(connection, "modest", "modest", 19)
    for round_ in range(6):
        await start(connection, "stream", f"stream {round_}", -20, count=3)
        assert flows(await engine.claim(3)) == [f"stream {round_}"] * 3

    age = "UPDATE kr_task_stat SET registered_ts = clock_timestamp() - make_interval(hours => $1) WHERE task_flow_id = 'modest'"
    await connection.execute(age, 39 * 4 * HOUR - 1)
    await start(connection, "stream", "before", -20, count=3)
    assert flows(await engine.claim(3)) == ["before"] * 3

    await connection.execute(age, 39 * 4 * HOUR + 1)
    await start(connection, "stream", "after", -20, count=3)
    assert flows(await engine.claim(3)) == ["modest", "after", "after"]


async def test_tasks_of_one_flow_that_are_made_urgent_by_hand_pass_those_of_others_that_wait(engine: Engine, connection: Connection) -> None:
    await start(connection, "batch", "batch", 0, count=100)
    await write(connection, "mine", 1)
    await write(connection, "mine", 2)
    await engine.look()
    assert flows(await engine.claim(1)) == ["batch"]

    await connection.execute("UPDATE kr_task_stat SET task_priority = -1 WHERE task_flow_id = 'mine' AND exec_status = 0")

    assert flows(await engine.claim(3)) == ["mine", "mine", "batch"]
