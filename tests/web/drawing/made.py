"""Pictures and rows that tests make up."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from flower.core.picture import Edge, Fold, FoldedBy, Missing, Node, Past, Picture, Row

MORNING = datetime(2026, 11, 24, 8, 30, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return MORNING + timedelta(seconds=seconds)


def a_node(seq: int, name: str | None = None, status: str = "finish", outcome: str | None = None, attempt: int = 1) -> Node:
    return Node(f"task-{seq}", Decimal(seq), name or f"step-{seq}", "Ok", 0, status, outcome, attempt)


def a_fold(seq: int, by: FoldedBy = FoldedBy.ALIKE, program: str | None = "fetch", faults: int = 0, **counts: int) -> Fold:
    key = by.value if by in {FoldedBy.BEFORE, FoldedBy.AFTER} else f"fold-{seq}"
    whole = {"wait": 0, "running": 0, "suspend": 0, "finish": 0, "ignore": 0} | counts
    return Fold(key, by, Decimal(seq), program, 1, whole, faults, ("a", "z", "a", "b"))


def a_picture(nodes: Sequence[Node | Fold], edges: Sequence[tuple[int, int]] = (), missing: Sequence[Missing] = ()) -> Picture:
    """Return a picture; *edges* from and to places in *nodes*."""
    return Picture(None, tuple(nodes), tuple(Edge(nodes[parent].key, nodes[child].key) for parent, child in edges), tuple(missing))


def a_row(seq: int | str = 1, **changes: Any) -> Row:
    values: dict[str, Any] = {
        "seq": Decimal(seq),
        "name": f"step-{seq}",
        "program": "Ok",
        "status": "finish",
        "outcome": None,
        "gate": None,
        "attempt": 1,
        "tries": 0,
        "attempts": 1,
        "registered_at": MORNING,
        "started_at": at(10),
        "finished_at": at(30),
        "suspended_at": None,
        "run_after": None,
    }
    return Row(**values | changes)


def a_past(seq: int = 1, parents: float | None = None, attempts: Sequence[tuple[float, float]] = ()) -> Past:
    return Past(Decimal(seq), None if parents is None else at(parents), tuple((at(begin), at(end)) for begin, end in attempts))
