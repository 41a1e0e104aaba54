"""The frozen values that the pictures and the table of one flow are drawn from: enough for a look, however many tasks there are."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from flower.core.model import Json

_MAPPED = re.compile(r"(?P<stem>.*)\[(?P<index>\d+)\]", re.DOTALL)


class FoldedBy(StrEnum):
    """What the tasks of a fold have in common: their depth and their program, their depth, or that they lie before or after what is shown."""

    ALIKE = "alike"
    DEPTH = "depth"
    BEFORE = "before"
    AFTER = "after"


@dataclass(frozen=True, slots=True)
class Node:
    """One task in a picture. *key*: what edges call it by. *status*: a word; None for a step of a workflow.

    *depth*: the longest path to it from a root; 0 where a hand wrote its row.
    """

    key: str
    seq: Decimal
    name: str
    program: str | None
    depth: int
    status: str | None
    outcome: str | None
    attempt: int


@dataclass(frozen=True, slots=True)
class Fold:
    """Several tasks that are drawn as one. *seq*: of the first of them. *counts*: how many by status word; *faults* of the suspended ones went wrong.

    *names*: the first and the last of them in order of bytes, so that all lie between them, then that of the first and the last task.
    """

    key: str
    by: FoldedBy
    seq: Decimal
    program: str | None
    depth: int
    counts: dict[str, int]
    faults: int
    names: tuple[str, str, str, str]

    @property
    def size(self) -> int:
        """How many tasks it is."""
        return sum(self.counts.values())

    @property
    def name(self) -> str | None:
        """What all of them may be called, `fetch[0…999]`, their one name or program; None if they have nothing in common."""
        low, high, first, last = self.names
        begin, end = _MAPPED.fullmatch(first), _MAPPED.fullmatch(last)
        # What the first and the last in order of bytes begin with, all names between them do, too.
        if begin and end and all(name.startswith(f"{begin['stem']}[") for name in (low, high, last)):
            return f"{begin['stem']}[{begin['index']}…{end['index']}]"
        return low if low == high else self.program


@dataclass(frozen=True, slots=True)
class Edge:
    """That something in the node *child* comes after something in the node *parent*."""

    parent: str
    child: str


@dataclass(frozen=True, slots=True)
class Missing:
    """Edges into the node *child* that come from tasks which do not exist: how many, and the *seq* of the first."""

    child: str
    count: int
    seq: Decimal


@dataclass(frozen=True, slots=True)
class Picture:
    """The tasks of a flow as nodes that a person can take in, in order of depth and seq, and what leads where. *focus*: the task that it is about."""

    focus: Decimal | None
    nodes: tuple[Node | Fold, ...]
    edges: tuple[Edge, ...]
    missing: tuple[Missing, ...] = ()


@dataclass(frozen=True, slots=True)
class Row:
    """A task in brief. *status*: a word. *error*: `type: message` in at most 200 characters, secrets hidden. *limited*: it names limits."""

    seq: Decimal
    name: str
    program: str | None
    status: str
    outcome: str | None
    gate: str | None
    attempt: int
    tries: int
    attempts: int
    registered_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    suspended_at: datetime | None
    run_after: datetime | None
    progress: Json = None
    error: str | None = None
    limited: bool = False

    @property
    def ended_at(self) -> datetime | None:
        """When it came to its end, or to a stop."""
        return self.finished_at or self.suspended_at


@dataclass(frozen=True, slots=True)
class Rows:
    """A part of the tasks of a flow, in order of seq. *next* is what to hand in as `after` for the next part, None at the end."""

    items: tuple[Row, ...]
    next: Decimal | None


@dataclass(frozen=True, slots=True)
class Past:
    """What was before the current attempt of a task.

    When the last of its parents ended, None if none has; and its latest earlier attempts in order, each with its begin and its end.
    """

    seq: Decimal
    parents_ended_at: datetime | None
    attempts: tuple[tuple[datetime, datetime], ...] = ()


@dataclass(frozen=True, slots=True)
class Attempt:
    """An earlier attempt of a task. *status* and *outcome*: how it ended; `wait`: the task went back."""

    number: int
    status: str
    outcome: str | None
    started_at: datetime | None
    ended_at: datetime
    error: Json
    result: Json
    worker: UUID | None


@dataclass(frozen=True, slots=True)
class Approval:
    """A task that waits for an answer of a person, and what it asks."""

    flow_id: str
    seq: Decimal
    name: str
    workflow: str
    question: str
    since: datetime | None
