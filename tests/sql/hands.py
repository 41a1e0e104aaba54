"""A person who writes anything, at random: rows, edges, statuses, limits, pauses, signals."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from decimal import Decimal
from random import Random

from flower.database.pool import Connection

PROGRAMS = ("Ok", "Ok", "Ok", "Rare", "WaitForSignal")
WAITS = ('{"name": "s"}', '{"name": "s"}', '{"name": "s", "timeout": 0}', '{"name": "s", "timeout": 0, "default": 1}', '{"name": 1}')
WORKFLOWS = ("one", "one", "two")
LIMITS = (None, None, None, ["a"], ["b"], ["a", "b"], ["c"], ["k:1"], ["k:2"], ["k:2", "a"])
LIMITED = ("a", "b", "c", "k:*", "k:*", "k:1", "*")
PAUSES = (
    ("workflow", "one"),
    ("workflow", "two"),
    ("workflow", "f"),
    ("flow", "g"),
    ("flow", "one"),
    ("program", "Rare"),
    ("program", "Ok"),
    ("limit", "a"),
    ("limit", "b*"),
    ("limit", "*"),
    ("all", "*"),
)
TIMES = ("NULL", "NULL", "clock_timestamp() - interval '1 h'", "'infinity'")


@dataclass
class Changes:
    """What was done to statuses and limits, so that a model can follow."""

    taken: set[tuple[str, Decimal]] = field(default_factory=set)
    limits: set[str] = field(default_factory=set)


class Hands:
    """One person. Each statement touches the flows in *flows* only, and tasks 1 to *most*."""

    def __init__(self, random: Random, flows: tuple[str, ...], most: int = 7) -> None:
        self.random, self.flows, self.most = random, flows, most

    async def write(self, connection: Connection) -> Changes:
        """Do one thing."""
        changes = Changes()
        doing: Callable[[Connection, Changes], Awaitable[None]] = self.random.choices(
            [self._insert, self._status, self._edge, self._column, self._delete, self._limit, self._pause, self._signal], [8, 6, 4, 5, 2, 3, 3, 1]
        )[0]
        await doing(connection, changes)
        return changes

    def _seq(self) -> Decimal:
        return Decimal(self.random.randint(1, self.most))

    def _task(self) -> tuple[str, Decimal]:
        return self.random.choice(self.flows), self._seq()

    async def _insert(self, connection: Connection, changes: Changes) -> None:
        flow, seq = self._task()
        status, limits = Decimal(self.random.choice([0, 0, 0, 0, 0, 3, 2, 1, 7])), self.random.choice(LIMITS)
        if status == 1:  # whoever runs is inside, whether or not there was room
            changes.limits.update(limits or ())
        await connection.execute(
            f"""INSERT INTO kr_task_stat (task_flow_id, task_exec_seq, depends_task_exec_seq, task_id, task_seq, exec_status, parameters, program,
                    limits, task_priority, run_after)
                VALUES ($1, $2, $3, $4, 1, $5, $9, $6, $7, $8, {self.random.choice(TIMES)}) ON CONFLICT DO NOTHING""",
            flow,
            seq,
            self.random.choice([Decimal(-1), Decimal(-1), self._seq(), self._seq()]),
            self.random.choice(WORKFLOWS),
            status,
            self.random.choice(PROGRAMS),
            limits,
            Decimal(self.random.randint(-20, 19)),
            self.random.choice(WAITS),
        )

    async def _status(self, connection: Connection, changes: Changes) -> None:
        task, status = self._task(), Decimal(self.random.choice([0, 0, 0, 3, 9, 2, 1, 7]))
        await connection.execute("UPDATE kr_task_stat SET exec_status = $3 WHERE task_flow_id = $1 AND task_exec_seq = $2", *task, status)
        if status == 1:
            changes.limits.update(LIMITED)
        else:
            changes.taken.add(task)

    async def _edge(self, connection: Connection, _: Changes) -> None:
        flow, seq = self._task()
        parent = self._seq()
        if self.random.random() < 0.6:
            counts = self.random.choice(["{3,9}", "{3,9}", "{3}", "{2,3,9}"])
            await connection.execute(
                f"INSERT INTO kr_task_edge (task_flow_id, parent_seq, task_exec_seq, counts) VALUES ($1, $2, $3, '{counts}') ON CONFLICT DO NOTHING",
                flow, parent, seq,
            )  # fmt: skip
        else:
            await connection.execute("DELETE FROM kr_task_edge WHERE task_flow_id = $1 AND task_exec_seq = $2", flow, seq)

    async def _column(self, connection: Connection, changes: Changes) -> None:
        limits = self.random.choice(LIMITS)
        change = self.random.choice(
            [
                f"task_priority = {self.random.randint(-20, 19)}",
                f"run_after = {self.random.choice(TIMES)}",
                f"program = '{self.random.choice(PROGRAMS)}'",
                f"task_id = '{self.random.choice(WORKFLOWS)}'",
                f"depends_task_exec_seq = {self._seq()}",
                "limits = NULL" if limits is None else f"limits = '{{{','.join(limits)}}}'",
            ]
        )
        if change.startswith("limits"):
            changes.limits.update(limits or ())
        await connection.execute(f"UPDATE kr_task_stat SET {change} WHERE task_flow_id = $1 AND task_exec_seq = $2", *self._task())

    async def _delete(self, connection: Connection, changes: Changes) -> None:
        task = self._task()
        await connection.execute("DELETE FROM kr_task_stat WHERE task_flow_id = $1 AND task_exec_seq = $2", *task)
        changes.taken.add(task)

    async def _limit(self, connection: Connection, changes: Changes) -> None:
        name = self.random.choice(LIMITED)
        if self.random.random() < 0.2:
            await connection.execute("DELETE FROM ms_limit WHERE name = $1", name)
        else:
            upsert = "INSERT INTO ms_limit VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET slots = excluded.slots"
            await connection.execute(upsert, name, self.random.randint(0, 3))
        changes.limits.add(name)

    async def _signal(self, connection: Connection, _: Changes) -> None:
        await connection.execute("SELECT flower_signal('s')")

    async def _pause(self, connection: Connection, _: Changes) -> None:
        kind, name = self.random.choice(PAUSES)
        way = self.random.random()
        if way < 0.5:
            await connection.execute(
                f"INSERT INTO ms_pause (kind, task_id, until_ts) VALUES ($1, $2, {self.random.choice(TIMES)}) ON CONFLICT DO NOTHING", kind, name
            )
        elif way < 0.6:
            await connection.execute(
                "UPDATE ms_pause SET kind = 'workflow', task_id = $1 WHERE ctid = (SELECT ctid FROM ms_pause LIMIT 1) AND NOT EXISTS (SELECT FROM ms_pause WHERE door = $1)",
                name,
            )
        elif way < 0.9:
            await connection.execute("DELETE FROM ms_pause WHERE kind = $1 AND task_id = $2", kind, name)
        else:
            await connection.execute("DELETE FROM ms_pause")
