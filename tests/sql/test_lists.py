"""Lists of flows: whatever the filter and however little a part looks at, all that fit come, each once, the newest first."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest

from flower.core.masks import mask
from flower.core.model import Page
from flower.database.pool import Connection, Pool
from flower.database.store.flows import Flows

MORNING = datetime(2026, 11, 24, 8, 30, tzinfo=UTC)
PATIENT = timedelta(minutes=1)

# The gate of an open task; the last two are what nothing will ever release.
OPEN = ((0, "slot"), (0, "time"), (0, "pause"), (0, "program"), (0, "limit"), (0, None))
OTHERS = ((1, None), (2, None), (3, None), (3, None), (3, None), (9, None))
UNHEARD = ((0, "dependencies"), (7, None))
OUTCOMES = {2: ("failed", "approval", "poison", "invalid", None), 9: ("skipped", "cancelled", "condition")}
VALUES: tuple[Any, ...] = (1, "Blau", "blau%", 'say "Hi"', "ÜBER", {"deep": ["Rot"]}, {"api_key": "Rot"}, '{"password": "rot"}', None)
TEXTS = ("blau", "BLAU%", "%", "_", 'y "hi', "ÜBER", "rot", "nothing", "f-", "f-1", "F-1", "f-12", "f", "flow", '": 1')


@dataclass(frozen=True)
class Row:
    flow_id: str
    workflow: str
    at: datetime
    tasks: list[tuple[int, str | None, str | None]]
    said: list[Any]
    status: str = field(default="")

    def fits(self, wanted: dict[str, Any]) -> bool:
        """Say it again, as naively as can be."""
        status, outcome = wanted.get("status"), wanted.get("outcome")
        return (
            (status is None or self.status == status)
            and (outcome is None or any(why == outcome for _, _, why in self.tasks))
            and wanted.get("workflow") in {None, self.workflow}
            and self.at >= wanted.get("since", self.at)
            and self.at < wanted.get("until", datetime.max.replace(tzinfo=UTC))
            and self.has(wanted.get("text"))
        )

    def has(self, text: str | None) -> bool:
        if text is None or text.lower() in self.flow_id.lower():
            return True
        escaped = json.dumps(text, ensure_ascii=False)[1:-1].lower()
        return any(wanted in json.dumps(mask(value), ensure_ascii=False).lower() for wanted in (text.lower(), escaped) for value in self.said)


def made_up(random: Random, count: int, states: tuple[tuple[int, str | None], ...]) -> list[Row]:
    rows = []
    for number in range(count):
        tasks = []
        for state, gate in random.choices(states, k=random.randint(1, 4)):
            tasks.append((state, gate, random.choice(OUTCOMES[state]) if state in OUTCOMES else None))
        has = {state for state, _, _ in tasks}
        status = next((word for state, word in ((2, "suspend"), (1, "running"), (0, "wait"), (7, "wait")) if state in has), None)
        status = status or ("ignore" if any(why == "cancelled" for _, _, why in tasks) else "finish")
        at = MORNING + timedelta(seconds=random.randint(0, count // 2))
        rows.append(Row(f"f-{number}", random.choice(("one", "two")), at, tasks, [{"x": random.choice(VALUES)} for _ in range(3)], status))
    return rows


async def written(connection: Connection, rows: list[Row]) -> None:
    """Write *rows* as they are, without triggers: parameters of the flow, of its last task, and the error of its first."""
    async with connection.transaction():
        await connection.execute("SET LOCAL session_replication_role = replica; TRUNCATE kr_flow_stat, kr_task_stat")
        await connection.executemany(
            "INSERT INTO kr_flow_stat (task_flow_id, task_id, registered_ts, parameters) VALUES ($1, $2, $3, $4::jsonb)",
            [(row.flow_id, row.workflow, row.at, json.dumps(row.said[0])) for row in rows],
        )
        await connection.executemany(
            """INSERT INTO kr_task_stat (task_flow_id, task_exec_seq, depends_task_exec_seq, task_id, task_seq, exec_status, gate, outcome, parameters, error)
               VALUES ($1, $2, -1, $3, $2, $4, $5, $6, $7::jsonb::json, $8::jsonb)""",
            [
                (
                    row.flow_id,
                    seq,
                    row.workflow,
                    *task,
                    json.dumps(row.said[1] if seq == len(row.tasks) else {}),
                    json.dumps(row.said[2]) if seq == 1 else None,
                )
                for row in rows
                for seq, task in enumerate(row.tasks, 1)
            ],
        )


async def parts(flows: Flows, wanted: dict[str, Any], limit: int) -> AsyncIterator[Page]:
    after = None
    while True:
        page = await flows.list(**wanted, limit=limit, after=after)
        yield page
        if page.next is None:
            return
        after = page.next


def wishes(random: Random) -> dict[str, Any]:
    """Return a filter of up to three things."""
    choices: dict[str, Any] = {
        "status": random.choice(("wait", "running", "suspend", "finish", "ignore")),
        "outcome": random.choice(("failed", "approval", "invalid", "skipped", "cancelled")),
        "workflow": random.choice(("one", "two", "three")),
        "text": random.choice(TEXTS),
        "since": MORNING + timedelta(seconds=random.randint(0, 20)),
        "until": MORNING + timedelta(seconds=random.randint(0, 20)),
    }
    return {name: choices[name] for name in random.sample(sorted(choices), k=random.choice((0, 1, 1, 2, 2, 3)))}


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("most", "states"), [(1, OPEN + OTHERS + UNHEARD), (4, OPEN + OTHERS + UNHEARD), (10_000, OPEN + OTHERS)])
async def test_whatever_the_filter_and_the_bound_all_that_fit_come_each_once(pool: Pool, connection: Connection, most: int, states: Any) -> None:
    random = Random(20)
    for _ in range(5):
        rows = made_up(random, 60, states)
        await written(connection, rows)
        for _ in range(40):
            wanted, limit = wishes(random), random.choice((1, 3, 50))

            found = [page async for page in parts(Flows(pool, most_flows=most, patience=PATIENT), wanted, limit)]

            ids = [flow.flow_id for page in found for flow in page.items]
            fitting = sorted((row for row in rows if row.fits(wanted)), key=lambda row: (row.at, row.flow_id), reverse=True)
            assert sorted(ids) == sorted(row.flow_id for row in fitting), (wanted, limit)
            named = [row.flow_id for row in fitting if row.flow_id.startswith(wanted.get("text", "x").lower())]
            first = named if ids[: len(named)] == named else []  # those whose id the text begins, if they are not too many
            assert ids == first + [row.flow_id for row in fitting if row.flow_id not in first], (wanted, limit)
            assert all(len(page.items) <= limit for page in found)
            assert all(page.next is not None for page in found if page.searched_to is not None)


async def test_a_part_stops_where_its_bound_is_and_says_how_far_it_looked(pool: Pool, connection: Connection) -> None:
    rows = [Row(f"f-{n}", "one", MORNING + timedelta(seconds=n), [(3, None, None)], [None] * 3) for n in range(10)]
    await written(connection, rows)

    found = [page async for page in parts(Flows(pool, most_flows=4, patience=PATIENT), {"text": "nothing"}, 50)]

    assert [len(page.items) for page in found] == [0, 0, 0]
    assert [page.searched_to for page in found] == [MORNING + timedelta(seconds=6), MORNING + timedelta(seconds=2), None]


async def test_a_part_stops_when_its_time_is_up(pool: Pool, connection: Connection) -> None:
    await written(connection, [Row(f"f-{n}", "one", MORNING + timedelta(seconds=n), [(3, None, None)], [None] * 3) for n in range(100)])

    found = [page async for page in parts(Flows(pool, patience=timedelta(0)), {"status": "ignore"}, 50)]

    assert len(found) > 2


@pytest.mark.parametrize(
    "task",
    [
        (0, "slot", None),
        (0, "time", None),
        (0, "pause", None),
        (0, "program", None),
        (0, "limit", None),
        (0, None, None),
        (1, None, None),
        (2, None, "failed"),
    ],
)
async def test_few_in_a_state_are_found_at_once_behind_all_others(
    pool: Pool, connection: Connection, task: tuple[int, str | None, str | None]
) -> None:
    status = {0: "wait", 1: "running", 2: "failed"}[task[0]]
    rows = [Row(f"f-{n}", "one", MORNING + timedelta(seconds=n), [(3, None, None)], [None] * 3) for n in range(1, 100)]
    await written(connection, [Row("f-0", "one", MORNING, [(0, "dependencies", None), task], [None] * 3), *rows])

    page = await Flows(pool, most_flows=10).list(status=status)

    assert ([flow.flow_id for flow in page.items], page.next) == (["f-0"], None)


@pytest.mark.parametrize("text", ["0199A", "0199a", "0199a-4711"])
async def test_a_flow_is_found_at_once_by_the_beginning_of_its_id(pool: Pool, connection: Connection, text: str) -> None:
    rows = [Row(f"0200-{n}", "one", MORNING + timedelta(seconds=n), [(3, None, None)], [None] * 3) for n in range(1, 100)]
    await written(connection, [Row("0199a-4711", "one", MORNING, [(3, None, None)], [None] * 3), *rows])

    page = await Flows(pool, most_flows=10).list(text=text, limit=1)

    assert [flow.flow_id for flow in page.items] == ["0199a-4711"]


async def test_a_whole_id_is_found_at_once_even_where_many_others_begin_with_it(pool: Pool, connection: Connection) -> None:
    rows = [Row(f"order{n}", "one", MORNING + timedelta(seconds=n), [(3, None, None)], [None] * 3) for n in range(1, 100)]
    await written(connection, [Row("order", "one", MORNING, [(3, None, None)], [None] * 3), *rows])

    page = await Flows(pool, most_flows=10).list(text="order", limit=3)

    assert [flow.flow_id for flow in page.items] == ["order", "order99", "order98"]


@pytest.mark.parametrize(
    ("said", "text", "found"),
    [
        ('{"password": "hunter"}', "hunter", False),
        ('{"a": [{"API-Key": {"b": "hunter"}}]}', "hunter", False),
        ('{"a": "{\\"token\\": \\"hunter\\"}"}', "hunter", False),
        (r'{"\u0070assword": "hunter"}', "hunter", False),
        ('{"password": "x", "animal": "hunter"}', "hunter", True),
        ('{"secret_of": "hunter"}', "hunter", True),
        ('{"a": "the password of the hunter"}', "hunter", True),
        (r'{"a": "\u0000 hunter"}', "hunter", False),
        ('{"a": 1e400000, "token": "hunter"}', "hunter", False),
        ("[" * 7000 + '{"token": "hunter"}' + "]" * 7000, "hunter", False),
    ],
)
async def test_what_is_hidden_cannot_be_guessed_by_searching(pool: Pool, connection: Connection, said: str, text: str, found: bool) -> None:
    await written(connection, [Row("f", "one", MORNING, [(3, None, None)], [None] * 3)])
    await connection.execute("ALTER TABLE kr_task_stat DISABLE TRIGGER USER")
    await connection.execute("UPDATE kr_task_stat SET parameters = $1::json", said)

    assert bool((await Flows(pool).list(text=text)).items) is found
