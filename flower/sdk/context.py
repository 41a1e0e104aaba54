"""What a running task may ask about itself: `context()`. Knows nothing of the engine that sets it."""

from __future__ import annotations

from contextvars import ContextVar
from decimal import Decimal
from typing import TYPE_CHECKING

from flower.core.errors import NotInTask
from flower.core.model import Claim

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger


class Context:
    """The attempt that is running."""

    __slots__ = ("_claim", "_log")

    def __init__(self, claim: Claim) -> None:
        self._claim = claim
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
    def key(self) -> str:
        """A text that is the same for each attempt of this task and for no other task: hand it to services that take an idempotency key."""
        return f"{self._claim.flow_id}/{self._claim.seq}"

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
