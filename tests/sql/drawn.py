"""Flows of any shape, written at once as registration and the cycle would leave them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from flower.database.pool import Connection


@dataclass(frozen=True, slots=True)
class Drawn:
    """One task of a flow that a test makes up."""

    seq: int
    depth: int = 0
    program: str | None = "Ok"
    status: int = 3
    outcome: str | None = None
    name: str | None = None


async def draw(connection: Connection, flow: str, tasks: Sequence[Drawn], edges: Iterable[tuple[int, int]] = ()) -> None:
    """Write *tasks*, and *edges* from parents to children."""
    async with connection.transaction():
        await connection.execute("SET LOCAL session_replication_role = replica")
        await connection.execute(
            """
            INSERT INTO kr_task_stat (task_flow_id, task_exec_seq, depends_task_exec_seq, task_id, task_seq, exec_status, parameters, registered_ts, rank, program, outcome, name)
            SELECT $1, s, -1, 'drawn', s, x, '{}', now(), -d, p, o, n FROM unnest($2::numeric[], $3::integer[], $4::text[], $5::numeric[], $6::text[], $7::text[]) u (s, d, p, x, o, n)
            """,
            flow,
            [task.seq for task in tasks],
            [task.depth for task in tasks],
            [task.program for task in tasks],
            [task.status for task in tasks],
            [task.outcome for task in tasks],
            [task.name for task in tasks],
        )
        pairs = list(edges)
        await connection.execute(
            "INSERT INTO kr_task_edge (task_flow_id, parent_seq, task_exec_seq, by_hand) SELECT $1, p, c, false FROM unnest($2::numeric[], $3::numeric[]) u (p, c)",
            flow,
            [parent for parent, _ in pairs],
            [child for _, child in pairs],
        )
