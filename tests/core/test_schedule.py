"""Which of a schedule's times make a flow."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

import pytest

from flower.core.errors import Invalid
from flower.core.schedule import MOST_AT_ONCE, Cron, Every, Schedule, backfill_times, due, hash_of, read_every

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
HOURLY = Cron("0 * * * *")
HOUR, SECOND = timedelta(hours=1), timedelta(seconds=1)


def hours(first: int, last: int) -> tuple[datetime, ...]:
    return tuple(NOON.replace(hour=hour) for hour in range(first, last + 1))


def test_nothing_is_due_before_its_time() -> None:
    assert due(HOURLY, "all", 100, after=NOON, now=NOON + HOUR - SECOND).times == ()
    assert due(HOURLY, "all", 100, after=NOON, now=NOON + HOUR - SECOND).next_at == NOON + HOUR


@pytest.mark.parametrize("catch_up", ["none", "last", "all"])
def test_a_time_that_is_late_by_less_than_a_minute_makes_a_flow_whatever_is_caught_up(catch_up: str) -> None:
    found = due(HOURLY, catch_up, 100, after=NOON, now=NOON + HOUR + 59 * SECOND)

    assert (found.times, found.next_at, found.passed) == ((NOON + HOUR,), NOON + 2 * HOUR, None)


@pytest.mark.parametrize("catch_up", ["none", "last", "all"])
def test_of_a_schedule_by_the_second_nothing_is_lost_while_everybody_was_busy(catch_up: str) -> None:
    found = due(Every("1s"), catch_up, 5, after=NOON, now=NOON + 20.5 * SECOND)

    assert found.times == tuple(NOON + n * SECOND for n in range(1, 21))


@pytest.mark.parametrize(
    ("catch_up", "most", "times", "passed"),
    [
        ("none", 100, (), NOON),
        ("last", 100, hours(12, 12), NOON - HOUR),
        ("all", 100, hours(1, 12), None),
        ("all", 3, hours(10, 12), NOON.replace(hour=9)),
    ],
)
def test_after_a_longer_pause_catch_up_decides(catch_up: str, most: int, times: tuple[datetime, ...], passed: datetime | None) -> None:
    found = due(HOURLY, catch_up, most, after=NOON.replace(hour=0), now=NOON + HOUR / 2)

    assert found.times == times
    assert (found.next_at, found.passed) == (NOON + HOUR, passed)


def test_after_a_pause_a_time_that_is_not_late_makes_a_flow_even_if_nothing_is_caught_up() -> None:
    found = due(HOURLY, "none", 100, after=NOON.replace(hour=0), now=NOON + 10 * SECOND)

    assert (found.times, found.passed) == ((NOON,), NOON - HOUR)


def test_many_missed_times_come_in_several_batches_and_each_once() -> None:
    after, now, made = NOON, NOON + timedelta(days=15), list[datetime]()
    while (found := due(HOURLY, "all", 1000, after=after, now=now)).times:
        assert len(found.times) <= MOST_AT_ONCE
        made += found.times
        assert found.next_at is not None
        after = found.next_at - timedelta(microseconds=1)

    assert made == [NOON + n * HOUR for n in range(1, 15 * 24 + 1)]


def test_what_lies_centuries_back_takes_no_time() -> None:
    found = due(Cron("* * * * *"), "all", 1000, after=datetime(1970, 1, 1, tzinfo=UTC), now=NOON)

    assert len(found.times) == MOST_AT_ONCE
    assert found.times[0] == NOON - timedelta(minutes=999)


def test_every_counts_from_1970_so_that_it_is_the_same_for_everybody() -> None:
    assert list(islice(Every("15m").times(NOON + SECOND), 2)) == [NOON + timedelta(minutes=15), NOON + timedelta(minutes=30)]
    assert next(Every("7m").times(NOON)) == next(Every(timedelta(seconds=420)).times(NOON + 10 * SECOND))


@pytest.mark.parametrize("text", ["0s", "0", "-1m", "15", "m", "1w", "0.5s", "4000d", "1e9d", "inf", "", "9" * 400 + "d", " 1h", "1h\n"])
def test_what_is_no_time_between_a_second_and_ten_years_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"10s, 15m|at least a second"):
        read_every(text)


def test_a_timetable_that_makes_no_sense_is_refused_where_it_is_written() -> None:
    for make in (lambda: Cron("0 0 31 2 *"), lambda: Cron("0 0 * * *", zone="Mars/Olympus"), lambda: Every("0s"), lambda: Every(timedelta(0))):
        with pytest.raises(ValueError, match=r"never fires|no time zone|at least a second"):
            make()


def test_the_hash_tells_whether_code_says_something_else() -> None:
    one: Any = Cron("0 0 * * *", zone="UTC")

    assert hash_of(one, "w") == hash_of(Cron("0 0 * * *"), "w")
    assert len({hash_of(one, "w"), hash_of(one, "v"), hash_of(Cron("0 0 * * *", overlap="skip"), "w"), hash_of(Every("1d"), "w")}) == 4


def written(**fields: Any) -> Schedule:
    """A row as somebody may have written it, read at `NOON`."""
    nothing: dict[str, Any] = dict.fromkeys(("cron", "every", "priority", "reason", "error", "next_at", "last_at", "passed_at", "passed_why"))
    usual: dict[str, Any] = {
        "name": "s",
        "workflow": "w",
        "zone": "UTC",
        "parameters": {},
        "catch_up": "last",
        "catch_up_most": 100,
        "overlap": "queue",
    }
    rest: dict[str, Any] = {"on_failure": "go-on", "paused": False, "since_at": NOON, "by_code": False, "waiting": 0, "in_progress": (), "now": NOON}
    return Schedule(**nothing | usual | rest | fields)


def test_a_range_is_filled_with_both_its_ends() -> None:
    hourly = written(every=timedelta(hours=1))

    assert backfill_times(hourly, NOON - timedelta(hours=2), NOON, 3) == tuple(NOON - timedelta(hours=ago) for ago in (2, 1, 0))


@pytest.mark.parametrize(
    ("fields", "since", "until", "path", "words"),
    [
        ({"cron": "* * * * *"}, NOON, NOON + SECOND, "to", "future"),
        ({"cron": "* * * * *"}, NOON, NOON - SECOND, "from", "behind"),
        ({"every": SECOND}, NOON - 3 * SECOND, NOON, "to", "more than 3 times"),
        ({"cron": "nonsense"}, NOON, NOON, "", "makes no sense"),
    ],
)
def test_a_range_that_cannot_be_filled_is_refused_by_its_end(fields: dict[str, Any], since: datetime, until: datetime, path: str, words: str) -> None:
    with pytest.raises(Invalid, match=words) as refused:
        backfill_times(written(**fields), since, until, 3)

    assert refused.value.errors[0].path == path
