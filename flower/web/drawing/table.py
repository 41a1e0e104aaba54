"""Makes the tasks of a flow fit for a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from flower.core.model import Json
from flower.core.picture import Row
from flower.core.quantities import between
from flower.core.status import Status
from flower.core.steps import number
from flower.web.drawing.marks import Mark, fit, mark
from flower.web.words import link

_COLUMNS = 60
_MUCH = 10**15


@dataclass(frozen=True, slots=True)
class Line:
    """A task as it stands in the table. *took* is empty while it runs. *share*: how far it is, 0 to 100, None if it does not say."""

    id: str
    href: str
    mark: Mark
    current: bool
    seq: str
    name: str
    title: str
    program: str
    attempts: str
    started_at: datetime | None
    is_running: bool
    took: str
    error: str
    share: int | None
    progress: str


def lines(rows: Sequence[Row], selected: Decimal | None = None, query: Mapping[str, str] | None = None) -> tuple[Line, ...]:
    """Return *rows* for the table, the task *selected* marked. Links keep what *query* has."""
    return tuple(_line(row, selected, query or {}) for row in rows)


def _line(row: Row, selected: Decimal | None, query: Mapping[str, str]) -> Line:
    seq = number(row.seq)
    done, total = progress(row.progress)
    return Line(
        id=f"task-{seq}",
        href=link(query, task=seq),
        mark=mark(row.status, row.outcome),
        current=row.seq == selected,
        seq=seq,
        name=fit(row.name, _COLUMNS),
        title=row.name,
        program=row.program or "",
        attempts=(f"{row.attempt}" + (f" ({row.tries} of {row.attempts} used up)" if row.tries else "")) if row.attempt else "",
        started_at=row.started_at,
        is_running=row.status == Status.RUNNING.word,
        took=between(row.started_at, row.ended_at),
        error=row.error or "",
        share=None if total is None or done is None else round(100 * min(max(done / total, 0), 1)),
        progress="" if done is None else f"{done:,} of {total:,}" if total else f"{done:,}",
    )


def progress(said: Json) -> tuple[float | None, float | None]:
    """Return how much is done, of how much: a hand may have written anything."""
    given = said if isinstance(said, dict) else {}
    done, total = (value if isinstance(value, int | float) and abs(value) < _MUCH else None for value in (given.get("done"), given.get("total")))
    return done, total if total and total > 0 else None
