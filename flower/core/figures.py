"""The figures that say how it goes, as frozen values, and what is worked out from them. Pure: they come from the store."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from flower.core.model import Json
from flower.core.status import FAULTS, Status


@dataclass(frozen=True, slots=True)
class Counted:
    """Attempts that were recorded: *finished*; *failed*, which left their task suspended as failed, poison or invalid; *retried*, tried again."""

    finished: int = 0
    failed: int = 0
    retried: int = 0

    def __add__(self, other: Counted) -> Counted:
        return Counted(self.finished + other.finished, self.failed + other.failed, self.retried + other.retried)


@dataclass(frozen=True, slots=True)
class Minute:
    """What all workers recorded in the minute that began *at*."""

    at: datetime
    counted: Counted


@dataclass(frozen=True, slots=True)
class Count:
    """So many; or, with *more*, at least so many: nobody counted further."""

    value: int = 0
    more: bool = False

    def __add__(self, other: Count) -> Count:
        return Count(self.value + other.value, self.more or other.more)


@dataclass(frozen=True, slots=True)
class OpenCounts:
    """What is not over: *flows* and *tasks* by status (wait, running, suspend), and those that wait by *gates*.

    Under the gate `new` stands what was written just now, and nobody has looked at yet.
    """

    flows: Mapping[str, Count]
    tasks: Mapping[str, Count]
    gates: Mapping[str, Count]


@dataclass(frozen=True, slots=True)
class LiveWorker:
    """One Flower process that is alive, and what it does. *silent_seconds*: since its last beat. *leaked*: attempts that do not stop."""

    worker_id: UUID
    host: str
    pid: int
    version: str
    slots: int
    running: int
    leaked: int
    programs: tuple[str, ...]
    started_at: datetime
    beat_at: datetime
    silent_seconds: float
    lease_until: datetime


@dataclass(frozen=True, slots=True)
class Noticed:
    """A task that runs, and what its worker saw of it: *notice* has `type`, `message`, `where`, `at`."""

    flow_id: str
    seq: Decimal
    workflow: str
    name: str
    program: str | None
    worker_id: UUID | None
    notice: Json


@dataclass(frozen=True, slots=True)
class OpenTransaction:
    """A transaction that is open for *seconds* and keeps the server from removing dead rows. *application*: as the session calls itself."""

    seconds: float
    application: str
    pid: int
    state: str
    role: str


@dataclass(frozen=True, slots=True)
class Sizes:
    """Bytes: of the whole *database*, and of Flower's *tables* with their indexes, the largest first."""

    database: int
    tables: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class PastFlow:
    """One of the latest flows of a workflow. *outcome*: why it is suspended, or `cancelled`.

    *partly*: it has more tasks than were looked at, and counts as over when the last of them are.
    """

    flow_id: str
    status: Status
    outcome: str | None
    stalled: bool
    registered_at: datetime
    finished_at: datetime | None
    partly: bool = False

    @property
    def seconds(self) -> float | None:
        """How long it took, from its registration to the end of its last task; None if it is not over."""
        return None if self.finished_at is None else (self.finished_at - self.registered_at).total_seconds()

    @property
    def went_wrong(self) -> bool:
        """Whether it stands still because a task went wrong."""
        return self.status is Status.SUSPEND and self.stalled and self.outcome in FAULTS


@dataclass(frozen=True, slots=True)
class History:
    """How the latest *flows* of a workflow went, the newest last.

    *success_rate*: the finished ones among all that finished or went wrong, 0 to 1. Durations are those of the finished ones. None: there are none.
    """

    workflow: str
    flows: tuple[PastFlow, ...]

    @property
    def finished(self) -> int:
        """How many of them finished."""
        return sum(flow.status is Status.FINISH for flow in self.flows)

    @property
    def failed(self) -> int:
        """How many of them stand still because a task went wrong."""
        return sum(flow.went_wrong for flow in self.flows)

    @property
    def success_rate(self) -> float | None:
        """Finished ÷ finished and failed."""
        ended = self.finished + self.failed
        return self.finished / ended if ended else None

    def percentile(self, share: float) -> float | None:
        """Return the duration in seconds that *share* of the finished flows did not exceed (nearest rank)."""
        return percentile([flow.seconds for flow in self.flows if flow.status is Status.FINISH and flow.seconds is not None], share)


def percentile(values: Sequence[float], share: float) -> float | None:
    """Return the least of *values* that *share* of them, above 0 and up to 1, do not exceed; None of none."""
    return sorted(values)[math.ceil(share * len(values)) - 1] if values else None
