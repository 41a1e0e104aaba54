"""Times as people write and read them on their own machine: local time. Pure functions."""

from __future__ import annotations

import re
from datetime import UTC, datetime, time, timedelta

from flower.core.quantities import span

_CLOCK = re.compile(r"\d{1,2}:\d{2}(:\d{2})?")
_ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?([+-]\d\d:\d\d|Z)")
_FORMS = "write +10m (s, m, h, d), 14:00, or ISO 8601 with a zone like 2030-01-31T14:00:00+01:00"
_PAST_FORMS = _FORMS.replace("+10m", "-10m")


def read_moment(text: str, now: datetime) -> datetime:
    """Return the moment that *text* means: `+10m`, `14:00` (the next 14:00 of the local clock), or ISO 8601 with a zone.

    Raises ValueError with the forms that there are.
    """
    text = text.strip()
    if text.startswith("+"):
        return _away(text, now, _FORMS)
    try:
        if _CLOCK.fullmatch(text):
            return _next(time.fromisoformat(text.rjust(5 if text.count(":") == 1 else 8, "0")), now)
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is no time; {_FORMS}") from None
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no zone; {_FORMS}")
    return moment


def read_past(text: str, now: datetime) -> datetime:
    """Return the moment that *text* means, of the past: `-2h`, `14:00` (the last 14:00), or ISO 8601 with a zone. Raises ValueError."""
    text = text.strip()
    if text.startswith("-"):
        return _away(text, now, _PAST_FORMS)
    try:
        moment = read_moment(text, now)
    except ValueError as error:
        raise ValueError(str(error).removesuffix(_FORMS) + _PAST_FORMS) from None
    return moment - timedelta(days=1) if moment > now and _CLOCK.fullmatch(text) else moment


def _away(text: str, now: datetime, forms: str) -> datetime:
    """Return the moment as far from *now* as *text* says behind its sign."""
    try:
        return now + span(text[1:]) if text.startswith("+") else now - span(text[1:])
    except OverflowError:
        raise ValueError(f"{text!r} is too far away; {forms}") from None
    except ValueError:
        raise ValueError(f"{text!r} is no time; {forms}") from None


def _next(clock: time, now: datetime) -> datetime:
    # Without a zone of its own, so that daylight saving time is looked up for the day that it falls on.
    today = now.replace(tzinfo=None, hour=clock.hour, minute=clock.minute, second=clock.second, microsecond=0)
    moment = today if today > now.replace(tzinfo=None) else today + timedelta(days=1)
    return moment.astimezone()


def local(moment: datetime | None) -> str:
    """Return *moment* in local time, without the date if it is today's; nothing for None."""
    if moment is None:
        return ""
    try:
        here = moment.astimezone()
    except (OverflowError, ValueError, OSError):
        # The first and the last of all days, which stand for -infinity and infinity, have no neighbours.
        return moment.strftime("%Y-%m-%d %H:%M:%S UTC")
    return here.strftime("%H:%M:%S" if here.date() == datetime.now(UTC).astimezone().date() else "%Y-%m-%d %H:%M:%S")


def in_local_time(sentence: str) -> str:
    """Return *sentence* with every ISO 8601 time in it written as `local` does."""
    return _ISO.sub(lambda match: local(datetime.fromisoformat(match[0])), sentence)
