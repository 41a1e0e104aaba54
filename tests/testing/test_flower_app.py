"""The fixture `flower_app`: real runs on a database of the test's own, without sleeping."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic

import pytest
import structlog

from flower import FlowFailed, context, task, workflow
from flower.core.errors import Invalid, NotInTask
from flower.database.pool import connect
from flower.sdk.registry import REGISTRY
from flower.testing import App
from flower.testing import context as given_context

_log = structlog.get_logger()


@pytest.fixture(scope="module", autouse=True)
def _own_names() -> Iterator[None]:
    """What this module registers goes with it."""
    tasks, workflows = dict(REGISTRY._tasks), dict(REGISTRY._workflows)
    yield
    REGISTRY._tasks, REGISTRY._workflows = tasks, workflows


@task(name="testing-fetch")
async def fetch(url: str) -> dict[str, int]:
    raise AssertionError("it would ask the network")


@task(name="testing-count")
def count(pages: list[dict[str, int]]) -> int:
    return sum(page["size"] for page in pages)


@task(name="testing-say")
async def say(word: str) -> None:
    _log.info("word.said", word=word)
    context().log.warning("word.warned", word=word)


@task(name="testing-hold")
async def hold() -> str:
    return threading.current_thread().name


@workflow(name="testing-digest")
def digest(urls: tuple[str, str] = ("a", "b")) -> int:
    return count([fetch.options(name="left")(urls[0]), fetch.options(name="right")(urls[1])])


@workflow(name="testing-talk")
def talk() -> None:
    first = say("one")
    say.options(after=[first])("two")


async def test_a_function_stands_in_for_a_task_and_gets_its_arguments(flower_app: App) -> None:
    seen: list[str] = []

    async def page(url: str) -> dict[str, int]:
        seen.append(url)
        return {"size": len(url)}

    run = await flower_app.run(digest, urls=("x", "yyy"), stub={fetch: page})

    assert (run.result, run.status, sorted(seen)) == (4, "finish", ["x", "yyy"])
    assert sorted(run.order[:2]) == ["left", "right"]
    assert run.order[2:] == ["testing-count"]


async def test_a_value_stands_in_for_the_result(flower_app: App) -> None:
    assert (await flower_app.run(digest, stub={fetch: {"size": 3}})).result == 6


async def test_what_stands_in_is_held_to_the_type_of_the_parameters(flower_app: App) -> None:
    run = await flower_app.run(digest, stub={fetch: {"volume": 3}})

    assert run.tasks["testing-count"].outcome == "failed"
    assert run.tasks["testing-count"].error["type"] == "KeyError"


async def test_a_failure_is_no_exception_until_the_result_is_asked_for(flower_app: App) -> None:
    run = await flower_app.run(digest)

    assert run.status == "suspend"
    with pytest.raises(FlowFailed, match="it would ask the network") as failed:
        assert run.result
    assert failed.value.task is not None
    assert failed.value.task.name in {"left", "right"}


async def test_a_flow_of_next_year_runs_at_once_and_in_order(flower_app: App) -> None:
    began = monotonic()

    run = await flower_app.run(talk.options(at=datetime.now(UTC) + timedelta(days=365)))

    assert run.order == ["testing-say", "testing-say-2"]
    assert monotonic() - began < 5


async def test_what_tasks_log_is_there_in_order_and_what_the_engine_logs_is_not(flower_app: App) -> None:
    logging.getLogger("tests").warning("outside")

    run = await flower_app.run(talk)

    assert [(line["task"], line["event"], line["level"], line["word"]) for line in run.logs] == [
        ("testing-say", "word.said", "info", "one"),
        ("testing-say", "word.warned", "warning", "one"),
        ("testing-say-2", "word.said", "info", "two"),
        ("testing-say-2", "word.warned", "warning", "two"),
    ]


async def test_rows_run_by_name_and_each_test_has_a_database_of_its_own(flower_app: App) -> None:
    connection = await connect(flower_app.url, role="test")
    try:
        assert await connection.fetchval("SELECT count(*) FROM kr_flow_stat") == 0
        await connection.execute("INSERT INTO ms_task_definition (task_id, task_seq, program) VALUES ('rows', 1, 'testing-hold')")

        first, second = await flower_app.run("rows"), await flower_app.run("rows")

        assert first.flow_id != second.flow_id
        assert first.tasks["testing-hold"].result == threading.current_thread().name
        assert await connection.fetchval("SELECT count(*) FROM kr_flow_stat") == 2
    finally:
        await connection.close()


async def test_what_waits_for_ever_is_named(flower_app: App) -> None:
    flower_app.timeout_seconds = 0.5
    connection = await connect(flower_app.url, role="test")
    await connection.execute("INSERT INTO ms_task_definition (task_id, task_seq, program) VALUES ('rows', 1, 'testing-hodl')")
    await connection.close()

    with pytest.raises(TimeoutError, match=r"not ended within 0\.5 s; testing-hodl: .*testing-hold"):
        await flower_app.run("rows")


async def test_bad_parameters_are_refused_as_elsewhere(flower_app: App) -> None:
    with pytest.raises(Invalid, match="urls"):
        await flower_app.run(digest, urls="a")
    with pytest.raises(TypeError, match="unexpected keyword argument 'url'"):
        await flower_app.run(digest, url="a")


async def test_flows_started_around_a_run_are_of_the_same_database(flower_app: App) -> None:
    await flower_app.run(talk)

    flow = await talk.start()

    connection = await connect(flower_app.url, role="test")
    assert await connection.fetchval("SELECT count(*) FROM kr_flow_stat WHERE task_flow_id = $1", flow.id) == 1
    await connection.close()


async def test_the_next_test_does_not_meet_the_last_ones_database(flower_app: App) -> None:
    await flower_app.run(talk)
    await talk.start()  # on the session that the test before has left open

    connection = await connect(flower_app.url, role="test")
    assert await connection.fetchval("SELECT count(*) FROM kr_flow_stat") == 2
    await connection.close()


async def test_a_context_is_there_inside_and_gone_outside() -> None:
    with given_context(attempt=2, name="fetch") as here:
        assert (context().attempt, context().name, context()) == (2, "fetch", here)
        with pytest.raises(NotInTask):
            async with context().transaction():
                pass
    with pytest.raises(NotInTask):
        context()


async def test_a_context_lends_the_connection_of_the_test(flower_app: App) -> None:
    connection = await connect(flower_app.url, role="test")
    with given_context(connection=connection):
        async with context().transaction() as lent:
            assert lent is connection
    await connection.close()


@pytest.mark.timeout(60)
def test_it_works_where_nothing_else_of_pytest_is_set_up(tmp_path: Path) -> None:
    """Each test has a loop of its own there, and warnings are errors."""
    (tmp_path / "pytest.ini").write_text("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
    (tmp_path / "test_own.py").write_text(
        "import pytest\n"
        "from flower import task, workflow\n"
        "@task\n"
        "async def double(number: int) -> int:\n"
        "    return 2 * number\n"
        "@workflow\n"
        "def doubled(number: int = 4) -> int:\n"
        "    return double(number)\n"
        "@pytest.mark.asyncio\n"
        "@pytest.mark.parametrize('number', [1, 2])\n"
        "async def test_it(flower_app, number):\n"
        "    assert (await flower_app.run(doubled, number=number)).result == 2 * number\n"
        "    flow = await doubled.start()\n"
        "    assert flow.workflow == 'doubled'\n"
        "async def inside(flower_app):\n"
        "    return (await flower_app.run(doubled)).result\n"
        "def test_without_a_loop(flower_app):\n"
        "    import asyncio\n"
        "    assert asyncio.run(inside(flower_app)) == 8\n"
    )
    command = [sys.executable, "-W", "error", "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]

    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=50)

    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "3 passed" in ran.stdout
