"""The fixture `flower_app`: real runs on a database of the test's own, without sleeping."""

from __future__ import annotations

import asyncio
import logging
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
import structlog

from flower import FlowFailed, context, task, workflow
from flower.core.errors import Invalid, InvalidParameters, ModuleProblem, NotInTask
from flower.database.pool import connect
from flower.sdk.registry import REGISTRY
from flower.testing import App, replay
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


async def test_what_stands_in_has_the_types_of_the_task(flower_app: App) -> None:
    @task(name="testing-dated")
    def dated(day: date, sizes: list[Decimal]) -> Decimal:
        raise AssertionError("it would ask the network")

    @workflow(name="testing-dates")
    def dates(day: date = date(2026, 1, 31)) -> Decimal:
        return dated(day, [Decimal("1.50")])

    run = await flower_app.run(dates, stub={dated: lambda day, sizes: sizes[0] * day.day})

    assert run.result == Decimal("46.50")
    assert run.tasks["testing-dated"].result == "46.50"


@pytest.mark.parametrize(
    ("workflow_", "stub", "told"),
    [
        (digest, {"testing-fetch": 1}, "write stub={fetch: …}"),
        (digest, {say: 1}, "testing-digest has no step that calls testing-say"),
        (digest, {fetch: count}, "write testing-count.fn"),
        (digest, 3, "takes a dict"),
        (fetch, {}, "a task is tested as a function: testing-fetch.fn"),
    ],
)
async def test_a_stub_that_can_be_none_is_a_sentence(flower_app: App, workflow_: Any, stub: Any, told: str) -> None:
    with pytest.raises(TypeError, match=re.escape(told)):
        await flower_app.run(workflow_, stub=stub)


async def test_two_runs_at_once_keep_their_own_stubs_and_leave_the_loop_as_it_was(flower_app: App) -> None:
    before = asyncio.get_running_loop().get_task_factory()

    runs = await asyncio.gather(*(flower_app.run(digest, stub={fetch: {"size": size}}) for size in (1, 2, 3)))

    assert [run.result for run in runs] == [2, 4, 6]
    assert asyncio.get_running_loop().get_task_factory() is before


async def test_attempts_come_one_after_another_without_their_pauses(flower_app: App) -> None:
    times: list[int] = []

    @task(name="testing-retried", attempts=3, backoff=3600)
    async def retried() -> int:
        times.append(context().attempt)
        if len(times) < 3:
            raise TimeoutError("not yet")
        return len(times)

    @workflow(name="testing-retries")
    def retries() -> int:
        return retried()

    assert (await flower_app.run(retries)).result == 3
    assert times == [1, 2, 3]


async def test_times_come_in_their_order_and_not_before_what_could_still_run(flower_app: App) -> None:
    connection = await connect(flower_app.url, role="test")
    await connection.execute("""
        INSERT INTO ms_task_definition (task_id, task_seq, program, name, depends_on) VALUES
            ('rows', 1, 'testing-hold', 'late', '{}'), ('rows', 2, 'testing-hold', 'early', '{}'), ('rows', 3, 'testing-hold', 'now', '{}');
        CREATE FUNCTION later() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            NEW.run_after := CASE NEW.name WHEN 'late' THEN timestamptz '2099-01-02' WHEN 'early' THEN timestamptz '2099-01-01' END;
            NEW.gate := NULL;
            RETURN NEW;
        END $$;
        CREATE TRIGGER aa_later BEFORE INSERT ON kr_task_stat FOR EACH ROW EXECUTE FUNCTION later();""")
    await connection.close()

    assert (await flower_app.run("rows")).order == ["now", "early", "late"]


async def test_a_structlog_that_has_a_tuple_of_processors_is_left_as_it_was(flower_app: App) -> None:
    before = structlog.get_config()["processors"]
    structlog.configure(processors=tuple(before))
    try:
        assert len((await flower_app.run(talk)).logs) == 4
        assert structlog.get_config()["processors"] == tuple(before)
    finally:
        structlog.configure(processors=before)


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


def test_a_call_is_repeated_with_what_a_row_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "replayed.py").write_text(
        "from datetime import date\nfrom flower import context, task\n"
        "@task\nasync def replayed(day: date, key: str) -> str:\n    return f'{day.year} {key} {context().attempt}'\n"
        "@task\ndef replayed_in_thread(day: date) -> int:\n    return day.day\n"
    )
    monkeypatch.setenv("REPLAY_KEY", "sk-1")
    file = str(tmp_path / "replayed.py")

    assert replay(file, "replayed", {"day": "2026-01-31", "key": {"$env": "REPLAY_KEY"}}, attempt=2) == "2026 sk-1 2"
    assert replay(file, "replayed_in_thread", {"day": "2026-01-31"}) == 31
    with pytest.raises(InvalidParameters, match="day"):
        replay(file, "replayed_in_thread", {"day": "soon"})
    with pytest.raises(ModuleProblem, match="no task 'gone'"):
        replay(file, "gone", {})
