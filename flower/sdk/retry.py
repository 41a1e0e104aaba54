"""How often a task is tried, how long each attempt may take, and when the next one comes. Pure: knows no clock, no dice and no rows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Literal, TypeAlias

from flower.core.model import Json

# An exception class, or its name: `TimeoutError`, `app.errors.Busy`.
Kind: TypeAlias = "type[BaseException] | str"

_DOUBLINGS = 60


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait before the next attempt: *first* seconds, *factor* times as long each time, at most *longest*.

    Each pause is lengthened or shortened by chance, by up to *jitter* of itself (0 to 1), so that many tasks do not come back at one moment.
    """

    first: float = 1.0
    factor: float = 2.0
    longest: float = 300.0
    jitter: float = 0.1

    def __post_init__(self) -> None:
        if not (_is_number(self.first, 0) and _is_number(self.factor, 1) and _is_number(self.longest, 0) and _is_number(self.jitter, 0, 1)):
            raise ValueError(f"{self} makes no sense: first and longest are seconds from 0, factor is at least 1, jitter from 0 to 1")

    def delay(self, tries: int, spread: float) -> float:
        """Return the seconds to wait after *tries* attempts (from 1). *spread*, 0 to 1, is the caller's dice."""
        try:
            seconds = self.first * self.factor ** min(tries - 1, _DOUBLINGS)
        except OverflowError:
            seconds = self.longest
        return min(self.longest, seconds) * (1 + self.jitter * (2 * spread - 1))


@dataclass(frozen=True, slots=True)
class Policy:
    """What a task says of its attempts, or its step in its place.

    *retry_on*, *give_up_on*: which exceptions are worth another attempt, and which are not after all. *timeout*: seconds of one attempt, from
    entering the function. *on_lost*: what happens if the worker is lost while it runs: `retry`, or `suspend` if it must not run twice.
    """

    attempts: int = 1
    backoff: Backoff = field(default_factory=Backoff)
    retry_on: tuple[Kind, ...] = (Exception,)
    give_up_on: tuple[Kind, ...] = ()
    timeout: float | None = None
    on_lost: Literal["retry", "suspend"] = "retry"

    def __post_init__(self) -> None:
        if isinstance(self.attempts, bool) or not isinstance(self.attempts, int) or self.attempts < 1:
            raise ValueError(f"attempts={self.attempts!r}: a whole number from 1 is needed (1: no second attempt)")
        if self.timeout is not None and not (_is_number(self.timeout, 0) and self.timeout > 0):
            raise ValueError(f"timeout={self.timeout!r}: a number of seconds above 0 is needed")
        if self.on_lost not in {"retry", "suspend"}:
            raise ValueError(f"on_lost={self.on_lost!r}: 'retry' or 'suspend' is needed")
        for kind in (*self.retry_on, *self.give_up_on):
            if not isinstance(kind, str) and not (isinstance(kind, type) and issubclass(kind, BaseException)):
                raise ValueError(f"retry_on and give_up_on take classes of exceptions, not {kind!r}")  # noqa: TRY004 - one kind of error for all of them

    def next_delay(self, error: BaseException, tries: int, spread: float) -> float | None:
        """Return the seconds until the next attempt after *tries* of them and *error*, None if there is none."""
        if tries >= self.attempts or not _is_one_of(error, self.retry_on) or _is_one_of(error, self.give_up_on):
            return None
        return self.backoff.delay(tries, spread)

    def overridden(self, options: Mapping[str, Json]) -> Policy:
        """Return this policy with what a step's *options* say, in the shape of the HTTP interface. Raises ValueError or TypeError for nonsense."""
        made = {_NAMES[name]: value for name, value in options.items() if name in _NAMES}
        for name in ("retry_on", "give_up_on"):
            if name in made:
                made[name] = tuple(made[name])
        if "backoff" in made:
            made["backoff"] = backoff_of(made["backoff"])
        return replace(self, **made)

    def to_json(self) -> Json:
        """Return it in the shape of the HTTP interface, without what is as usual."""
        usual = Policy()
        found = {
            "attempts": self.attempts,
            "backoff": asdict(self.backoff),
            "retryOn": [_name(kind) for kind in self.retry_on],
            "giveUpOn": [_name(kind) for kind in self.give_up_on],
            "timeout": self.timeout,
            "onLost": self.on_lost,
        }
        return {name: value for name, value in found.items() if getattr(self, _NAMES[name]) != getattr(usual, _NAMES[name])} or None


_NAMES = {
    "attempts": "attempts",
    "backoff": "backoff",
    "retryOn": "retry_on",
    "giveUpOn": "give_up_on",
    "timeout": "timeout",
    "onLost": "on_lost",
}


def backoff_of(value: Backoff | Mapping[str, float] | float) -> Backoff:
    """Return *value*, which may be only the seconds of the first pause, or the fields of one, as a Backoff. Raises ValueError or TypeError."""
    if isinstance(value, Backoff):
        return value
    if isinstance(value, Mapping):
        return Backoff(**value)
    if not isinstance(value, int | float):
        raise TypeError(f"backoff={value!r}: seconds or a Backoff are needed")
    return Backoff(first=value, longest=max(value, Backoff().longest))


def kinds_of(value: Kind | tuple[Kind, ...]) -> tuple[Kind, ...]:
    """Return one kind of exception, or several, as several."""
    return tuple(value) if isinstance(value, tuple | list) else (value,)


def _is_one_of(error: BaseException, kinds: tuple[Kind, ...]) -> bool:
    return any(kind in _all_names(error) if isinstance(kind, str) else isinstance(error, kind) for kind in kinds)


def _all_names(error: BaseException) -> set[str]:
    return {name for kind in type(error).__mro__ for name in (kind.__name__, _name(kind))}


def _name(kind: Kind) -> str:
    if isinstance(kind, str):
        return kind
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _is_number(value: object, least: float, most: float = math.inf) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and least <= value <= most
