"""The commands `limit` and `limits`."""

from __future__ import annotations

import json
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from flower.cli import app
from flower.database.pool import Connection, Pool
from tests.sql.engine import Engine, write


@pytest.fixture
async def url(connection: Connection, database_url: str, pool: Pool) -> str:
    """A database in which two tasks name the limit stripe, and one of them holds it."""
    await connection.execute("INSERT INTO ms_limit (name, slots) VALUES ('stripe', 1)")
    engine = await Engine(pool).enroll("Ok")
    for seq in (1, 2):
        await write(connection, "f", seq, limits=["stripe"])
    await engine.claim()
    return database_url


def ask(runner: CliRunner, url: str, *words: str) -> Result:
    return runner.invoke(app, [*words, "--database", url])


def asked(runner: CliRunner, url: str, *words: str) -> Any:
    answer = ask(runner, url, *words, "--json")
    assert answer.exit_code == 0, answer.output
    return json.loads(answer.stdout)


def test_a_limit_is_set_and_shown_with_who_holds_it(runner: CliRunner, url: str) -> None:
    assert asked(runner, url, "limit", "stripe")["holders"] == ["f/1"]
    assert (asked(runner, url, "limit", "stripe", "4")["slots"], asked(runner, url, "limit", "stripe")["slots"]) == (4, 4)
    assert asked(runner, url, "limit", "stripe", "--rate", "10/min") | {"rate": "10/min", "slots": 4} == asked(runner, url, "limit", "stripe")
    assert asked(runner, url, "limit", "stripe", "--any-number")["slots"] is None
    assert [item["name"] for item in asked(runner, url, "limits")["items"]] == ["stripe"]


def test_people_read_it_in_words(runner: CliRunner, url: str) -> None:
    said = ask(runner, url, "limit", "stripe").stdout.splitlines()

    assert said == ["stripe: 1 slot", "1 running, 0 ready for a worker, 1 waiting for it", "held by f/1"]
    assert "f/1" in ask(runner, url, "limits").stdout


def test_a_limit_of_zero_says_that_nothing_starts_and_one_that_nothing_names_says_that(runner: CliRunner, url: str) -> None:
    assert "nothing that it counts may start" in ask(runner, url, "limit", "stripe", "0").stdout
    assert "nothing that is under way counts for it" in ask(runner, url, "limit", "nothing:*", "2").stdout


def test_a_removed_limit_lets_go_on_and_is_gone(runner: CliRunner, url: str) -> None:
    assert "goes on" in ask(runner, url, "limit", "stripe", "--remove").stdout
    assert ask(runner, url, "limit", "stripe", "--remove").exit_code == 1
    assert "there are no limits" in ask(runner, url, "limits").stderr


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["strip"], 1, "did you mean stripe?"),
        (["stripe", "-1"], 1, "from 0"),
        (["stripe", "--rate", "0/min"], 1, "above 0"),
        (["stripe", "--rate", "often"], 1, "10/min"),
        (["stripe", "many"], 2, "integer"),
        (["stripe", "4", "--any-number"], 2, "contradict"),
        (["stripe", "--remove", "--rate", "1/s"], 2, "contradict"),
    ],
)
def test_what_makes_no_sense_is_refused_in_words(runner: CliRunner, url: str, words: list[str], status: int, said: str) -> None:
    answer = ask(runner, url, "limit", *words)

    assert (answer.exit_code, said in answer.output) == (status, True), answer.output
