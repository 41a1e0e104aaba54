"""The engine's one round trip, typed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

import asyncpg

from flower.core.model import Claim, Outcome
from flower.database.pool import Pool
from flower.database.queries import query


@dataclass(frozen=True, slots=True)
class Position:
    """The place in the order of claimable tasks behind which the next claim looks: the whole key of the last one claimed."""

    run_order: float
    rank: int
    seq: Decimal
    flow_id: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What one cycle did.

    *claimed*: now held by this worker, most urgent first. The others are claim ids of outcomes handed in: *refused* (the claim was gone),
    *locked* (somebody's session holds the row: send them again), *unstorable* (recorded as failed instead).
    *position*: behind the last one claimed; after a look with no slots, where the next claim begins; None from the start.
    *sleep_seconds*: when to look again, None: when the bell rings.
    """

    claimed: tuple[Claim, ...]
    refused: tuple[UUID, ...]
    locked: tuple[UUID, ...]
    unstorable: tuple[UUID, ...]
    position: Position | None
    sleep_seconds: float | None


class Cycle:
    """Sends cycle.sql."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def turn(
        self, worker: UUID, outcomes: Sequence[Outcome], slots: int, *, look: bool, careful: bool = False, position: Position | None = None
    ) -> Answer:
        """Record *outcomes*, release who waited for them, and claim up to *slots* tasks, from *position* on.

        *look*: also take up what others changed. *careful*: one outcome at a time, after a call that a value had made fail.
        Raises asyncpg.PostgresError of class 22, 23, 54 or P0 if a value cannot be stored; nothing of the call is done then.
        """
        claims = [outcome.claim for outcome in outcomes]
        rows = await self._pool.fetch(
            query("cycle"),
            worker,
            [claim.flow_id for claim in claims],
            [claim.seq for claim in claims],
            [claim.claim_id for claim in claims],
            [outcome.status for outcome in outcomes],
            [outcome.why for outcome in outcomes],
            [outcome.value for outcome in outcomes],
            [outcome.after_seconds for outcome in outcomes],
            [outcome.unharmed for outcome in outcomes],
            slots,
            look,
            careful,
            *((position.run_order, position.rank, position.seq, position.flow_id) if position else (None, None, None, None)),
        )
        return _answer(rows)


def _answer(rows: Sequence[asyncpg.Record]) -> Answer:
    by_kind: dict[str, list[asyncpg.Record]] = {}
    for row in rows:
        by_kind.setdefault(row[0], []).append(row)
    sleep = next(iter(by_kind.get("sleep", ())), None)
    # UPDATE … RETURNING has no order.
    claimed = sorted(by_kind.get("claimed", ()), key=_sortable)
    return Answer(
        claimed=tuple([_claim(row) for row in claimed]),
        refused=tuple(row["claim"] for row in by_kind.get("refused", ())),
        locked=tuple(row["claim"] for row in by_kind.get("not written", ())),
        unstorable=tuple(row["claim"] for row in by_kind.get("unstorable", ())),
        position=_position(claimed[-1] if claimed else sleep),
        sleep_seconds=None if sleep is None else sleep["seconds"],
    )


def _claim(row: asyncpg.Record) -> Claim:
    parameters, open_, options, scheduled = row[12] or (row[6], None, None, None)
    return Claim(row[1], row[2], row[3], row[4], row[5], parameters, row[7], row[8], open_, row[13], options, scheduled and _moment(scheduled))


def _moment(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:  # infinity, or the year 20000: a hand wrote it
        return None


def _position(row: asyncpg.Record | None) -> Position | None:
    return None if row is None or row["run_order"] is None else Position(*_order(row))


def _order(row: asyncpg.Record) -> tuple[float, int, Decimal, str]:
    return row[9], row[10], row[2], row[1]


def _sortable(row: asyncpg.Record) -> tuple[float, int, bool, Decimal, str]:
    # A seq that a hand wrote may be NaN: the greatest for PostgreSQL, an error for Python when it is compared.
    run_order, rank, seq, flow_id = _order(row)
    return run_order, rank, seq.is_nan(), Decimal() if seq.is_nan() else seq, flow_id
