"""Lets a function that calls `context()` be tested as a function, without a database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any
from uuid import uuid4

from flower.core.model import Claim
from flower.sdk.context import CURRENT, Context


@contextmanager
def context(
    *, attempt: int = 1, flow_id: str = "test-flow", seq: int = 1, name: str = "task", workflow: str = "test", connection: Any = None
) -> Iterator[Context]:
    """Have `flower.context()` answer inside as in a task with these properties.

    *connection*: what `context().transaction()` lends, as it is; whether and when it commits is the test's business. Without one that raises
    NotInTask.
    """
    claim = Claim(flow_id=flow_id, seq=Decimal(seq), workflow=workflow, name=name, program=name, parameters="{}", attempt=attempt, claim_id=uuid4())
    here = Context(claim, None if connection is None else _Lent(connection))
    token = CURRENT.set(here)
    try:
        yield here
    finally:
        CURRENT.reset(token)


class _Lent:
    """The one connection of a test, as the transactions of an attempt and as each of them."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def of(self, claim: Claim) -> _Lent:  # noqa: ARG002 - there is only this one
        return self

    async def begin(self) -> Any:
        return self._connection

    async def finish(self, value: str) -> bool:  # noqa: ARG002 - the test keeps it
        return True

    async def abandon(self) -> None:
        pass
