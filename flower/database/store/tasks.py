"""Tasks of one flow: found one by one, and listed in brief. What it costs does not grow with what is not asked for."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from difflib import get_close_matches

from flower.core.errors import UnknownTask
from flower.core.model import Task
from flower.core.picture import Approval, Attempt, Past, Rows
from flower.core.status import FAULTS, Status, Why, words
from flower.core.steps import seq_of
from flower.database.pool import Pool
from flower.database.queries import query
from flower.database.store.rows import attempt_of, past_of, row_of, task_of

# Among so many names a near one is looked for.
_NAMES = 300
# A task may have been tried for months: a person looks at the latest.
MOST_ATTEMPTS = 100
_ATTEMPTS_DRAWN = 20
# Only a suspended task is said to have such an outcome; while it waits for its next attempt the word stands there, too.
_OF_THE_SUSPENDED = FAULTS | {Why.APPROVAL}


class Tasks:
    """Sends the statements about tasks."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def find(self, flow_id: str, step: str, *, parents: int | None = None) -> Task:
        """Return the task whose seq is *step*, else the first whose name it is. Raises UnknownTask with near names, also without such a flow.

        *parents*: how many of those that it depends on are wanted, None for all; it may have 10,000.
        """
        row = await self._pool.fetchrow(query("task"), flow_id, seq_of(step), step, parents)
        if row is None:
            names = [found["name"] for found in await self._pool.fetch(query("task_names"), flow_id, _NAMES)]
            raise UnknownTask(flow_id, step, get_close_matches(step, names))
        return task_of(row)

    async def focus(self, flow_id: str) -> Decimal | None:
        """Return the seq of the task that a person looks at first: that stopped the flow, else that runs, else that ended last."""
        seq: Decimal | None = await self._pool.fetchval(query("focus"), flow_id)
        return seq

    async def attempts(self, flow_id: str, seq: Decimal, limit: int = MOST_ATTEMPTS, *, results: bool = True) -> tuple[Attempt, ...]:
        """Return up to *limit* earlier attempts of a task, the latest first. *results*: with what they returned, which may be large."""
        return tuple(attempt_of(row) for row in await self._pool.fetch(query("attempts"), flow_id, seq, limit, results))

    async def rows(
        self,
        flow_id: str,
        *,
        after: Decimal | None = None,
        begin: Decimal | None = None,
        limit: int = 100,
        status: str | None = None,
        program: str | None = None,
    ) -> Rows:
        """Return up to *limit* tasks of a flow in brief, in order of seq: those behind the seq *after*, or from *begin* on.

        *status*: only those with this status, or with this outcome. *program*: only those of it.
        Raises Invalid for an unknown word.
        """
        state, outcome = words(status, None)
        number = None if state is None else Decimal(Status[state.upper()])
        if outcome in _OF_THE_SUSPENDED:
            number = Decimal(Status.SUSPEND)
        found = await self._pool.fetch(query("rows"), flow_id, after, limit + 1, number, outcome, begin, program)
        items = tuple(row_of(row) for row in found[:limit])
        return Rows(items, items[-1].seq if len(found) > limit else None)

    async def approvals(self, flow_ids: Sequence[str]) -> tuple[Approval, ...]:
        """Return the tasks of these flows that wait for an answer of a person, the latest first."""
        rows = await self._pool.fetch(query("approvals"), list(flow_ids))
        return tuple(Approval(row["flow_id"], row["seq"], row["name"], row["workflow"], row["question"] or "", row["since"]) for row in rows)

    async def pasts(self, flow_id: str, seqs: Sequence[Decimal]) -> tuple[Past, ...]:
        """Return what was before the current attempts of the tasks *seqs*, in no order."""
        return tuple(past_of(row) for row in await self._pool.fetch(query("pasts"), flow_id, list(seqs), _ATTEMPTS_DRAWN))
