"""Durations, sizes and counts in words. Pure functions."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_STEP = 1024
_SPAN = re.compile(r"([0-9]+(?:\.[0-9]+)?)([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def span(text: str) -> timedelta:
    """Return how long *text* (`10s`, `15m`, `2h`, `1d`) is. Raises ValueError for any other, and OverflowError for more than there are days."""
    match = _SPAN.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no time; write one like 10s, 15m, 2h or 1d")
    return timedelta(**{_UNITS[match[2]]: float(match[1])})


def duration(seconds: float) -> str:
    """Return *seconds* in words of at most two units: `12 ms`, `3.4 s`, `2 min 5 s`, `3 h 4 min`, `2 d 4 h`."""
    seconds = max(seconds, 0)
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < _MINUTE:
        return f"{seconds:.1f} s"
    for unit, name, smaller, smaller_name in ((_DAY, "d", _HOUR, "h"), (_HOUR, "h", _MINUTE, "min"), (_MINUTE, "min", 1, "s")):
        if seconds >= unit:
            whole, rest = divmod(int(seconds), unit)
            return f"{whole} {name} {rest // smaller} {smaller_name}" if rest // smaller else f"{whole} {name}"
    raise AssertionError


def between(start: datetime | None, end: datetime | None) -> str:
    """Return how long it took from *start* to *end* in words; nothing if either is unknown."""
    return "" if start is None or end is None else duration((end - start).total_seconds())


def size(count: int) -> str:
    """Return a number of bytes in words: `812 B`, `64 KiB`, `2.4 GiB`."""
    number, units = float(count), ["B", "KiB", "MiB", "GiB", "TiB"]
    while number >= _STEP and len(units) > 1:
        number, units = number / _STEP, units[1:]
    return f"{number:.0f} {units[0]}" if number >= 10 or units[0] == "B" else f"{number:.1f} {units[0]}"  # noqa: PLR2004 - two figures are enough


def counted(count: int, what: str) -> str:
    """Return `1 flow`, `2 flows`."""
    return f"{count} {what}" if count == 1 else f"{count:,} {what}s"
