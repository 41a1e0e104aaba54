"""What is worked out from figures, and what an operator is told of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pytest

from flower.core.figures import Count, History, LiveWorker, Noticed, OpenTransaction, PastFlow, percentile
from flower.core.model import Readiness
from flower.core.notices import notices
from flower.core.pauses import summary
from flower.core.status import Status

MORNING = datetime(2026, 11, 24, 8, 30, tzinfo=UTC)
WELL = Readiness("ok", "ok", "ok")
WORKER = LiveWorker(UUID(int=7), "host", 12, "1", 100, 3, 0, ("fetch",), MORNING, MORNING, 1.0, MORNING)
NOBODY_WAITS = Count()


def a_flow(status: Status, seconds: float | None = None, outcome: str | None = None, *, stalled: bool = False) -> PastFlow:
    return PastFlow("f", status, outcome, stalled, MORNING, None if seconds is None else MORNING + timedelta(seconds=seconds))


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [([], 0.5, None), ([3], 0.5, 3), ([3], 0.95, 3), ([1, 2], 0.5, 1), (range(1, 101), 0.5, 50), (range(1, 101), 0.95, 95), ([9, 1, 5], 1, 9)],
)
def test_a_percentile_is_one_of_the_values(values: list[float], share: float, expected: float | None) -> None:
    assert percentile(values, share) == expected


def test_the_success_rate_is_of_those_that_finished_or_went_wrong() -> None:
    flows = (
        *(a_flow(Status.FINISH, seconds) for seconds in (1, 2, 30)),
        a_flow(Status.SUSPEND, None, "failed", stalled=True),
        a_flow(Status.SUSPEND, None, "failed"),
        a_flow(Status.SUSPEND, None, "approval", stalled=True),
        a_flow(Status.IGNORE, 1000, "cancelled"),
        a_flow(Status.RUNNING),
        a_flow(Status.WAIT),
    )
    history = History("w", flows)

    assert (history.finished, history.failed, history.success_rate) == (3, 1, 0.75)
    assert (history.percentile(0.5), history.percentile(0.95)) == (2, 30)
    assert History("w", ()).success_rate is History("w", ()).percentile(0.5) is None


def test_all_well_is_no_news() -> None:
    young = OpenTransaction(59, "psql", 1, "idle in transaction", "anna")

    assert notices(WELL, young, [WORKER], [], Count(10_000, more=True)) == notices(WELL, None, [], [], NOBODY_WAITS) == ()


@pytest.mark.parametrize(
    ("counts", "told"),
    [
        ({}, "none"),
        ({"flow": 3}, "none"),
        ({"workflow": 1}, "1 workflow is paused"),
        ({"limit": 1, "workflow": 2, "flow": 1}, "2 workflows, 1 limit are paused"),
        ({"program": 2}, "2 programs are paused"),
        ({"all": 1, "program": 2}, "everything is paused"),
    ],
)
def test_how_much_is_paused_in_short(counts: dict[str, int], told: str) -> None:
    assert summary(counts) == told


def test_what_is_paused_is_a_notice_unless_it_cannot_be_seen() -> None:
    paused = replace(WELL, pauses="everything is paused")

    assert [(notice.kind, notice.message[:20]) for notice in notices(paused, None, [], [], NOBODY_WAITS)] == [("pauses", "everything is paused")]
    unseen = replace(WELL, database="away", pauses="cannot be seen")
    assert [notice.kind for notice in notices(unseen, None, [], [], NOBODY_WAITS)] == ["database"]


def test_a_limit_without_a_slot_is_a_notice_with_a_command_that_a_shell_takes() -> None:
    (closed, pattern) = notices(WELL, None, [], [], NOBODY_WAITS, shut=["closed", "tenant:*"])

    assert closed.message == "closed has 0 slots, so nothing that names it may start (python -m flower limit closed 4 gives it some)"
    assert "python -m flower limit 'tenant:*' 4" in pattern.message


def test_each_notice_says_what_and_whose() -> None:
    seen = Noticed(
        "flow-1", Decimal(2), "w", "fetch", "fetch", WORKER.worker_id, {"type": "LoopBlocked", "message": "it blocked", "where": "app.py:3 in f"}
    )
    odd = replace(seen, notice="by hand")
    told = notices(
        Readiness("ok", "the schema is behind", "is ending", "the connection ended"),
        OpenTransaction(120, "pg_dump", 99, "active", "backup"),
        [replace(WORKER, silent_seconds=9, leaked=2)],
        [seen, odd],
        NOBODY_WAITS,
    )

    assert [notice.kind for notice in told] == ["schema", "dispatcher", "silent", "leaked", "listener", "task", "task", "snapshot"]
    messages = [notice.message for notice in told]
    assert "silent for 9 s" in messages[2]
    assert "2 attempts go on" in messages[3]
    assert "the connection ended" in messages[4]
    assert messages[5] == "flow-1/2 (fetch) runs, and its worker says: it blocked (app.py:3 in f)"
    assert messages[6] == "flow-1/2 (fetch) runs, and its worker says: by hand"
    assert messages[7].startswith("pg_dump (pid 99, role backup, active) has had a transaction open for 120 s")


def test_tasks_that_wait_for_the_first_worker_are_news() -> None:
    assert [notice.kind for notice in notices(WELL, None, [], [], Count(1))] == ["workers"]
