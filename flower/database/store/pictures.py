"""Pictures: the tasks of a flow folded to what a person can take in."""

from __future__ import annotations

from decimal import Decimal

from flower.core.picture import Edge, Missing, Picture
from flower.database.pool import Pool
from flower.database.queries import query
from flower.database.store.rows import node_of


class Pictures:
    """Sends the statement that folds the tasks of a flow."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def of(self, flow_id: str, focus: Decimal | None = None) -> Picture:
        """Return the picture of a flow around the task *focus*; empty if it has no tasks.

        Without *focus*, or where it is not there: around the first task that went wrong, else is suspended, else runs, else is the first.
        At most some 150 nodes, whatever the flow has. Which they are depends on its tasks, on the focus, and on which of them are suspended.
        """
        rows = await self._pool.fetch(query("picture"), flow_id, focus)
        return Picture(
            rows[0]["focus"] if rows else None,
            tuple(node_of(row) for row in rows),
            tuple(Edge(parent, row["key"]) for row in rows for parent in row["parents"]),
            tuple(Missing(row["key"], row["missing"], row["absent"]) for row in rows if row["missing"]),
        )
