"""The workflows that are measured, and rows in bulk, as a registration would write them: registered one by one they would take minutes."""

from __future__ import annotations

from pathlib import Path

from flower.database.pool import Connection

# As rows/definitions.sql has them.
TASKS = {"chain": 40, "fan": 1_002}


def statement(name: str) -> str:
    """Return the statement in `rows/NAME.sql`."""
    return (Path(__file__).parent / "rows" / f"{name}.sql").read_text(encoding="utf-8")


async def define(connection: Connection) -> None:
    """Write the definitions of all workflows that are measured."""
    await connection.execute(statement("definitions"))


async def add_noops(connection: Connection, count: int, program: str = "noop", parameters: str = "{}") -> None:
    """Write *count* flows of one task of *program* that may run at once, all in one transaction, and ring the bell."""
    async with connection.transaction():
        await connection.execute(statement("noops"), count, program, parameters)
        await connection.execute("SELECT pg_notify('flower', '')")


async def add_finished(connection: Connection, count: int) -> None:
    """Write *count* flows of one finished task each."""
    async with connection.transaction():
        await connection.execute("SET LOCAL session_replication_role = replica")
        await connection.execute(statement("finished"), count)


async def add_waiting(connection: Connection, count: int) -> None:
    """Write *count* old flows with a task each at the gates time, dependencies and program."""
    await connection.execute(statement("waiting"), count)


async def add_less_urgent(connection: Connection) -> None:
    """Give each flow of `add_waiting` a task that may run, after everything else."""
    await connection.execute(statement("less_urgent"))
