"""`pause`, `unpause`, `pauses` and `priority` as somebody types them."""

from __future__ import annotations

import json
import shlex
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from flower.cli import app
from flower.database.pool import Connection
from tests.sql.engine import define, write


@pytest.fixture
async def url(connection: Connection, database_url: str) -> str:
    """A database with the workflow digest, and a flow of it that waits."""
    await define(connection, "digest", {})
    await write(connection, "a-flow", 1, task_id="digest")
    await connection.execute("INSERT INTO kr_flow_stat (task_flow_id, task_id) VALUES ('a-flow', 'digest')")
    return database_url


def say(runner: CliRunner, url: str, *arguments: str) -> Result:
    return runner.invoke(app, [arguments[0], "--database", url, *arguments[1:]])


def said(runner: CliRunner, url: str, *arguments: str) -> Any:
    answer = say(runner, url, *arguments, "--json")
    assert answer.exit_code == 0, answer.output
    return json.loads(answer.stdout)


@pytest.mark.parametrize(
    ("named", "kind", "name", "called"),
    [
        (["digest"], "workflow", "digest", "the workflow 'digest'"),
        (["--program", "Ok"], "program", "Ok", "the program 'Ok'"),
        (["--limit", "tenant:*"], "limit", "tenant:*", "the limit 'tenant:*'"),
        (["--all"], "all", "*", "everything"),
    ],
)
def test_what_is_paused_is_listed_and_goes_on_in_the_same_words(
    runner: CliRunner, url: str, named: list[str], kind: str, name: str, called: str
) -> None:
    done = say(runner, url, "pause", *named, "--reason", "vendor outage", "--until", "+10m")
    assert (done.exit_code, "let it go on with: python -m flower unpause" in done.stdout, "until" in done.stdout) == (0, True, True)
    (item,) = said(runner, url, "pauses")["items"]
    assert (item["kind"], item["name"], item["reason"], item["until"] is None) == (kind, name, "vendor outage", False)
    assert "vendor outage" in say(runner, url, "pauses").stdout

    assert say(runner, url, "unpause", *named).stdout == f"{called} goes on\n"

    assert said(runner, url, "pauses")["items"] == []
    again = say(runner, url, "unpause", *named)
    assert (again.exit_code, again.stderr) == (1, f"flower: {called} is not paused\n")


def test_workflows_are_marked_that_are_paused_and_every_pause_is_told_once(runner: CliRunner, url: str) -> None:
    say(runner, url, "pause", "--all", "--reason", "maintenance")
    say(runner, url, "pause", "digest", "--reason", "vendor outage")

    found = say(runner, url, "workflows")

    assert [line.partition(" (paused)")[1] for line in found.stdout.splitlines()[1:]] == [" (paused)"] * 3
    assert (found.stderr.count("everything is paused: maintenance"), found.stderr.count("the workflow 'digest' is paused: vendor outage")) == (1, 1)
    assert "but everything is: python -m flower unpause --all" in say(runner, url, "unpause", "digest").stdout
    assert {item["workflow"]: item["paused"]["kind"] for item in said(runner, url, "workflows")["items"]}["digest"] == "all"


def test_the_command_that_a_pause_tells_unpauses_it_whatever_its_name(runner: CliRunner, url: str) -> None:
    for name in ("it's a limit", "-l"):
        told = say(runner, url, "pause", f"--limit={name}").stdout.rstrip("\n")
        command = told.partition("python -m flower unpause ")[2]
        assert say(runner, url, "unpause", *shlex.split(command)).exit_code == 0, command


@pytest.mark.parametrize(
    ("line", "status", "told"),
    [
        (["pause"], 2, "give one: WORKFLOW"),
        (["pause", "digest", "--all"], 2, "give one: WORKFLOW"),
        (["unpause"], 2, "give one: WORKFLOW"),
        (["pause", "digets"], 1, "did you mean digest?"),
        (["pause", "digest", "--until", "tomorrow"], 2, "is no time"),
        (["pause", "digest", "--until", "2020-01-01T00:00:00Z"], 1, "is over"),
        (["priority", "a-flow", "-21"], 2, "greater than or equal to -20"),
        (["priority", "a-flow", "x"], 2, "valid integer"),
        (["priority", "b-flow", "-5"], 1, "no flow 'b-flow'"),
    ],
)
def test_wrong_usage_is_a_sentence(runner: CliRunner, url: str, line: list[str], status: int, told: str) -> None:
    answer = say(runner, url, *line)

    assert (answer.exit_code, told in answer.stderr) == (status, True), answer.stderr


def test_a_priority_may_be_negative(runner: CliRunner, url: str) -> None:
    done = say(runner, url, "priority", "a-flow", "-5", "--reason", "the customer waits")

    assert done.stdout == "flow a-flow has the priority -5\n"
    assert said(runner, url, "show", "a-flow")["tasks"][0]["priority"] == -5
    assert said(runner, url, "priority", "--reason", "x", "a-flow", "19") == {"flowId": "a-flow", "priority": 19}


def test_a_limit_that_is_paused_is_marked_and_says_how_it_goes_on(runner: CliRunner, url: str) -> None:
    say(runner, url, "limit", "tenant:a", "4")
    say(runner, url, "pause", "--limit", "tenant:*")

    assert "it is paused; let it go on with: python -m flower unpause --limit 'tenant:*'" in say(runner, url, "limit", "tenant:a").stdout.splitlines()
    assert "4, paused" in say(runner, url, "limits").stdout

    say(runner, url, "unpause", "--limit", "tenant:*")

    assert "paused" not in say(runner, url, "limits").stdout + say(runner, url, "limit", "tenant:a").stdout
