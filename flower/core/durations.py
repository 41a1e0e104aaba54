"""Durations in words. Pure functions."""

from __future__ import annotations

from datetime import datetime

_MINUTE, _HOUR, _DAY = 60, 3600, 86400


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
