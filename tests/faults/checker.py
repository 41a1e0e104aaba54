"""Counts what became of every task: from its rows, from the terminal transitions that a trigger kept, and from the ledger. Knows no fault."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from tests.faults.ledger import Entry

Task = tuple[str, int]
FINISH, SUSPEND = 3, 2


@dataclass(frozen=True, slots=True)
class Row:
    """A task by the database, after the drain. *held*: its worker has a row in kr_worker."""

    flow: str
    seq: int
    program: str
    status: int
    outcome: str | None
    held: bool

    @property
    def task(self) -> Task:
        return self.flow, self.seq


@dataclass(frozen=True, slots=True)
class Mark:
    """One fault: from when until when, by the machine's monotonic clock, and which processes it met."""

    began: float
    healed: float
    pids: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Seen:
    """All that the checker looks at. *parents*: of each task that has some. *deaths*: when a process was killed."""

    acknowledged: frozenset[str]
    rows: Sequence[Row]
    ends: Iterable[Task]
    parents: Mapping[Task, Sequence[Task]]
    entries: Sequence[Entry]
    marks: Sequence[Mark]
    deaths: Mapping[int, float]
    deadlocks: int
    may_stay_suspended: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Verdict:
    """*lost, finished_twice, stuck, order* must be 0. *again*: tasks by how often they ran beyond what they are made for. Times in seconds."""

    tasks: int
    lost: int
    finished_twice: int
    stuck: int
    order: int
    again: Mapping[int, int]
    overlaps: int
    deadlocks: int
    restarts: tuple[float, ...]
    resumed: tuple[float, ...]
    during: float
    after: float
    examples: Mapping[str, Sequence[Task | str]] = field(default_factory=dict)

    @property
    def holds(self) -> bool:
        """Whether what is promised under every fault was kept."""
        return self.lost == self.finished_twice == self.stuck == self.order == 0


def percentiles(times: Sequence[float]) -> tuple[float, float, float] | None:
    """Return the 50th, the 99th and the last of *times*."""
    if not times:
        return None
    sorted_ = sorted(times)
    return sorted_[len(sorted_) // 2], sorted_[min(len(sorted_) - 1, len(sorted_) * 99 // 100)], sorted_[-1]


def check(seen: Seen) -> Verdict:
    """Count."""
    by_task: dict[Task, list[Entry]] = defaultdict(list)
    for entry in seen.entries:
        by_task[entry.task].append(entry)
    lost = _lost(seen)
    twice = [task for task, count in Counter(seen.ends).items() if count > 1]
    stuck = [row.task for row in seen.rows if row.status == 1 or (row.status == 0 and row.flow not in lost)]
    order = _out_of_order(seen.parents, by_task)
    during, after = _throughput(seen.entries, seen.marks)
    pairs: list[tuple[str, Sequence[Task | str]]] = [("lost", lost), ("twice", twice), ("stuck", stuck), ("order", order)]
    return Verdict(
        tasks=len(seen.rows),
        lost=len(lost),
        finished_twice=len(twice),
        stuck=len(stuck),
        order=len(order),
        again=_again(seen.rows, by_task),
        overlaps=sum(_overlap(entries, seen.deaths) for entries in by_task.values()),
        deadlocks=seen.deadlocks,
        restarts=tuple(_restarts(by_task, seen.marks)),
        resumed=tuple(_resumed(seen.entries, seen.marks)),
        during=during,
        after=after,
        examples={name: list(found)[:3] for name, found in pairs if found},
    )


def _lost(seen: Seen) -> list[str]:
    """Return the flows whose start was acknowledged and that have no rows, or one that did not come to its end."""
    ended: dict[str, bool] = {}
    for row in seen.rows:
        is_over = row.status == FINISH or (row.status == SUSPEND and row.program in seen.may_stay_suspended)
        ended[row.flow] = ended.get(row.flow, True) and is_over
    return sorted(flow for flow in seen.acknowledged | ended.keys() if not ended.get(flow, False))


def _out_of_order(parents: Mapping[Task, Sequence[Task]], by_task: Mapping[Task, Sequence[Entry]]) -> list[Task]:
    def first(task: Task, what: str) -> float:
        return next((entry.at for entry in by_task.get(task, ()) if entry.what == what), float("inf"))

    return [
        task
        for task, above in parents.items()
        if (start := first(task, "start")) < float("inf") and any(first(parent, "end") > start for parent in above)
    ]


def _again(rows: Sequence[Row], by_task: Mapping[Task, Sequence[Entry]]) -> dict[int, int]:
    """Count the tasks that ran more often than once (or than once after each failure that they are made for), by how much."""
    extra: Counter[int] = Counter()
    for row in rows:
        entries = by_task.get(row.task, ())
        starts = sum(entry.what == "start" for entry in entries) - sum(entry.what == "failed" for entry in entries if row.status == FINISH)
        if starts > 1:
            extra[starts - 1] += 1
    return dict(sorted(extra.items()))


def _overlap(entries: Sequence[Entry], deaths: Mapping[int, float]) -> int:
    """Return how often one attempt began while another of the same task was at work. An attempt without an end ended with its process."""
    over = {(entry.attempt, entry.pid): entry.at for entry in entries if entry.what != "start"}
    starts = [entry for entry in entries if entry.what == "start"]
    return sum(
        before.at < later.at < over.get((before.attempt, before.pid), deaths.get(before.pid, before.at))
        for before in starts
        for later in starts
        if before is not later
    )


def _restarts(by_task: Mapping[Task, Sequence[Entry]], marks: Sequence[Mark]) -> Iterable[float]:
    """From a fault to the next start of each task that was at work then in a process which it met."""
    for mark in marks:
        for entries in by_task.values():
            running = {entry.attempt for entry in entries if entry.what == "start" and entry.at < mark.began and entry.pid in mark.pids}
            running -= {entry.attempt for entry in entries if entry.what != "start" and entry.at < mark.began}
            again = [entry.at for entry in entries if entry.what == "start" and entry.at > mark.began]
            if running and again:
                yield again[0] - mark.began


def _resumed(entries: Sequence[Entry], marks: Sequence[Mark]) -> Iterable[float]:
    """From the end of a fault to the next end of any task."""
    for mark in marks:
        later = [entry.at for entry in entries if entry.what == "end" and entry.at >= mark.healed]
        if later:
            yield min(later) - mark.healed


def _throughput(entries: Sequence[Entry], marks: Sequence[Mark]) -> tuple[float, float]:
    """Return the rate of ends during the faults and as long after them as there was load before, each ÷ the rate before."""
    ends = sorted(entry.at for entry in entries if entry.what == "end")
    if not ends or not marks:
        return 0.0, 0.0
    began, healed = min(mark.began for mark in marks), max(mark.healed for mark in marks)
    span = began - ends[0]

    def rate(since: float, until: float) -> float:
        return sum(since <= at < until for at in ends) / (until - since) if until > since else 0.0

    before = rate(ends[0], began)
    if before == 0:
        return 0.0, 0.0
    return rate(began, healed) / before, rate(healed, healed + span) / before
