"""One attempt of a task: whatever user code does comes back as an outcome."""

from __future__ import annotations

import asyncio
import functools
import json
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest

from flower import context
from flower.core.model import Claim, Outcome
from flower.core.status import Status, Why
from flower.engine.endings import Reason
from flower.engine.runner import Runner
from flower.sdk.registry import Registry
from flower.sdk.task import Task


class Bench:
    """A runner with the functions that a test gives it, and no database."""

    def __init__(self) -> None:
        self.registry = Registry()
        self.runner = Runner(self.registry, threads=2)
        self._places = 0

    def claim(self, fn: Callable[..., Any], parameters: str = "{}") -> Claim:
        self._places += 1
        name = f"program-{self._places}"
        self.registry.add(Task(fn, name, f"app.py:{self._places}", {}))
        return Claim("flow", Decimal(1), "workflow", "step", name, parameters, 1, uuid4())

    async def run(self, fn: Callable[..., Any], parameters: str = "{}") -> Outcome:
        return await self.runner.run(self.claim(fn, parameters))

    def start(self, fn: Callable[..., Any]) -> tuple[Claim, asyncio.Task[Outcome]]:
        claim = self.claim(fn)
        return claim, asyncio.create_task(self.runner.run(claim))


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    yield bench
    assert bench.runner.running == ()
    bench.runner.close()


def error(outcome: Outcome) -> dict[str, Any]:
    assert outcome.value is not None
    found: dict[str, Any] = json.loads(outcome.value)
    return found


async def test_what_a_coroutine_returns_is_the_result(bench: Bench) -> None:
    async def double(n: int) -> dict[str, int]:
        return {"n": n * 2}

    outcome = await bench.run(double, '{"n": "4"}')
    assert (outcome.status, outcome.why, outcome.value, outcome.unharmed) == (Status.FINISH, None, '{"n":8}', False)


async def test_a_def_runs_in_a_thread_that_knows_its_task(bench: Bench) -> None:
    def where() -> list[Any]:
        return [context().key, threading.current_thread() is threading.main_thread()]

    assert (await bench.run(where)).value == '["flow/1",false]'


async def test_threads_do_not_wait_for_each_other(bench: Bench) -> None:
    barrier = threading.Barrier(2)

    def meet() -> None:
        barrier.wait(timeout=10)

    outcomes = await asyncio.gather(bench.run(meet), bench.run(meet))
    assert {outcome.status for outcome in outcomes} == {Status.FINISH}


async def test_a_def_that_hands_out_a_coroutine_is_awaited_on_the_loop(bench: Bench) -> None:
    async def on_the_loop() -> bool:
        return threading.current_thread() is threading.main_thread()

    def hand_out() -> Any:
        return on_the_loop()

    assert (await bench.run(hand_out)).value == "true"
    assert (await bench.run(functools.partial(on_the_loop))).value == "true"


async def test_context_is_there_in_the_task_and_gone_after_it(bench: Bench) -> None:
    seen = []

    async def look() -> None:
        await asyncio.sleep(0)
        seen.append(context().flow_id)

    await bench.run(look)
    assert seen == ["flow"]
    assert (await bench.run(look)).status is Status.FINISH
    with pytest.raises(Exception, match="only inside a task"):
        context()


async def test_a_program_that_is_not_here_goes_back_unharmed(bench: Bench) -> None:
    claim = Claim("flow", Decimal(1), "workflow", "step", "unknown", "{}", 1, uuid4())
    assert await bench.runner.run(claim) == Outcome(claim, Status.WAIT, unharmed=True)


@pytest.mark.parametrize("parameters", ['{"n": "x"}', "[]", "{}", '{"n": 1, "m": 2}', "nonsense"])
async def test_bad_parameters_are_refused_before_user_code_runs(bench: Bench, parameters: str) -> None:
    entered = []

    async def count(n: int) -> None:
        entered.append(n)

    outcome = await bench.run(count, parameters)
    assert (outcome.status, outcome.why, error(outcome)["type"]) == (Status.SUSPEND, Why.INVALID, "InvalidParameters")
    assert error(outcome)["traceback"] is None
    assert entered == []


async def test_a_result_that_is_not_json_fails_the_task_and_names_its_place(bench: Bench) -> None:
    async def odd() -> Any:
        return {1, 2}

    outcome = await bench.run(odd)
    assert (outcome.status, outcome.why, error(outcome)["type"]) == (Status.SUSPEND, Why.FAILED, "ResultNotJson")
    assert error(outcome)["where"].startswith("app.py:1 in ")


BAD = [
    ValueError,
    SystemExit,
    KeyboardInterrupt,
    GeneratorExit,
    StopIteration,
    StopAsyncIteration,
    asyncio.CancelledError,
    MemoryError,
    BaseException,
]


