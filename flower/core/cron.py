"""When a clock on a wall shows the times of a cron expression. Pure: the fields are read by cronsim, the zones by zoneinfo; ours is daylight saving.

A time is *fixed* if neither its minutes nor its hours begin with `*`: it comes once on each of its days, at the first valid instant after it where
the clock jumps over it, at the first of the two where the clock shows it twice. All others go on as if nothing had happened: between two changes of
the clock wall time is UTC and a constant, so that `*/15 * * * *` comes every quarter of an hour, and what the clock jumps over does not come.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim, CronSimError

from flower.core.errors import did_you_mean

LONGEST_CRON = 256
_FIELDS = 5
_SECOND, _WEEK = timedelta(seconds=1), timedelta(days=7)
_FORM = 'five fields: minute, hour, day of the month, month, weekday; like "30 2 * * *" for half past two every night'
_MEANING = {
    "minute": "the minute (first field) must be 0 to 59",
    "hour": "the hour (second field) must be 0 to 23",
    "day-of-month": "the day of the month (third field) must be 1 to 31, L or LW",
    "month": "the month (fourth field) must be 1 to 12, or JAN to DEC",
    "day-of-week": "the weekday (fifth field) must be 0 to 7 (0 and 7 are Sunday), or SUN to SAT",
}
_NEVER = "never fires: there is no such day"
# Names that mean something else on another machine.
_NOWHERE = {"localtime", "posixrules", "Factory"}


def zone_named(name: str) -> ZoneInfo:
    """Return the zone of the IANA database called *name*. Raises ValueError, with names that look like it."""
    if name not in _zones():
        near = get_close_matches(name.casefold(), _folded(), n=3, cutoff=0.75)
        hint = did_you_mean(tuple(dict.fromkeys(_folded()[item] for item in near)))
        raise ValueError(f"no time zone is called {name!r}{hint} (names are like Europe/Paris or UTC)")
    return ZoneInfo(name)


@lru_cache(maxsize=1)
def _zones() -> frozenset[str]:
    return frozenset(available_timezones() - _NOWHERE)


@lru_cache(maxsize=1)
def _folded() -> dict[str, str]:
    names = sorted(_zones())
    return {name.rpartition("/")[2].casefold(): name for name in names} | {name.casefold(): name for name in names}


@lru_cache(maxsize=4096)
def read_cron(text: str) -> CronSim:
    """Return *text* as cronsim reads it. Raises ValueError for what is no expression of five fields, and for one that never fires."""
    fields = text.split()
    if len(text) > LONGEST_CRON:
        raise ValueError(f"{len(text)} characters, and no cron expression has more than {LONGEST_CRON}")
    if len(fields) == _FIELDS + 1:
        raise ValueError(f"{text!r} has six fields, and here are no seconds; write {_FORM} (for every ten seconds: every 10s)")
    if len(fields) != _FIELDS:
        raise ValueError(f"{text!r} is no cron expression; write {_FORM}")
    try:
        found = CronSim(text, datetime(2000, 1, 1))  # noqa: DTZ001 - the wall's time has no zone
        next(copy.copy(found))
    except StopIteration:
        raise ValueError(f"{text!r} {_NEVER}") from None
    except (CronSimError, ValueError, AssertionError, TypeError) as error:
        raise ValueError(_why(text, fields, str(error).removeprefix("Bad "))) from None
    return found


def _why(text: str, fields: list[str], what: str) -> str:
    if what == "day-of-month" and _is_read([*fields[:3], "*", *fields[4:]]):
        return f"{text!r} {_NEVER}"
    return f"{text!r} is no cron expression: {_MEANING.get(what, 'it cannot be read')}; write {_FORM}"


def _is_read(fields: list[str]) -> bool:
    try:
        CronSim(" ".join(fields), datetime(2000, 1, 1))  # noqa: DTZ001 - as above
    except (CronSimError, ValueError, AssertionError, TypeError):
        return False
    return True


def cron_times(text: str, zone: ZoneInfo, after: datetime) -> Iterator[datetime]:
    """Yield in UTC the instants behind *after* at which *text* comes, in order; none beyond the year 9999. Raises ValueError as `read_cron` does."""
    pattern = read_cron(text)
    minutes, hours = text.split()[:2]
    is_fixed = not minutes.startswith("*") and not hours.startswith("*")
    times = _fixed(pattern, zone, after) if is_fixed else _steady(pattern, zone, after)
    try:
        yield from times
    except (OverflowError, RuntimeError):
        return  # behind the last day that there is (a StopIteration inside a generator is a RuntimeError)


def _fixed(pattern: CronSim, zone: ZoneInfo, after: datetime) -> Iterator[datetime]:
    walls, latest = _walls(pattern, _wall(after, zone)), after
    for wall in walls:
        at = _instant(wall, zone)
        if at > latest:  # two that the clock jumps over are one instant
            yield at
            latest = at


def _steady(pattern: CronSim, zone: ZoneInfo, after: datetime) -> Iterator[datetime]:
    since, offset, wall_before = after, _offset(after, zone), _wall(after, zone)
    while True:
        for wall in _walls(pattern, wall_before):
            at = wall.replace(tzinfo=UTC) - offset
            change = _first_change(since, at, zone)
            if change is not None:
                # From the change on, itself included, by the clock that is right then.
                since, offset, wall_before = change, _offset(change, zone), _wall(change, zone) - _SECOND
                break
            yield at
            since = at
        else:
            return


def _walls(pattern: CronSim, after: datetime) -> CronSim:
    walls = copy.copy(pattern)
    walls.dt = after.replace(microsecond=0)
    return walls


def _wall(at: datetime, zone: ZoneInfo) -> datetime:
    return at.astimezone(zone).replace(tzinfo=None)


def _offset(at: datetime, zone: ZoneInfo) -> timedelta:
    return at.astimezone(zone).utcoffset() or timedelta()


def _instant(wall: datetime, zone: ZoneInfo) -> datetime:
    at = wall.replace(tzinfo=zone).astimezone(UTC)
    if _wall(at, zone) == wall:
        return at
    # The clock jumps over it. With the offset of afterwards it lies before the jump, with that of before behind it.
    return _first_change(wall.replace(tzinfo=zone, fold=1).astimezone(UTC), at, zone) or at


def _first_change(after: datetime, until: datetime, zone: ZoneInfo) -> datetime | None:
    """Return the first instant behind *after*, up to *until*, from which on the clock has another offset; None if there is none."""
    offset, start = _offset(after, zone), after
    while start < until:
        end = min(start + _WEEK, until)
        if _offset(end, zone) != offset:
            break
        start = end
    else:
        return None
    while end - start > _SECOND:  # changes come at whole seconds
        middle = start + (end - start) // 2
        start, end = (middle, end) if _offset(middle, zone) == offset else (start, middle)
    return end.replace(microsecond=0)
