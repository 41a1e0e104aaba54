"""`@workflow(schedule=…)`: what code says, and what becomes of it in the database."""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from flower import Cron, Every, workflow
from flower.app import _Process
from flower.core.errors import ModuleProblem
from flower.core.settings import Settings
from flower.database.pool import Connection, Pool
from flower.sdk.modules import load
from flower.sdk.registry import REGISTRY, Registry
from flower.testing.app import App

EXAMPLE = Path(__file__).parents[2] / "examples" / "scheduled.py"


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(sys, "path", [*sys.path])
    load([str(EXAMPLE)])
    return {found.name: found for found in REGISTRY.workflows() if found.place.startswith(str(EXAMPLE))}


def with_workflows(*workflows: Any) -> Registry:
    registry = Registry()
    for found in workflows:
        registry.add_workflow(found)
    return registry


def test_only_a_timetable_is_a_schedule() -> None:
    def never() -> None: ...

    for odd in ("30 2 * * *", 5, timedelta(hours=1), Cron):
        with pytest.raises(ModuleProblem, match=r'Cron\("30 2'):
            workflow(schedule=odd)(never)  # type: ignore[call-overload]


async def test_the_example_is_written_when_it_is_served_and_removed_when_code_says_no_more(
    example: Any, pool: Pool, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = _Process(Settings.model_construct(), pool, with_workflows(*example.values()))
    await process._define()

    rows = await connection.fetch("SELECT name, task_id, cron, every, zone, parameters::text, overlap FROM ms_schedule ORDER BY 1")
    assert [tuple(row) for row in rows] == [
        ("nightly_sales", "nightly_sales", "30 2 * * *", None, "Europe/Paris", '{"shop": "Lyon"}', "queue"),
        ("pulse", "pulse", None, timedelta(seconds=10), "UTC", "{}", "skip"),
    ]

    monkeypatch.setattr(example["pulse"], "schedule", None)
    monkeypatch.setattr(example["nightly_sales"], "schedule", Every("1d", parameters={"shop": "Nice"}))
    await process._define()

    (row,) = await connection.fetch("SELECT name, every, cron, parameters::text FROM ms_schedule")
    assert tuple(row) == ("nightly_sales", timedelta(days=1), None, '{"shop": "Nice"}')


async def test_a_test_that_runs_a_workflow_writes_no_schedule_and_has_no_time(example: Any, connection: Connection, database_url: str) -> None:
    ran = await App(database_url, "public").run(example["pulse"])

    assert (ran.result, await connection.fetchval("SELECT count(*) FROM ms_schedule")) == ("by hand", 0)
