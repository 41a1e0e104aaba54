"""The command `flows` beside more flows than one part of a list looks at."""

from __future__ import annotations

import json
from typing import Any

import pytest
from typer.testing import CliRunner

from flower.cli import app, look
from flower.database.pool import Connection

MANY = 12_000


@pytest.fixture
async def history(connection: Connection, database_url: str) -> str:
    """A database with 12,000 flows, one a second; the oldest is called otherwise, and has capitals in its parameters."""
    await connection.execute(f"""
        SET session_replication_role = replica;
        INSERT INTO kr_flow_stat (task_flow_id, task_id, registered_ts, parameters)
            SELECT CASE n WHEN 1 THEN 'oldest' ELSE 'flow-' || n END, 'w', timestamptz '2026-01-01 00:00Z' + n * interval '1 s',
                CASE n WHEN 1 THEN '{{"customer": "ACME"}}' ELSE '{{}}' END::jsonb FROM generate_series(1, {MANY}) n
    """)
    return database_url


def listed(runner: CliRunner, url: str, *options: str) -> Any:
    answer = runner.invoke(app, ["flows", *options, "--json", "--database", url])
    assert answer.exit_code == 0, answer.output
    return json.loads(answer.stdout)


def test_flows_asks_on_until_it_has_what_was_asked_for(runner: CliRunner, history: str) -> None:
    found = listed(runner, history, "--text", "acme")

    assert [flow["flowId"] for flow in found["items"]] == ["oldest"]
    assert (found["next"], "searchedTo" in found) == (None, False)


def test_flows_says_how_far_it_got_and_how_to_go_on(runner: CliRunner, history: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(look, "_PATIENCE_SECONDS", 0.0)

    said = runner.invoke(app, ["flows", "--text", "acme", "--database", history]).stderr

    assert "Looked back to" in said
    monkeypatch.undo()
    found = listed(runner, history, "--text", "acme", "--until", said.split("--until ")[1].strip())
    assert [flow["flowId"] for flow in found["items"]] == ["oldest"]


def test_flows_are_chosen_by_the_time_of_their_registration(runner: CliRunner, history: str) -> None:
    found = listed(runner, history, "--since", "2026-01-01T00:00:03Z", "--until", "2026-01-01T01:00:05+01:00")

    assert [flow["flowId"] for flow in found["items"]] == ["flow-4", "flow-3"]


def test_flows_says_that_none_fits(runner: CliRunner, history: str) -> None:
    assert "No such flow." in runner.invoke(app, ["flows", "--text", "nothing", "--database", history]).stderr
