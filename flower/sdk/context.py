"""What a running task may ask about itself: `context()`. Knows nothing of the engine that sets it."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias
from uuid import UUID

from flower.core.errors import NotInTask
from flower.core.model import Claim

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from flower.sdk.journal import Voice


# How far attempts are, by claim id: the claim, what is done, and of how much.
Said: TypeAlias = "dict[UUID, tuple[Claim, float, float | None]]"


class OwnTransaction(Protocol):
    """The transaction of one attempt, see `flower.engine.transactions`."""

    async def begin(self) -> Any:
        """Return the session, in its transaction."""

    async def finish(self, value: str) -> bool:
        """Commit it with the result *value*. False: the claim is gone."""
        ...

    async def abandon(self) -> None:
        """Roll it back."""


class Transactions(Protocol):
    """What makes the transactions of attempts."""

    def of(self, claim: Claim) -> OwnTransaction:
        """Return that of one attempt."""
        ...


class Context:
    """The attempt that is running. *voice*: what keeps the lines that it says, see `flower.sdk.journal`."""

    __slots__ = ("_claim", "_log", "_said", "_transactions", "own", "voice")

    def __init__(self, claim: Claim, transactions: Transactions | None = None, said: Said | None = None, voice: Voice | None = None) -> None:
        self._claim, self._transactions, self._said, self.voice = claim, transactions, said, voice
        self.own: OwnTransaction | None = None
        self._log: FilteringBoundLogger | None = None

    @property
    def flow_id(self) -> str:
        """The id of the flow."""
        return self._claim.flow_id

    @property
    def seq(self) -> Decimal:
        """The number of the task in its flow, from 1."""
        return self._claim.seq

    @property
    def name(self) -> str:
        """The name of the task in its flow."""
        return self._claim.name

    @property
    def workflow(self) -> str:
        """The name of the workflow."""
        return self._claim.workflow

    @property
    def attempt(self) -> int:
        """Which start of this task this is, from 1. Only grows, whatever the reason for a new start."""
        return self._claim.attempt

    @property
    def scheduled_for(self) -> datetime | None:
        """The time of a schedule that the flow is for, in UTC, however late it is; None for a flow that was started otherwise."""
        return self._claim.scheduled_for

    @property
    def key(self) -> str:
        """A text that is the same for each attempt of this task and for no other task: hand it to services that take an idempotency key."""
        return f"{self._claim.flow_id}/{self._claim.seq}"

    def progress(self, done: float, total: float | None = None) -> None:
        """Say how far the attempt is, for `show`, `--wait` and the API; *total* if it is known. Costs nothing: once a second the latest is written.

        May be called from threads. Raises ValueError for what is no finite number.
        """
        if not math.isfinite(done) or not math.isfinite(total or 0):
            raise ValueError(f"progress({done}, {total}): finite numbers are needed")
        if self._said is not None:
            self._said[self._claim.claim_id] = self._claim, done, total

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Any]:
        """Lend a connection (asyncpg's) in a transaction of the database that the flow is in, for writes of the task's own.

        They are committed together with the task's outcome, after the function has returned; if it raises, if its process dies, or if the task
        was taken away meanwhile, they never existed. This is the one case of effects that happen exactly once. Entered again, it is the same
        transaction. Raises NotInTask where no engine runs the task.
        """
        if self._transactions is None:
            raise NotInTask("context().transaction()")
        if self.own is None:
            self.own = self._transactions.of(self._claim)
        yield await self.own.begin()

    @property
    def log(self) -> FilteringBoundLogger:
        """A structlog logger that writes flow, seq and attempt with every event."""
        if self._log is None:
            from flower.core import log

            self._log = log.get(flow=self._claim.flow_id, seq=str(self._claim.seq), attempt=self._claim.attempt)
        return self._log


# Set by the runner around user code, and copied into the threads and asyncio tasks that this code starts.
CURRENT: ContextVar[Context | None] = ContextVar("flower_context", default=None)


def context() -> Context:
    """Return what is known of the attempt that is running. Raises NotInTask where none is."""
    current = CURRENT.get()
    if current is None:
        raise NotInTask("context()")
    return current
