"""A slot comes back, whatever its task does."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from uuid import uuid4

from flower.core.model import Claim
from flower.core.status import Status
from flower.engine.recorder import Recorder
from flower.engine.runner import Runner
from flower.engine.slots import Slots
from flower.engine.tally import Tally
from flower.sdk.registry import Registry
from flower.sdk.task import Task


class Lying(Exception):
    __cause__ = property(lambda _: 1 / 0)


async def test_an_exception_whose_own_attributes_raise_fails_its_task_and_gives_the_slot_back() -> None:
    async def lie() -> None:
        raise Lying

    registry = Registry()
    registry.add(Task(lie, "lie", "app.py:1", {}))
    recorder, rang = Recorder(Tally()), asyncio.Event()
    slots = Slots(count=1, runner=Runner(registry, threads=1), recorder=recorder, ring=rang.set)
    assert await slots.take() == 1

    slots.start(Claim("f", Decimal(1), "w", "lie", "lie", "{}", 1, uuid4()))
    async with asyncio.timeout(5):
        await rang.wait()

    assert [outcome.status for outcome in recorder.take()] == [Status.SUSPEND]
    assert (len(slots), await slots.take()) == (0, 1)
