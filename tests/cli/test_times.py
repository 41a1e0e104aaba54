"""Times and durations, as people write and read them."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from flower.cli.times import local, read_moment, read_past
from flower.core.quantities import between, duration


@pytest.fixture(autouse=True)
def _in_berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    before = os.environ.get("TZ")
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.setenv("TZ", before) if before is not None else monkeypatch.delenv("TZ")
    time.tzset()


def now(text: str = "2030-01-31T13:00:00+01:00") -> datetime:
    return datetime.fromisoformat(text)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("+10m", "2030-01-31T13:10:00+01:00"),
        ("+2h", "2030-01-31T15:00:00+01:00"),
        ("+30s", "2030-01-31T13:00:30+01:00"),
        ("+1.5d", "2030-02-02T01:00:00+01:00"),
        ("14:00", "2030-01-31T14:00:00+01:00"),
        ("9:05", "2030-02-01T09:05:00+01:00"),
        ("13:00", "2030-02-01T13:00:00+01:00"),
        ("13:00:01", "2030-01-31T13:00:01+01:00"),
        ("2030-06-01T12:00:00Z", "2030-06-01T12:00:00+00:00"),
        ("2030-06-01 12:00+05:30", "2030-06-01T12:00:00+05:30"),
    ],
)
def test_a_moment_is_read_in_every_form(text: str, meant: str) -> None:
    assert read_moment(text, now()) == datetime.fromisoformat(meant)


def test_a_clock_time_of_tomorrow_has_tomorrows_zone() -> None:
    before_summer_time = now("2030-03-30T20:00:00+01:00")
    assert read_moment("14:00", before_summer_time) == datetime.fromisoformat("2030-03-31T14:00:00+02:00")


@pytest.mark.parametrize(
    "text", ["", "soon", "25:00", "14:60", "+10", "10m", "-5m", "2030-06-01T12:00:00", "2030-06-01", "+99999999999999d", "+1e3s"]
)
def test_what_is_no_moment_is_refused_with_the_forms_that_there_are(text: str) -> None:
    with pytest.raises(ValueError, match="14:00, or ISO 8601 with a zone"):
        read_moment(text, now())


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-1, "0 ms"),
        (0.0124, "12 ms"),
        (3.44, "3.4 s"),
        (59.9, "59.9 s"),
        (60, "1 min"),
        (125, "2 min 5 s"),
        (3600, "1 h"),
        (11_040, "3 h 4 min"),
        (187_200, "2 d 4 h"),
    ],
)
def test_a_duration_is_told_in_at_most_two_units(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_times_are_local_and_todays_have_no_date() -> None:
    noon = datetime.now(UTC).astimezone().replace(hour=12, minute=0, second=0, microsecond=0)
    assert local(noon.astimezone(UTC)) == "12:00:00"
    assert local(datetime(2020, 7, 1, 12, tzinfo=UTC)) == "2020-07-01 14:00:00"
    assert local(None) == ""


def test_times_that_stand_for_infinity_can_be_shown() -> None:
    assert local(datetime.max.replace(tzinfo=UTC)).startswith("9999-12-31")
    assert local(datetime.min.replace(tzinfo=UTC))


def test_what_has_not_ended_took_no_time_yet() -> None:
    assert between(now(), None) == between(None, now()) == ""
    assert between(now(), now() + timedelta(seconds=2)) == "2.0 s"


@pytest.mark.parametrize(
    ("text", "moment"),
    [("-2h", "2030-01-01T10:00:00+00:00"), ("2029-12-31T00:00:00Z", "2029-12-31T00:00:00+00:00")],
)
def test_a_moment_of_the_past_is_counted_back(text: str, moment: str) -> None:
    assert read_past(text, datetime(2030, 1, 1, 12, tzinfo=UTC)) == datetime.fromisoformat(moment)


def test_the_clock_of_the_past_is_the_last_one() -> None:
    now = datetime.now().astimezone()
    assert now - timedelta(days=1, hours=2) < read_past("00:00", now) <= now


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("-99999999d", "'-99999999d' is too far away; write -10m"),
        ("-2000000d", "'-2000000d' is too far away; write -10m"),
        ("x+10m", "'x+10m' is no time; write -10m"),
        ("+2h0", "'+2h0' is no time; write -10m"),
        ("2030-01-01T00:00:00", "has no zone; write -10m"),
    ],
)
def test_what_is_no_time_of_the_past_is_said_with_the_forms_that_there_are(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=re.escape(told)):
        read_past(text, datetime(2030, 1, 1, 12, tzinfo=UTC))
