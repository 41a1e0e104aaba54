"""The checker finds what it is there to find: a harness that cannot turn red proves nothing."""

from __future__ import annotations

from dataclasses import replace

from tests.faults.checker import FINISH, Mark, Row, Seen, check
from tests.faults.ledger import Entry

PARENT, CHILD = ("f", 1), ("f", 2)


def entry(what: str, at: float, *, seq: int = 1, attempt: int = 1, pid: int = 7) -> Entry:
    return Entry(what, "f", seq, attempt, pid, at)


def row(seq: int, status: int = FINISH, outcome: str | None = None, program: str = "nothing") -> Row:
    return Row("f", seq, program, status, outcome, held=False)


GOOD = Seen(
    acknowledged=frozenset({"f"}),
    rows=[row(1), row(2)],
    ends=[PARENT, CHILD],
    parents={CHILD: [PARENT]},
    entries=[entry("start", 1), entry("end", 2), entry("start", 3, seq=2), entry("end", 4, seq=2)],
    marks=[],
    deaths={},
    deadlocks=0,
)


def test_a_good_run_is_good() -> None:
    verdict = check(GOOD)

    assert verdict.holds
    assert (verdict.tasks, dict(verdict.again), verdict.overlaps) == (2, {}, 0)


def test_an_acknowledged_flow_without_rows_is_lost() -> None:
    assert check(replace(GOOD, acknowledged=frozenset({"f", "g"}))).lost == 1


def test_a_flow_with_a_task_that_did_not_end_is_lost_and_its_task_stuck() -> None:
    verdict = check(replace(GOOD, rows=[row(1), row(2, status=1)]))

    assert (verdict.lost, verdict.stuck) == (1, 1)


def test_a_suspended_task_is_lost_unless_it_is_meant_to_be() -> None:
    suspended = replace(GOOD, rows=[row(1), row(2, status=2, outcome="failed", program="hostile")])

    assert check(suspended).lost == 1
    assert check(replace(suspended, may_stay_suspended=frozenset({"hostile"}))).lost == 0


def test_two_transitions_of_one_task_are_found() -> None:
    assert check(replace(GOOD, ends=[PARENT, CHILD, CHILD])).finished_twice == 1


def test_a_child_that_began_before_its_parent_ended_is_out_of_order() -> None:
    early = [entry("start", 1), entry("start", 1.5, seq=2), entry("end", 2), entry("end", 4, seq=2)]

    assert check(replace(GOOD, entries=early)).order == 1


def test_a_second_run_counts_and_one_after_a_failure_that_was_meant_does_not() -> None:
    again = [entry("start", 5, attempt=2), entry("end", 6, attempt=2)]
    failed = [entry("start", 1), entry("failed", 2), *again]

    assert check(replace(GOOD, entries=[*GOOD.entries, *again])).again == {1: 1}
    assert check(replace(GOOD, entries=failed, parents={})).again == {}


def test_an_attempt_that_began_while_a_paused_process_held_the_older_one_overlaps() -> None:
    zombie = [entry("start", 1), entry("start", 2, attempt=2, pid=8), entry("end", 3, attempt=2, pid=8), entry("stopped", 9)]

    assert check(replace(GOOD, entries=zombie, parents={})).overlaps == 1


def test_an_attempt_of_a_killed_process_ended_with_it() -> None:
    killed = [entry("start", 1), entry("start", 3, attempt=2, pid=8), entry("end", 4, attempt=2, pid=8)]

    assert check(replace(GOOD, entries=killed, parents={}, deaths={7: 2.0})).overlaps == 0


def test_recovery_is_counted_from_the_fault_to_the_next_start_of_what_it_met() -> None:
    met = [entry("start", 1), entry("start", 7, attempt=2, pid=8), entry("end", 8, attempt=2, pid=8)]
    verdict = check(replace(GOOD, entries=met, parents={}, marks=[Mark(2, 5, frozenset({7}))]))

    assert (verdict.restarts, verdict.resumed) == ((5.0,), (3.0,))


def test_throughput_is_compared_with_what_it_was_before_the_fault() -> None:
    ends = [entry("end", at / 10, seq=at) for at in (*range(100), *range(100, 200, 2), *range(200, 300))]
    verdict = check(replace(GOOD, rows=[], entries=ends, parents={}, marks=[Mark(10, 20)]))

    assert (round(verdict.during, 2), round(verdict.after, 2)) == (0.5, 1.0)
