"""The command `start`: one flow of a key at a time, and times that have passed."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner, Result

from flower.cli import app
from flower.database.pool import Connection


@pytest.fixture
async def url(connection: Connection, database_url: str) -> str:
    await connection.execute("INSERT INTO ms_task_definition (task_id, task_seq, program) VALUES ('one', 1, 'Ok')")
    return database_url


def start(runner: CliRunner, url: str, *options: str) -> Result:
    return runner.invoke(app, ["start", "one", *options, "--database", url])


def test_a_second_start_with_a_unique_key_is_skipped_and_says_so_and_one_may_queue_instead(runner: CliRunner, url: str) -> None:
    first = start(runner, url, "--unique", "k")
    again = start(runner, url, "--unique", "k")
    said = json.loads(start(runner, url, "--unique", "k", "--json").stdout)
    queued = start(runner, url, "--unique", "k", "--unique-policy", "queue")

    assert first.stdout == again.stdout != queued.stdout
    assert "nothing is started" in again.stderr
    assert (said["taskFlowId"], said["skipped"]) == (first.stdout.strip(), True)


def test_a_policy_without_a_key_is_wrong_usage(runner: CliRunner, url: str) -> None:
    assert start(runner, url, "--unique-policy", "queue").exit_code == 2
    assert start(runner, url, "--unique", "k", "--unique-policy", "wait").exit_code == 2


def test_a_key_that_is_too_long_is_refused(runner: CliRunner, url: str) -> None:
    refused = start(runner, url, "--unique", "x" * 513)

    assert refused.exit_code == 1
    assert "1 to 512 bytes" in refused.stderr


def test_a_time_in_the_past_is_said_to_run_now(runner: CliRunner, url: str) -> None:
    answer = start(runner, url, "--at", "2020-01-01T00:00:00Z")

    assert answer.exit_code == 0
    assert "Note: runAt is in the past" in answer.stderr
    assert "2020" not in answer.stderr


@pytest.fixture
async def limited(connection: Connection, url: str) -> str:
    await connection.execute("INSERT INTO ms_limit VALUES ('workflow:one', 3)")
    return url


def test_workflows_says_how_many_flows_may_be_in_progress(runner: CliRunner, limited: str) -> None:
    assert "[at most 3 flows at once]" in runner.invoke(app, ["workflows", "--database", limited]).stdout
