"""The built-in programs as a worker runs them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from decimal import Decimal
from uuid import uuid4

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from structlog.testing import capture_logs

from flower.core.model import Claim, Outcome
from flower.core.status import Status, Why
from flower.engine.runner import Runner
from flower.programs import http
from flower.sdk.registry import REGISTRY


async def run(program: str, parameters: str = "{}") -> Outcome:
    runner = Runner(REGISTRY, threads=1)
    return await runner.run(Claim("flow", Decimal(1), "example", program, program, parameters, 1, uuid4()))


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long the programs would have slept."""
    seconds: list[float] = []

    async def sleep(delay: float) -> None:
        seconds.append(delay)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    return seconds


@pytest.fixture
async def _local() -> AsyncIterator[None]:
    http.configure((), is_local=True)
    yield
    await http.close()
    http.configure((), is_local=False)


def test_the_ancestors_programs_have_its_names() -> None:
    assert {"EchoRandomTimeSleep", "EchoParamTimeSleep", "HTTPPostRequest", "Hello"} <= set(REGISTRY.names())


async def test_the_random_sleep_is_one_to_five_whole_seconds(slept: list[float]) -> None:
    for _ in range(200):
        assert (await run("EchoRandomTimeSleep")).status is Status.FINISH
    assert set(slept) == {1, 2, 3, 4, 5}


async def test_the_given_sleep_is_as_long_as_the_text_says(slept: list[float]) -> None:
    with capture_logs() as events:
        outcome = await run("EchoParamTimeSleep", '{"SLEEP_TIME_SECOND": "3"}')
    assert (outcome.status, outcome.value, slept) == (Status.FINISH, '{"seconds":3}', [3])
    assert events == [{"event": "program.sleeps", "log_level": "info", "flow": "flow", "seq": "1", "attempt": 1, "seconds": 3}]


@pytest.mark.parametrize(
    "parameters", ["{}", '{"SLEEP_TIME_SECOND": "abc"}', '{"SLEEP_TIME_SECOND": "0.5"}', '{"SLEEP_TIME_SECOND": "-3"}', '{"SLEEP_TIME_SECOND": null}']
)
async def test_a_sleep_that_is_no_whole_number_is_refused(slept: list[float], parameters: str) -> None:
    outcome = await run("EchoParamTimeSleep", parameters)
    assert (outcome.status, outcome.why, slept) == (Status.SUSPEND, Why.INVALID, [])
    assert "SLEEP_TIME_SECOND" in (outcome.value or "")


async def test_hello_greets() -> None:
    assert (await run("Hello")).value == '"Hello, world!"'
    assert (await run("Hello", '{"name": "123"}')).value == '"Hello, 123!"'


@pytest.mark.usefixtures("_local")
async def test_a_post_fails_with_its_url_and_succeeds_once_the_url_is_right() -> None:
    async def echo(request: web.Request) -> web.Response:
        return web.Response(text=await request.text())

    failed = await run("HTTPPostRequest", '{"URL": "http://127.0.0.1:1/post", "BODY": "{}"}')
    assert (failed.status, failed.why) == (Status.SUSPEND, Why.FAILED)
    error = json.loads(failed.value or "")
    assert error["type"] == "ProgramFailed"
    assert "http://127.0.0.1:1/post" in error["message"]

    application = web.Application()
    application.router.add_post("/post", echo)
    async with TestServer(application) as server:
        parameters = json.dumps({"URL": str(server.make_url("/post")), "BODY": '{"id": "test"}'})
        outcome = await run("HTTPPostRequest", parameters)
    assert (outcome.status, json.loads(outcome.value or "")) == (Status.FINISH, {"status": 200, "body": '{"id": "test"}'})


async def test_without_a_word_on_how_flower_listens_nothing_is_called() -> None:
    outcome = await run("HTTPPostRequest", '{"URL": "http://127.0.0.1:1/", "BODY": ""}')
    assert "is not in FLOWER_HTTP_ALLOW" in (outcome.value or "")
