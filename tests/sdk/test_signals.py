"""`flower.wait_for` in the body of a workflow, and what `flower.signal` refuses before it asks a database."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

import flower
from flower import task, wait_for
from flower.core.errors import Invalid, ModuleProblem, NotInWorkflow, TraceError
from flower.core.signals import key_text
from flower.sdk.registry import REGISTRY
from tests.sdk.test_workflow import built, no_leftovers

__all__ = ["no_leftovers"]

FILE = __file__


@task(name="signals-fetch")
def fetch(url: str) -> dict[str, Any]:
    return {"url": url}


def test_a_wait_is_a_step_called_like_its_signal_that_comes_after_what_its_key_comes_from() -> None:
    def body(order: int) -> Any:
        page = fetch("a")
        wait_for("payment", key=order)
        wait_for("payment", key=page["ids"][0], timeout=3600, default=None)
        return wait_for.options(name="second", after=[page])("other", timeout=0.5, default=[1])

    definition = built(body)

    assert [(step.name, step.program, step.depends_on, step.parameters) for step in definition.steps[1:]] == [
        ("payment", "WaitForSignal", (), {"name": "payment", "key": {"$param": "order"}}),
        (
            "payment-2",
            "WaitForSignal",
            (Decimal(1),),
            {"name": "payment", "key": {"$task": "signals-fetch", "path": ["ids", 0]}, "timeout": 3600, "default": None},
        ),
        ("second", "WaitForSignal", (Decimal(1),), {"name": "other", "key": "", "timeout": 0.5, "default": [1]}),
    ]
    assert definition.result == {"$task": "second"}
    assert definition.steps[1].place == f"{FILE}:{body.__code__.co_firstlineno + 2}"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (lambda: wait_for(""), "a signal has a name of 1 to 256 characters"),
        (lambda: wait_for("a\nb"), "a signal has a name of 1 to 256 characters"),
        (lambda: wait_for("a" * 257), "a signal has a name"),
        (lambda: wait_for(3), "a signal has a name"),  # type: ignore[call-overload]
        (lambda: wait_for("a", key="é" * 257), "key: has 514 bytes, the limit is 512"),
        (lambda: wait_for("a", key={"id": 1}), "key: a text or a number is wanted"),
        (lambda: wait_for("a", key=object()), "cannot be stored"),
        (lambda: wait_for("a", key=float("nan")), "key: a text or a number is wanted"),
        (lambda: wait_for("a", timeout=-1), "a number of seconds from 0 to 1000000000"),
        (lambda: wait_for("a", timeout="1"), "a number of seconds"),  # type: ignore[call-overload]
        (lambda: wait_for("a", timeout=True), "a number of seconds"),
        (lambda: wait_for("a", default=None), "there is no timeout"),
        (lambda: wait_for("a", timeout=1, default="x" * 300_000), "the parameters of WaitForSignal cannot be stored"),
        (lambda: wait_for.options(name="")("a"), "name"),
    ],
)
def test_what_cannot_be_waited_for_is_refused_at_its_line(body: Callable[[], Any], words: str) -> None:
    with pytest.raises(TraceError, match=words) as caught:
        built(body)

    assert caught.value.place == f"{FILE}:{body.__code__.co_firstlineno}"


def test_what_comes_of_a_wait_has_no_value_yet() -> None:
    def body() -> None:
        if wait_for("a"):
            fetch("a")

    with pytest.raises(TraceError, match="to branch on it"):
        built(body)


def test_outside_of_a_body_nothing_waits() -> None:
    with pytest.raises(NotInWorkflow, match=r"wait_for\(…\) means a step"):
        wait_for("a")


def test_the_name_of_its_program_is_no_name_for_a_task() -> None:
    with pytest.raises(ModuleProblem, match=r"WaitForSignal is the program of flower\.wait_for"):
        task(name="WaitForSignal")(lambda: None)
    assert REGISTRY.get("WaitForSignal") is None


@pytest.mark.parametrize(
    ("key", "text"),
    [("a", "a"), (7, "7"), (1.5, "1.5"), (1e20, "100000000000000000000"), (1e-7, "0.0000001"), (True, "true"), (None, ""), (-0.0, "-0.0")],
)
def test_a_key_is_the_text_that_the_database_makes_of_it(key: Any, text: str) -> None:
    assert key_text(key) == text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"name": ""}, "name: a text of 1 to 256 characters"),
        ({"name": "a\0"}, "name: a text"),
        ({"key": [1]}, "key: a text or a number"),
        ({"key": "\ud800"}, "key: has a NUL character"),
        ({"payload": "x" * 1_048_577}, "payload: .*1,048,579 bytes"),
        ({"payload": {1: 2}}, "payload: .*keys of JSON are texts"),
        ({"payload": float("nan")}, "payload: "),
        ({"payload": object()}, "payload: .*cannot be stored"),
    ],
)
async def test_what_cannot_be_sent_is_refused_before_a_database_is_asked(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(Invalid, match=words):
        await flower.signal(**{"name": "a", **arguments})


def test_a_key_of_another_type_is_written_as_a_parameter_would_be() -> None:
    from flower.sdk.signals import _key

    assert _key(UUID(int=1)) == "00000000-0000-0000-0000-000000000001"
    assert _key(datetime(2026, 1, 2, tzinfo=UTC)) == "2026-01-02T00:00:00Z"
    assert _key(Decimal("1.50")) == "1.50"
