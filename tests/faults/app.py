"""The tasks of the load. Each writes into the ledger."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

from flower import Suspend, context, task
from tests.faults.corpus import HOSTILE
from tests.faults.ledger import VARIABLE, Ledger

_ledger = Ledger(Path(os.environ[VARIABLE]))


def _noting() -> Any:
    me = context()
    return _ledger.noting(me.flow_id, int(me.seq), me.attempt)


@task
async def nothing() -> None:
    with _noting():
        pass


@task
async def light() -> None:
    """Nothing at all, not even a note."""


@task
async def rest() -> None:
    with _noting():
        await asyncio.sleep(0.05)


@task
def thread() -> int:
    with _noting():
        return sum(range(1_000))


@task
async def bad_at_first() -> None:
    with _noting():
        if context().attempt == 1:
            raise ValueError("not the first time")


@task
async def remember(sees: dict[str, Any]) -> dict[str, Any]:
    """Return a token, and the tokens of the parents that it was called with. Fails now and then, or asks a person."""
    with _noting():
        await asyncio.sleep(random.random() * 0.06)
        if (dice := random.random()) < 0.12:
            raise ValueError("the dice said so")
        if dice < 0.16:
            raise Suspend("a person is asked")
        return {"token": uuid4().hex, "saw": {seq: seen and seen["token"] for seq, seen in sees.items()}}


@task
async def join() -> None:
    with _noting():
        pass


@task
async def long_at_first(seconds: float) -> None:
    with _noting():
        await asyncio.sleep(seconds if context().attempt == 1 else 0)


@task
async def block(seconds: float) -> None:
    with _noting():
        time.sleep(seconds)  # noqa: ASYNC251 - that is the fault


@task
async def deadly() -> None:
    with _noting():
        os.kill(os.getpid(), signal.SIGSEGV)


@task
async def hostile(kind: str) -> Any:
    with _noting():
        return HOSTILE[kind]()
