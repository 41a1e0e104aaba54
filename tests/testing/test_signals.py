"""The fixture `flower_app` with steps that wait for a signal, and examples/payment.py."""

from __future__ import annotations

import sys
from pathlib import Path
from time import monotonic
from types import ModuleType
from typing import Any

import pytest

import flower
from flower import FlowFailed, task, wait_for, workflow
from flower.sdk.modules import load
from flower.testing import App

EXAMPLE = Path(__file__).parents[2] / "examples" / "payment.py"
DAY = 86_400


@task(name="testing-signals-note")
def note(value: Any) -> Any:
    return value


@workflow(name="testing-signals-patient")
def patient(key: str = "k") -> Any:
    return note(wait_for("testing-go", key=key, timeout=DAY, default="nothing came"))


@workflow(name="testing-signals-strict")
def strict() -> Any:
    return note(wait_for.options(name="word")("testing-go", timeout=DAY))


@workflow(name="testing-signals-endless")
def endless() -> Any:
    return note(wait_for("testing-never"))


@pytest.fixture
def payment(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setattr(sys, "path", [*sys.path])
    load([str(EXAMPLE)])
    return sys.modules["payment"]


async def test_a_signal_that_a_test_sends_first_is_taken(flower_app: App) -> None:
    await flower.signal("testing-go", key="k", payload={"a": 1})

    run = await flower_app.run(patient)

    assert run.result == {"a": 1}
    assert run.order == ["testing-go", "testing-signals-note"]


async def test_a_day_of_waiting_is_not_slept_for(flower_app: App) -> None:
    began = monotonic()

    run = await flower_app.run(patient)
    failed = await flower_app.run(strict)

    assert run.result == "nothing came"
    with pytest.raises(FlowFailed, match="word is failed: SignalTimeout: no signal 'testing-go' came within 86400 s"):
        failed.result  # noqa: B018 - it raises
    assert monotonic() - began < 10


async def test_a_wait_without_an_end_is_named_when_the_test_has_waited_long_enough(flower_app: App) -> None:
    flower_app.timeout_seconds = 0.5

    with pytest.raises(TimeoutError, match="testing-never: waits for the signal 'testing-never' since"):
        await flower_app.run(endless)


async def test_the_example_goes_on_with_the_payment_and_without_one(flower_app: App, payment: ModuleType) -> None:
    await flower.signal("payment", key="order-7", payload=payment.Payment(20, "card"))

    assert (await flower_app.run(payment.sell, number=7, amount=30)).result == "order-7 is paid by card, 10 are missing"
    assert (await flower_app.run(payment.sell, number=8, amount=30)).result == "order-8 was not paid within a week"
