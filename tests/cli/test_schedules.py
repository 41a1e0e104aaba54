"""`schedule` as somebody types it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from typer.testing import CliRunner

from flower.cli import app
from flower.core.errors import UsageError
from flower.database.pool import Connection
from tests.sql.engine import define


@pytest.fixture
async def url(connection: Connection, database_url: str) -> str:
    await define(connection, "w", {})
    return database_url


def said(runner: CliRunner, *words: str, status: int = 0) -> str:
    answer = runner.invoke(app, ["schedule", *words])
    assert answer.exit_code == status or (status == 1 and isinstance(answer.exception, UsageError)), answer.output
    return answer.output + str(answer.exception or "")


def as_json(runner: CliRunner, *words: str) -> Any:
    answer = runner.invoke(app, ["schedule", *words, "--json"])
    assert answer.exit_code == 0, answer.output
    return json.loads(answer.stdout)


def test_a_schedule_from_its_first_day_to_its_last(runner: CliRunner, url: str) -> None:
    on = ("--database", url)
    told = said(runner, "add", "nightly", "--workflow", "w", "--cron", "30 2 * * *", "--zone", "Europe/Paris", *on)
    assert "nightly is added; it starts w, next" in told
    assert "02:30:00 CE" in told
    assert "No worker is alive" in told
    assert "nightly is changed" in said(runner, "add", "nightly", "--workflow", "w", "--cron", "30 3 * * *", "--zone", "Europe/Paris", *on)
    said(runner, "add", "pulse", "--workflow", "w", "--every", "15m", "--overlap", "skip", *on)

    assert [item["schedule"] for item in as_json(runner, "list", *on)["items"]] == ["nightly", "pulse"]
    assert "every 15 min" in said(runner, "list", *on)
    shown = said(runner, "show", "nightly", *on)
    assert shown.count("03:30:00") == 5
    assert "no worker is alive" in shown

    assert "makes nothing until" in said(runner, "pause", "nightly", "--reason", "holidays", *on)
    assert "it is paused: holidays" in said(runner, "show", "nightly", *on)
    assert "goes on" in said(runner, "unpause", "nightly", *on)
    flow = said(runner, "fire", "nightly", *on).strip()
    assert flow in said(runner, "show", "nightly", *on)
    assert "is removed" in said(runner, "remove", "pulse", *on)
    assert "did you mean nightly" in said(runner, "show", "nigthly", *on, status=1)


def test_backfill_says_what_lacks_makes_it_and_makes_nothing_twice(runner: CliRunner, url: str) -> None:
    on = ("--database", url)
    said(runner, "add", "hourly", "--workflow", "w", "--cron", "0 * * * *", *on)
    span = ("--from", "2026-01-01T00:00:00Z", "--to", "2026-01-10T23:30:00Z")

    assert "would make 240 flows; 0 times had one before" in said(runner, "backfill", "hourly", *span, "--dry-run", *on)
    assert "240 flows made; 0 times had one before" in said(runner, "backfill", "hourly", *span, *on)
    assert as_json(runner, "backfill", "hourly", *span, *on) == {"schedule": "hourly", "times": [], "made": 0, "there": 240}
    assert "future" in said(runner, "backfill", "hourly", "--from", "-1h", "--to", "+1h", *on, status=2)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--cron", "0 0 31 2 *"], "never fires"),
        (["--cron", "0 0 0 1 1 *"], "six fields"),
        (["--cron", "0 0 *"], "five fields"),
        (["--cron", "0 0 * * *", "--zone", "europe/paris"], "Europe/Paris"),
        (["--every", "0"], "15m"),
        (["--every", "0s"], "at least a second"),
        (["--every", "1h", "--cron", "0 0 * * *"], "one of them"),
        (["--every", "1h", "--zone", "UTC"], "counts in UTC"),
        ([], "one of them"),
    ],
)
def test_what_makes_no_sense_is_wrong_usage(runner: CliRunner, url: str, words: list[str], told: str) -> None:
    answer = said(runner, "add", "x", "--workflow", "w", *words, "--database", url, status=2)

    assert told in " ".join(answer.replace("│", " ").split())


def test_what_the_database_refuses_is_said_with_what_would_do(runner: CliRunner, url: str) -> None:
    assert "did you mean hello" in said(runner, "add", "x", "--workflow", "hellp", "--every", "1h", "--database", url, status=1)
    assert "1 to 256 characters" in said(runner, "add", "x" * 300, "--workflow", "w", "--every", "1h", "--database", url, status=1)
    assert "skip, queue or cancel" in said(runner, "add", "x", "--workflow", "w", "--every", "1h", "--overlap", "no", "--database", url, status=1)


def test_preview_needs_no_database(runner: CliRunner) -> None:
    shown = said(runner, "preview", "30 2 * * *", "--zone", "Europe/Paris")

    assert shown.count("02:30:00 CE") == 5
    assert len(as_json(runner, "preview", "15m", "--count", "3")["upcoming"]) == 3
    assert "never fires" in said(runner, "preview", "0 0 30 2 *", status=2)


async def test_doctor_tells_of_one_that_has_stopped_itself(runner: CliRunner, connection: Connection, url: str) -> None:
    await connection.execute("INSERT INTO ms_schedule (name, task_id, every, error) VALUES ('odd', 'gone', '1 s', 'the workflow is gone')")
    from asyncio import to_thread

    answer = await to_thread(runner.invoke, app, ["doctor", "--database", url])

    assert "odd: the workflow is gone" in answer.output
    assert answer.exit_code == 1
