"""Turns database rows into the values of core.model and core.picture. Never raises: a hand may have written anything."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import asyncpg

from flower.core.masks import mask
from flower.core.model import Flow, Json, Suspension, Task
from flower.core.pauses import Pause
from flower.core.picture import Attempt, Fold, FoldedBy, Node, Past, Row
from flower.core.status import Gate, Status, status_word
from flower.core.waiting import Standing

_LONGEST_ERROR = 200


def json_of(text: str | None) -> Json:
    """Return the value of a JSON column; the text itself where Python cannot hold it (a number of 5,000 digits)."""
    if text is None:
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def flow_of(row: asyncpg.Record) -> Flow:
    """Return a row of flower_flows as a Flow."""
    return Flow(
        flow_id=row["flow_id"],
        workflow=row["workflow"],
        status=Status[row["status"].upper()],
        stalled=row["stalled"],
        priority=row["priority"],
        registered_at=row["registered_at"],
        finished_at=row["finished_at"],
        counts={word: row[column] for word, column in _COUNTS.items()},
        failing=row["failing"],
        revision=row["revision"],
        outcome=row["outcome"],
        stopped_at=row["stopped_at"],
        schedule=row["schedule"],
        scheduled_for=row["scheduled_for"],
        suspended=None if row["suspended_at"] is None else Suspension(row["suspended_at"], row["suspended_reason"]),
    )


_COUNTS = {"wait": "waiting", "running": "running", "suspend": "suspended", "finish": "finished", "ignore": "ignored"}


def task_of(row: asyncpg.Record) -> Task:
    """Return a row of flower_tasks, with `depends_on`, as a Task."""
    return Task(
        flow_id=row["flow_id"],
        seq=row["seq"],
        step_seq=row["step_seq"],
        workflow=row["workflow"],
        name=row["name"],
        program=row["program"],
        status=row["status_number"],
        outcome=row["outcome"],
        attempt=row["attempt"],
        crashes=row["crashes"],
        priority=row["priority"],
        parameters=json_of(row["parameters"]),
        result=json_of(row["result"]),
        error=json_of(row["error"]),
        notice=json_of(row["notice"]),
        depends_on=tuple(row["depends_on"]),
        worker=row["worker_id"],
        registered_at=row["registered_at"],
        started_at=row["started_at"],
        finished_at=row["finished_at"],
        suspended_at=row["suspended_at"],
        run_after=row["run_after"],
        place=row["place"],
        progress=json_of(row["progress"]),
        tries=row["tries"],
        attempts=int(row["attempts"]),
    )


def pause_of(row: Mapping[str, Any]) -> Pause:
    """Return a row of pauses.sql, or what flower_pause says, as a Pause."""
    return Pause(row["kind"], row["name"], row["reason"], row["since"], row["until"], row["by"])


def standing_of(row: asyncpg.Record) -> Standing:
    """Return a row of why.sql as a Standing."""
    return Standing(
        seq=row["seq"],
        name=row["name"],
        status=row["status_number"],
        outcome=row["outcome"],
        program=row["program"],
        gate=Gate(row["gate"]) if row["gate"] in set(Gate) else None,
        crashes=row["crashes"],
        priority=row["priority"],
        tries=row["tries"],
        reasons=json_of(row["reasons"]),
    )


def node_of(row: asyncpg.Record) -> Node | Fold:
    """Return a row of kr_picture as a node."""
    program = row["program"] or None
    if row["sort"] == "task":
        return Node(row["key"], row["seq"], row["name"], program, row["depth"], status_word(row["status"]), row["outcome"], row["attempt"])
    counts = {word: row[column] for word, column in _COUNTS.items()}
    return Fold(row["key"], FoldedBy(row["sort"]), row["seq"], program, row["depth"], counts, row["faults"], tuple(row["names"]))


def row_of(row: asyncpg.Record) -> Row:
    """Return a row of rows.sql."""
    return Row(
        seq=row["seq"],
        name=row["name"],
        program=row["program"],
        status=status_word(row["status_number"]),
        outcome=row["outcome"],
        gate=row["gate"],
        attempt=row["attempt"],
        tries=row["tries"],
        attempts=int(row["attempts"]),
        registered_at=row["registered_at"],
        started_at=row["started_at"],
        finished_at=row["finished_at"],
        suspended_at=row["suspended_at"],
        run_after=row["run_after"],
        progress=json_of(row["progress"]),
        error=_in_brief(row["error_type"], row["error_message"]),
        limited=row["limited"],
    )


def past_of(row: asyncpg.Record) -> Past:
    """Return a row of pasts.sql."""
    return Past(row["seq"], row["parents_ended"], tuple(zip(row["began"], row["ended"], strict=True)))


def attempt_of(row: asyncpg.Record) -> Attempt:
    """Return a row of attempts.sql."""
    return Attempt(
        number=row["attempt"],
        status=status_word(row["exec_status"]),
        outcome=row["outcome"],
        started_at=row["started_ts"],
        ended_at=row["ended_ts"],
        error=json_of(row["error"]),
        result=json_of(row["result"]),
        worker=row["worker_id"],
    )


def _in_brief(kind: str | None, message: str | None) -> str | None:
    if kind is None and message is None:
        return None
    text = ": ".join(str(mask(part)) for part in (kind, message) if part)
    return text if len(text) <= _LONGEST_ERROR else text[: _LONGEST_ERROR - 1] + "…"
