"""How users test their workflows.

    python -m pytest examples/test_etl.py

The fixture `flower_app` comes with Flower. It runs the real engine on an embedded PostgreSQL, each test on a database of its own.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from etl import Sale, clean, extract, sales

from flower import FlowFailed
from flower.testing import App, context


async def test_what_cannot_have_been_sold_is_dropped() -> None:
    """A task's function is tested as a function: `fn` is it."""
    day = date(2026, 1, 31)
    assert clean.fn([Sale("north", day, Decimal(-1)), Sale("north", day, Decimal(2))]) == [Sale("north", day, Decimal(2))]


async def test_a_function_that_asks_for_its_attempt_gets_one() -> None:
    """A function that calls `context()` needs one around it."""
    with context(attempt=2) as here:
        assert len(await extract.fn("north", date(2026, 1, 31))) == 3
    assert here.attempt == 2


async def test_the_whole_workflow(flower_app: App) -> None:
    """The till is not asked: a function stands in for the task, and gets the same arguments."""

    def till(shop: str, day: date) -> list[Sale]:
        return [Sale(shop, day, Decimal(len(shop)))]

    run = await flower_app.run(sales, day=date(2026, 2, 1), stub={extract: till})

    assert run.result == {"north": "5 EUR", "south": "5 EUR"}
    assert run.order[-1] == "report"


async def test_a_till_that_does_not_answer_is_named(flower_app: App) -> None:
    """What fails, fails for real: with the failing task, its error, and what ran before."""

    def till(shop: str, **_: object) -> list[Sale]:
        raise TimeoutError(f"{shop} does not answer")

    run = await flower_app.run(sales, stub={extract: till})

    assert run.status == "suspend"
    assert run.tasks["extract-north"].error["message"] == "north does not answer"
    assert "report" not in run.order
    with pytest.raises(FlowFailed, match="does not answer"):
        assert run.result
