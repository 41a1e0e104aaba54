"""Pauses: what is held, and how that is said. Pure: the facts come from the store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from flower.core.quantities import counted

# What `all` is called in a pause: it has no other name.
EVERYTHING = "*"


@dataclass(frozen=True, slots=True)
class Pause:
    """That nothing new starts of what has this *name*. *kind*: workflow, flow, program, limit (or the beginning of such, and a star), or all.

    *until*: it ends by itself then; None: when somebody unpauses. *by*: who made it, as far as that is known.
    """

    kind: str
    name: str
    reason: str | None
    since: datetime
    until: datetime | None
    by: str | None

    @property
    def sentence(self) -> str:
        """Return all of it in words, times in ISO 8601."""
        return sentence(self.kind, self.name, self.reason, self.by, self.since.isoformat(), self.until.isoformat() if self.until else None)


@dataclass(frozen=True, slots=True)
class Paused:
    """What was paused just now. *hint*: nothing is called so yet, and names that are near; None: all is well."""

    pause: Pause
    hint: str | None = None


@dataclass(frozen=True, slots=True)
class Unpaused:
    """What goes on, unless *everything_paused* holds it all the same."""

    kind: str
    name: str
    everything_paused: bool


@dataclass(frozen=True, slots=True)
class PausePage:
    """A part of the list of pauses. *next* is what to hand in as `after` for the next part, None at the end."""

    items: tuple[Pause, ...]
    next: str | None


def called(kind: str, name: str) -> str:
    """Return what is paused in words: `the workflow 'digest'`, `everything`."""
    return "everything" if kind == "all" else f"the {kind} {name!r}"


def sentence(kind: str, name: str, reason: str | None, by: str | None, since: str | None, until: str | None) -> str:
    """Return that something is paused, why, by whom, since when and until when. A flow, whose tasks alone ask, is named by none of them."""
    what = "the flow is suspended" if kind == "flow" else f"{called(kind, name)} is paused"
    more = [f"{word} {value}" for word, value in (("by", by), ("since", since), ("until", until)) if value]
    return what + (f": {reason}" if reason else "") + (f" ({', '.join(more)})" if more else "")


def summary(counts: Mapping[str, int]) -> str:
    """Return in short how much is paused, from how many pauses there are of each kind; `none` if nothing is. Suspended flows do not count."""
    if counts.get("all"):
        return "everything is paused"
    found = {kind: counts.get(kind, 0) for kind in ("workflow", "program", "limit")}
    told = [counted(count, kind) for kind, count in found.items() if count]
    return f"{', '.join(told)} {'is' if sum(found.values()) == 1 else 'are'} paused" if told else "none"
