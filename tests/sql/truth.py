"""What must be true of the tables when the engine has looked at everything, worked out from the rows alone, in Python."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from math import inf
from typing import Any, TypeAlias

from flower.database.pool import Connection

Key: TypeAlias = tuple[str, Decimal]

FIELDS = "task_flow_id, task_exec_seq, exec_status, task_id, program, limits, run_after, gate, waits_seq, waits_for, crashes, outcome, waits_since"


@dataclass(frozen=True)
class Picture:
    """The tables at one moment."""

    tasks: dict[Key, dict[str, Any]]
    parents: dict[Key, dict[Decimal, tuple[Decimal, ...]]]
    paused: frozenset[tuple[str, str]]  # kind and name
    programs: frozenset[str]
    slots: dict[str, int | None]
    signals: frozenset[str]
    inside: dict[str, int] = field(default_factory=dict)

    def open_parents(self, key: Key) -> set[Decimal]:
        """The parents that still count against a task; one that is not there does."""
        found = set()
        for parent, counts in self.parents.get(key, {}).items():
            task = self.tasks.get((key[0], parent))
            if (task["exec_status"] if task else Decimal(-1)) not in counts:
                found.add(parent)
        return found

    def room(self, limit: str) -> float:
        """How many may be inside a limit: by its own row, else by the longest pattern that fits."""
        rules = [limit, *sorted((name for name in self.slots if name.endswith("*") and limit.startswith(name[:-1])), key=len, reverse=True)]
        slots = next((self.slots[name] for name in rules if name in self.slots), None)
        return inf if slots is None else slots

    def pauses(self, key: Key) -> set[tuple[str, str]]:
        """The pauses that hold a task, by kind and name."""
        task = self.tasks[key]
        limits = [limit for limit in task["limits"] or () if limit is not None]
        called: dict[str, Callable[[str], bool]] = {
            "workflow": lambda name: name in {task["task_id"], key[0]},
            "flow": lambda name: name == key[0],
            "program": lambda name: name == task["program"],
            "limit": lambda name: any(limit == name or (name.endswith("*") and limit.startswith(name[:-1])) for limit in limits),
            "all": lambda _: True,
        }
        return {(kind, name) for kind, name in self.paused if called[kind](name)}

    def wrong_gate(self, key: Key) -> str | None:
        """Say what is wrong with the gate of a waiting task, None if nothing is."""
        task = self.tasks[key]
        seen = (task["gate"], task["waits_seq"], task["waits_for"])
        parents = self.open_parents(key)
        right: set[tuple[str, object, object]]
        limits = {limit for limit in task["limits"] or () if limit is not None}
        full = {limit for limit in limits if self.inside.get(limit, 0) >= self.room(limit)}
        if parents:
            right = {("dependencies", parent, None) for parent in parents}
        elif task["run_after"] and task["run_after"] > datetime.now(UTC):
            right = {("time", None, None)}
        elif holds := self.pauses(key):
            right = {("pause", None, name if kind in {"workflow", "flow"} else f"{kind}:{name}") for kind, name in holds}
            if task["program"] == "WaitForSignal" and task["waits_since"] is not None:  # it had begun to wait before
                right.add(("signal", None, "s\n"))
        elif task["program"] == "WaitForSignal":
            right = {("signal", None, "s\n")}
        elif task["program"] not in self.programs:
            right = {("program", None, task["program"])}
        else:
            # in the queue of a pattern one keeps its turn, though another of its limits is full
            kept = {limit for limit in limits if full and any(name.endswith("*") and limit.startswith(name[:-1]) for name in self.slots)}
            right = {("limit", None, limit) for limit in full | kept} | ({("slot", None, None)} if limits or not full else set())
        return None if seen in right else f"{key} stands at {seen}, should be at one of {right}"


async def picture(connection: Connection) -> Picture:
    """Read the tables."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        tasks = {(row[0], row[1]): dict(row) for row in await connection.fetch(f"SELECT {FIELDS} FROM kr_task_stat")}
        parents: dict[Key, dict[Decimal, tuple[Decimal, ...]]] = {}
        for flow, seq, parent, counts in await connection.fetch("SELECT task_flow_id, task_exec_seq, parent_seq, counts FROM kr_task_edge"):
            parents.setdefault((flow, seq), {})[parent] = tuple(counts)
        paused = frozenset((row[0], row[1]) for row in await connection.fetch("SELECT kind, task_id FROM ms_pause"))
        programs = frozenset(program for row in await connection.fetch("SELECT programs FROM kr_worker") for program in row[0])
        slots = {row[0]: row[1] for row in await connection.fetch("SELECT name, slots FROM ms_limit")}
        signals = frozenset(row[0] for row in await connection.fetch("SELECT door FROM kr_signal WHERE stage <> 'taken'"))
    inside: dict[str, int] = {}
    for task in tasks.values():
        if task["exec_status"] == 1 or (task["exec_status"] == 0 and task["gate"] == "slot"):
            for limit in set(task["limits"] or ()):
                inside[limit] = inside.get(limit, 0) + 1
    return Picture(tasks, parents, paused, programs, slots, signals, inside)


def faults(now: Picture, excused: frozenset[str] = frozenset(), *, late: bool = False) -> list[str]:
    """Everything that is wrong after the engine has come to rest.

    *excused*: limits that a hand has made too small for who is inside. *late*: somebody may have come to a limit while a pause was written; he goes on to
    that when his turn comes.
    """
    waiting = [key for key, task in now.tasks.items() if task["exec_status"] == 0]
    found = [fault for key in waiting if (fault := now.wrong_gate(key)) and not (late and now.tasks[key]["gate"] == "limit" and now.pauses(key))]
    found += [f"{count} are inside {limit}, it has {now.room(limit)} slots" for limit, count in now.inside.items()
              if count > now.room(limit) and not is_excused(limit, excused)]  # fmt: skip
    found += [
        f"{key} waits for a signal that is there"
        for key in waiting
        if now.tasks[key]["gate"] == "signal" and now.tasks[key]["waits_for"] in now.signals
    ]
    return found + [f"{key} waits in a circle" for key in circles(now, waiting)]


def is_excused(limit: str, excused: frozenset[str]) -> bool:
    """Whether a hand has changed what holds for a limit."""
    return any(limit == name or (name.endswith("*") and limit.startswith(name[:-1])) for name in excused)


def circles(now: Picture, waiting: list[Key]) -> set[Key]:
    """The waiting tasks that are left when all that wait for none of them are taken away, again and again."""
    left = set(waiting)
    while free := {key for key in left if not any((key[0], parent) in left for parent in now.open_parents(key))}:
        left -= free
    return left
