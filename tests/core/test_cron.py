"""When a clock shows the times of a cron expression: five zones over both of their changes, and what is no expression."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flower.core.cron import cron_times, read_cron, zone_named

# Of each zone the changes of 2026: the night before, what the clock jumps over or shows twice, and by how much.
PARIS, NEW_YORK, SANTIAGO, LORD_HOWE, CHATHAM = (
    "Europe/Paris",
    "America/New_York",
    "America/Santiago",
    "Australia/Lord_Howe",
    "Pacific/Chatham",
)


def times(cron: str, zone: str, after: str, count: int) -> list[str]:
    """Return *count* times behind *after* (on the zone's clock), as that clock and its offset show them."""
    here = ZoneInfo(zone)
    start = datetime.fromisoformat(after).replace(tzinfo=here).astimezone(UTC)
    return [at.astimezone(here).strftime("%d %H:%M%z") for at in islice(cron_times(cron, here, start), count)]


@pytest.mark.parametrize(
    ("zone", "cron", "after", "expected"),
    [
        # forward: the clock jumps over the time
        (PARIS, "30 2 * * *", "2026-03-28T12:00", ["29 03:00+0200", "30 02:30+0200"]),
        (NEW_YORK, "30 2 * * *", "2026-03-07T12:00", ["08 03:00-0400", "09 02:30-0400"]),
        (SANTIAGO, "30 0 * * *", "2026-09-05T12:00", ["06 01:00-0300", "07 00:30-0300"]),
        (LORD_HOWE, "10 2 * * *", "2026-10-03T12:00", ["04 02:30+1100", "05 02:10+1100"]),
        (CHATHAM, "0 3 * * *", "2026-09-26T12:00", ["27 03:45+1345", "28 03:00+1345"]),
        # back: the clock shows it twice
        (PARIS, "30 2 * * *", "2026-10-24T12:00", ["25 02:30+0200", "26 02:30+0100"]),
        (NEW_YORK, "30 1 * * *", "2026-10-31T12:00", ["01 01:30-0400", "02 01:30-0500"]),
        (SANTIAGO, "30 23 * * *", "2026-04-04T12:00", ["04 23:30-0300", "05 23:30-0400"]),
        (LORD_HOWE, "45 1 * * *", "2026-04-04T12:00", ["05 01:45+1100", "06 01:45+1030"]),
        (CHATHAM, "0 3 * * *", "2026-04-04T12:00", ["05 03:00+1345", "06 03:00+1245"]),
    ],
)
def test_a_fixed_time_fires_once_whatever_the_clock_does(zone: str, cron: str, after: str, expected: list[str]) -> None:
    assert times(cron, zone, after, 2) == expected


@pytest.mark.parametrize("zone", [PARIS, NEW_YORK, SANTIAGO, LORD_HOWE, CHATHAM])
def test_every_quarter_of_an_hour_is_a_quarter_of_an_hour_all_year(zone: str) -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    found = list(islice(cron_times("*/15 * * * *", ZoneInfo(zone), start), 4 * 24 * 366))

    assert {later - earlier for earlier, later in pairwise(found)} == {timedelta(minutes=15)}


@pytest.mark.parametrize("zone", [PARIS, NEW_YORK, SANTIAGO, LORD_HOWE, CHATHAM])
@pytest.mark.parametrize("hour", range(24))
def test_a_time_of_each_hour_comes_once_a_day_all_year(zone: str, hour: int) -> None:
    start = datetime(2025, 12, 31, 12, tzinfo=UTC)
    days = [at.astimezone(ZoneInfo(zone)).date() for at in islice(cron_times(f"20 {hour} * * *", ZoneInfo(zone), start), 366)]

    assert all((later - earlier).days == 1 for earlier, later in pairwise(days))


def test_two_times_that_the_clock_jumps_over_are_one() -> None:
    assert times("0,15,30 2 * * *", PARIS, "2026-03-28T12:00", 3) == ["29 03:00+0200", "30 02:00+0200", "30 02:15+0200"]


def test_a_stretch_of_minutes_begins_at_its_first_also_behind_a_change_by_half_an_hour() -> None:
    assert times("*/15 3 * * *", LORD_HOWE, "2026-10-03T12:00", 5) == [
        "04 03:00+1100",
        "04 03:15+1100",
        "04 03:30+1100",
        "04 03:45+1100",
        "05 03:00+1100",
    ]
    assert times("*/15 2 * * *", LORD_HOWE, "2026-04-04T12:00", 4) == ["05 02:00+1030", "05 02:15+1030", "05 02:30+1030", "05 02:45+1030"]


def test_a_day_that_a_zone_left_out_does_not_come() -> None:
    assert times("*/30 * * * *", "Pacific/Apia", "2011-12-29T23:20", 2) == ["29 23:30-1000", "31 00:00+1400"]


@given(
    zone=st.sampled_from([PARIS, NEW_YORK, SANTIAGO, LORD_HOWE, CHATHAM, "Africa/Casablanca", "Antarctica/Troll", "Asia/Kathmandu"]),
    cron=st.sampled_from(["30 2 * * *", "*/7 * * * *", "5 */3 * * *", "*/20 1-3 * * *", "0 0 1 * *", "0,30 0-4 * * SUN", "15 2 L * *"]),
    after=st.datetimes(min_value=datetime(2000, 1, 1), max_value=datetime(2037, 1, 1)),  # noqa: DTZ001 - made UTC below
)
def test_times_come_in_order_and_are_the_same_wherever_one_begins(zone: str, cron: str, after: datetime) -> None:
    here, start = ZoneInfo(zone), after.replace(tzinfo=UTC)
    found = list(islice(cron_times(cron, here, start), 20))

    assert found == sorted(set(found))
    assert found[0] > start
    for earlier, later in pairwise(found):
        assert next(cron_times(cron, here, earlier)) == later
        assert next(cron_times(cron, here, later - timedelta(microseconds=1))) == later


@pytest.mark.parametrize(
    ("cron", "words"),
    [
        ("0 0 31 2 *", "never fires"),
        ("0 0 30 2 *", "never fires"),
        ("0 0 31 4,6 *", "never fires"),
        ("0 30 2 * * *", "six fields"),
        ("30 2 * *", "five fields"),
        ("@daily", "five fields"),
        ("", "five fields"),
        ("60 * * * *", "minute"),
        ("* 24 * * *", "hour"),
        ("* * 32 * *", "day of the month"),
        ("* * * 13 *", "month"),
        ("* * * * 8", "weekday"),
        ("* * * * MON#6", "weekday"),
        ("5-1 * * * *", "minute"),
        ("*/0 * * * *", "minute"),
        ("a b c d e", "minute"),
        ("9" * 5000, "256"),
        ("٣ * * * *", "minute"),
    ],
)
def test_what_is_no_expression_is_refused_with_what_would_be_one(cron: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read_cron(cron)


@pytest.mark.parametrize(("zone", "near"), [("Europe/Pariss", "Europe/Paris"), ("europe/paris", "Europe/Paris"), ("Paris", "Europe/Paris")])
def test_an_unknown_zone_is_refused_with_names_that_look_like_it(zone: str, near: str) -> None:
    with pytest.raises(ValueError, match=near):
        zone_named(zone)


@pytest.mark.parametrize("zone", ["", "localtime", "../UTC", "right/UTC", "CEST+3", "x\0"])
def test_what_is_no_zone_everywhere_is_none(zone: str) -> None:
    with pytest.raises(ValueError, match="no time zone"):
        zone_named(zone)


def test_29_february_comes_and_times_end_with_the_calendar() -> None:
    assert next(cron_times("0 0 29 2 *", ZoneInfo("UTC"), datetime(2026, 1, 1, tzinfo=UTC))).year == 2028
    assert list(cron_times("0 0 1 1 *", ZoneInfo(PARIS), datetime(9998, 6, 1, tzinfo=UTC))) == [datetime(9998, 12, 31, 23, tzinfo=UTC)]
    assert list(cron_times("* * * * *", ZoneInfo(PARIS), datetime.max.replace(tzinfo=UTC))) == []
