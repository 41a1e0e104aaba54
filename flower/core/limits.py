"""Limits: how many tasks or flows that count for one may run at once, and how it stands with them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Limit:
    """How many tasks that name it may run at once, and how it stands. Of a pattern (`tenant:*`) all that begins so is counted together.

    *of_flows*: it counts flows, not tasks. *slots*: None for any number; of a pattern, what each name has. *rate*: as `10/min`. *ready*: tasks
    that it has let through and that wait for a slot of a worker. *waiting*: for this limit, *and_more* than that. *holders*: up to five tasks, as
    flow/seq, or flows. *next_at*: when the rate lets the next one start, None if it may now.
    *paused*: the name, or the beginning of it, under which it is paused.
    """

    name: str
    of_flows: bool
    slots: int | None
    rate: str | None
    running: int
    ready: int
    waiting: int
    and_more: bool
    holders: tuple[str, ...]
    next_at: datetime | None
    paused: str | None
