"""What tasks have said: written in batches, read in parts."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import asyncpg

from flower.core.errors import FieldError, Invalid
from flower.core.model import LogLine, Task
from flower.core.steps import failing_of
from flower.database.pool import Pool
from flower.database.queries import query

_COLUMNS = ("task_flow_id", "task_exec_seq", "attempt", "said_ts", "level", "source", "message")
_LARGEST_ID = 2**63 - 1
_LAST_LINES = 10


class Logs:
    """Writes by COPY, and sends the statements that read."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def write(self, lines: Sequence[LogLine]) -> None:
        """Write *lines*, in their order. Raises DatabaseLost; all of them are written, or none."""
        rows = [(line.flow_id, line.seq, line.attempt, line.at, line.level, line.source, line.message) for line in lines]
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(query("lock_logs"))
            await connection.copy_records_to_table("kr_task_log", schema_name=self._pool.schema, columns=_COLUMNS, records=rows)

    async def read(self, flow_id: str, *, seq: Decimal | None = None, after: str | None = None, limit: int = 1000) -> tuple[LogLine, ...]:
        """Return up to *limit* lines of a flow, or of one task, behind the line whose id is *after*. Raises Invalid for what is no such id."""
        rows = await self._pool.fetch(query("logs"), flow_id, seq, _id(after), limit)
        return tuple(_line(flow_id, row) for row in rows)

    async def last(self, flow_id: str, seq: Decimal, *, limit: int) -> tuple[LogLine, ...]:
        """Return the last *limit* lines of a task, the oldest first."""
        return tuple(_line(flow_id, row) for row in await self._pool.fetch(query("last_logs"), flow_id, seq, limit))

    async def before_failure(self, tasks: Sequence[Task]) -> tuple[LogLine, ...]:
        """Return the last lines of that of *tasks* which went wrong, the oldest first; nothing if none did."""
        failing = failing_of(tasks)
        return () if failing is None else await self.last(failing.flow_id, failing.seq, limit=_LAST_LINES)


def _id(after: str | None) -> int:
    if after is None:
        return 0
    if not after.isascii() or not after.isdigit() or int(after) > _LARGEST_ID:
        raise Invalid([FieldError("after", "is not the id of a line")])
    return int(after)


def _line(flow_id: str, row: asyncpg.Record) -> LogLine:
    return LogLine(flow_id, row["seq"], row["attempt"], row["at"], row["level"], row["source"], row["message"], str(row["id"]))