@pytest.mark.parametrize("kind", BAD)
async def test_whatever_a_coroutine_raises_is_a_failure_of_that_name(bench: Bench, kind: type[BaseException]) -> None:
    async def fail() -> None:
        raise kind("why")

    async def fail_later() -> None:
        await asyncio.sleep(0)
        raise kind("why")

    for fn in (fail, fail_later):
        outcome = await bench.run(fn)
        found = error(outcome)
        assert (outcome.status, outcome.why) == (Status.SUSPEND, Why.FAILED)
        assert (found["type"], found["message"], found["program"]) == (kind.__name__, "why", outcome.claim.program)
        assert found["where"].startswith(f"{__file__}:")
        assert "/runner.py" not in found["traceback"]


@pytest.mark.parametrize("kind", BAD)
async def test_whatever_a_thread_raises_is_a_failure_of_that_name(bench: Bench, kind: type[BaseException]) -> None:
    def fail() -> None:
        raise kind("why")

    found = error(await bench.run(fail))
    assert (found["type"], found["message"]) == (kind.__name__, "why")
    assert found["where"].startswith(f"{__file__}:")
    assert "/runner.py" not in found["traceback"]
    assert "futures" not in found["traceback"]


async def test_neighbours_finish_whatever_the_others_raise(bench: Bench) -> None:
    async def fine() -> None:
        await asyncio.sleep(0)

    def failing(kind: type[BaseException]) -> Callable[[], Any]:
        async def fail() -> None:
            await asyncio.sleep(0)
            raise kind

        return fail

    outcomes = await asyncio.gather(*(bench.run(fn) for kind in BAD for fn in (failing(kind), fine)))
    assert [outcome.status for outcome in outcomes] == [Status.SUSPEND, Status.FINISH] * len(BAD)


async def test_a_failing_result_does_not_take_the_runner_with_it(bench: Bench) -> None:
    class Odd(Exception):
        def __str__(self) -> str:
            raise SystemExit

    async def fail() -> None:
        raise Odd

    assert error(await bench.run(fail))["type"] == "Odd"


async def begun(started: asyncio.Event) -> None:
    async with asyncio.timeout(10):
        await started.wait()


@pytest.mark.parametrize("reason", [reason for reason in Reason if reason is not Reason.TIMEOUT])
async def test_a_task_that_the_engine_stops_goes_back_unharmed(bench: Bench, reason: Reason) -> None:
    started = asyncio.Event()

    async def wait() -> None:
        started.set()
        await asyncio.Event().wait()

    claim, running = bench.start(wait)
    await begun(started)
    assert bench.runner.running == (claim.claim_id,)
    assert bench.runner.cancel(claim.claim_id, reason)
    assert await running == Outcome(claim, Status.WAIT, unharmed=True)
    assert not bench.runner.cancel(claim.claim_id, reason)


async def test_a_task_that_fails_because_it_was_stopped_goes_back_unharmed(bench: Bench) -> None:
    started = asyncio.Event()

    async def wait() -> None:
        try:
            started.set()
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise RuntimeError from None

    claim, running = bench.start(wait)
    await begun(started)
    bench.runner.cancel(claim.claim_id, Reason.SHUTDOWN)
    assert (await running).unharmed


async def test_a_task_that_swallows_the_stop_may_finish(bench: Bench) -> None:
    started = asyncio.Event()

    async def stubborn() -> str:
        started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0)
        return "done"

    claim, running = bench.start(stubborn)
    await begun(started)
    bench.runner.cancel(claim.claim_id, Reason.SHUTDOWN)
    outcome = await running
    assert (outcome.status, outcome.value) == (Status.FINISH, '"done"')


async def test_a_task_that_cancels_itself_has_failed(bench: Bench) -> None:
    async def cancel_myself() -> None:
        running = asyncio.current_task()
        assert running is not None
        running.cancel("enough")
        await asyncio.Event().wait()

    _, running = bench.start(cancel_myself)
    found = error(await running)
    assert (found["type"], found["message"]) == ("CancelledError", "enough")


async def test_a_timeout_inside_user_code_is_its_own_failure(bench: Bench) -> None:
    async def slow() -> None:
        async with asyncio.timeout(0):
            await asyncio.Event().wait()

    assert error(await bench.run(slow))["type"] == "TimeoutError"


async def test_a_stopped_thread_is_let_go_and_goes_on_until_it_ends(bench: Bench) -> None:
    entered, leave, over = threading.Event(), threading.Event(), threading.Event()

    def block() -> None:
        entered.set()
        leave.wait(10)
        over.set()

    claim, running = bench.start(block)
    with ThreadPoolExecutor(1) as other:
        assert await asyncio.get_running_loop().run_in_executor(other, entered.wait, 10)
    bench.runner.cancel(claim.claim_id, Reason.SHUTDOWN)
    assert (await running).unharmed
    assert not over.is_set()

    leave.set()
    async with asyncio.timeout(10):
        while not over.is_set():
            await asyncio.sleep(0)


async def test_a_closed_runner_hands_everything_back_unharmed(bench: Bench) -> None:
    def plain() -> None: ...

    await bench.run(plain)
    bench.runner.close()
    assert (await bench.run(plain)).unharmed
