"""Tasks of one flow, found one by one and listed in brief."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal

import pytest

from flower.core.errors import Invalid, UnknownTask
from flower.core.model import Outcome
from flower.core.status import Status
from flower.database.pool import Connection, Pool
from flower.database.store import Store
from tests.sql.drawn import Drawn, draw
from tests.sql.engine import Engine, define, write


@pytest.mark.parametrize(("step", "seq"), [("2", 2), ("2.0", 2), ("1.5", "1.5"), ("Ok", 1), ("7", 3), ("NaN", "NaN"), ("Infinity", 4), ("a/b 花", 5)])
async def test_a_task_is_found_by_its_seq_else_as_the_first_of_its_name(connection: Connection, pool: Pool, step: str, seq: object) -> None:
    for written, name in ((1, None), ("1.5", None), (2, "Ok"), (3, "7"), ("NaN", "x"), (4, "Infinity"), (5, "a/b 花"), (6, "2")):
        await write(connection, "f", written, name=name)

    found = await Store(pool).tasks.find("f", step)

    assert str(found.seq) == str(seq)
    assert repr(found) in map(repr, await Store(pool).flows.tasks("f"))  # NaN is not itself


async def test_of_a_task_with_many_parents_as_many_as_wanted_are_named(connection: Connection, pool: Pool) -> None:
    await draw(connection, "f", [Drawn(n) for n in range(1, 50)], [(n, 49) for n in range(1, 49)])

    assert (await Store(pool).tasks.find("f", "49")).depends_on == tuple(range(1, 49))
    assert (await Store(pool).tasks.find("f", "49", parents=3)).depends_on == (1, 2, 3)


@pytest.mark.parametrize("step", ["fetsh", "sNaN", "1e999999999", "-1e-999999999", "", "9" * 5000])
async def test_what_no_task_is_called_is_refused_with_near_names(connection: Connection, pool: Pool, step: str) -> None:
    await draw(connection, "f", [Drawn(n, name=f"load-{n}") for n in range(2, 1000)] + [Drawn(1, name="fetch")])

    with pytest.raises(UnknownTask) as refused:
        await Store(pool).tasks.find("f", step)

    assert refused.value.near == (("fetch",) if step == "fetsh" else ())


async def test_earlier_attempts_come_the_latest_first(connection: Connection, pool: Pool, engine: Engine) -> None:
    await define(connection, "w", {"attempts": 3})
    flow = await connection.fetchval("SELECT flower_register('w')")
    for _ in range(2):
        await engine.fail(await engine.one(), retry_after=0)
    await engine.fail(await engine.one())
    await connection.execute("SELECT flower_rerun($1)", flow)

    attempts = await Store(pool).tasks.attempts(flow, Decimal(1))

    assert [(item.number, item.status, item.outcome, item.error["type"], item.worker) for item in attempts] == [
        (3, "suspend", "failed", "ValueError", None),
        (2, "wait", "failed", "ValueError", engine.worker_id),
        (1, "wait", "failed", "ValueError", engine.worker_id),
    ]
    assert len(await Store(pool).tasks.attempts(flow, Decimal(1), limit=2)) == 2


async def test_tasks_come_in_brief_and_in_parts(connection: Connection, pool: Pool) -> None:
    states = {0: None, 1: None, 2: "failed", 3: None, 9: "skipped", 7: None}
    await draw(connection, "f", [Drawn(n, status=status, outcome=states[status]) for n, status in enumerate([*states] * 10, 1)])
    tasks = Store(pool).tasks

    part = await tasks.rows("f", limit=50)
    rest = await tasks.rows("f", limit=50, after=part.next)

    assert [int(row.seq) for row in part.items + rest.items] == list(range(1, 61))
    assert (part.next, rest.next) == (50, None)
    assert [row.status for row in part.items[:6]] == ["wait", "running", "suspend", "finish", "ignore", "7"]
    for word, count in {"wait": 20, "running": 10, "suspend": 10, "failed": 10, "approval": 0, "finish": 10, "ignore": 10, "skipped": 10}.items():
        found = (await tasks.rows("f", status=word)).items
        assert len(found) == count, word
        assert {word} & {found[0].status, found[0].outcome} if found else not count
    assert [int(row.seq) for row in (await tasks.rows("f", status="failed", after=Decimal(10), limit=2)).items] == [15, 21]
    assert [int(row.seq) for row in (await tasks.rows("f", begin=Decimal(15), limit=2)).items] == [15, 16]
    assert [int(row.seq) for row in (await tasks.rows("f", begin=Decimal(15), status="failed", limit=2)).items] == [15, 21]
    with pytest.raises(Invalid, match="'broken' is none of wait"):
        await tasks.rows("f", status="broken")


async def test_an_error_in_brief_is_short_and_hides_secrets(connection: Connection, pool: Pool) -> None:
    errors = [
        {"type": "E", "message": "x" * 500},
        {"type": "E", "message": json.dumps({"note": "y" * 9000, "token": "canary"})},
        {"type": "E"},
        "odd",
        {"message": "m"},
    ]
    for seq, error in enumerate(errors, 1):
        await write(connection, "f", seq, status=2, error=json.dumps(error))

    shown = [row.error for row in (await Store(pool).tasks.rows("f")).items]

    assert shown[0] == "E: " + "x" * 196 + "…"
    assert shown[1] is not None
    assert shown[1].startswith('E: {"note": "yyy')
    assert shown[2:] == ["E", None, "m"]


async def test_a_row_says_what_it_takes_to_draw_its_past(connection: Connection, pool: Pool, engine: Engine) -> None:
    await define(connection, "w", {"limits": ["api"]}, {"attempts": 2, "depends_on": []}, {"depends_on": [1, 2]})
    flow = await connection.fetchval("SELECT flower_register('w')")
    first, second = await engine.claim()
    await engine.turn([Outcome(first, Status.FINISH, value="null")])
    await engine.fail(second, retry_after=0)
    await engine.finish(await engine.one())
    await engine.one()
    store = Store(pool)

    rows = (await store.tasks.rows(flow)).items
    pasts = {past.seq: past for past in await store.tasks.pasts(flow, [row.seq for row in rows])}

    assert [(row.limited, row.attempts) for row in rows] == [(True, 1), (False, 2), (False, 1)]
    assert pasts[Decimal(1)].parents_ended_at is None
    assert pasts[Decimal(3)].parents_ended_at == rows[1].finished_at
    ((began, ended),) = pasts[Decimal(2)].attempts
    assert rows[1].started_at is not None
    assert timedelta(0) <= ended - began
    assert ended <= rows[1].started_at
