"""Signals: what somebody sends to the steps that wait for it. Knows the words and bounds that SQL has for them (sql/functions/flower_signal.sql)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal

from flower.core.errors import FieldError, Invalid
from flower.core.model import Json
from flower.core.strict import is_clean

# The program of a step that waits for a signal. No worker has it: the engine carries it out in the database.
WAIT_FOR_SIGNAL = "WaitForSignal"

LONGEST_SIGNAL = 256
LONGEST_KEY_BYTES = 512
LARGEST_PAYLOAD_BYTES = 1024 * 1024
LONGEST_WAIT_SECONDS = 1e9
# So many steps that wait are counted when a signal is sent.
MOST_COUNTED = 1000

_FIRST_PRINTABLE, _DELETE = " ", "\x7f"


@dataclass(frozen=True, slots=True)
class Signal:
    """What is sent, to the steps that wait for this *name* and *key*. The same *idempotency_key* again is the same signal."""

    name: str
    key: str = ""
    payload: Json = None
    idempotency_key: str | None = None


@dataclass(frozen=True, slots=True)
class Sent:
    """A signal that is in the database. *duplicate*: it was there before, under the same idempotency key.

    *waiting*: how many steps waited for it when it was sent, 1000: or more; None for a duplicate.
    """

    signal_id: int
    name: str
    key: str
    duplicate: bool
    waiting: int | None


def is_signal_name(name: str) -> bool:
    """Whether a signal may have this *name*."""
    return 1 <= len(name) <= LONGEST_SIGNAL and is_clean(name) and not any(letter < _FIRST_PRINTABLE or letter == _DELETE for letter in name)


def key_text(key: Json) -> str:
    """Return *key*, a text, number, truth value or None, as the text that a signal has: numbers as the database writes them. Raises Invalid."""
    if isinstance(key, dict | list) or (isinstance(key, float) and not math.isfinite(key)):
        raise _wrong(f"a text or a number is wanted, not {key!r}")
    if isinstance(key, bool):
        text = str(key).lower()
    elif isinstance(key, float):
        text = format(Decimal(repr(key)), "f")
    else:
        text = "" if key is None else str(key)
    if not is_clean(text):
        raise _wrong("has a NUL character or half a surrogate pair, which PostgreSQL cannot keep")
    if len(text.encode()) > LONGEST_KEY_BYTES:
        raise _wrong(f"has {len(text.encode())} bytes, the limit is {LONGEST_KEY_BYTES}")
    return text


def _wrong(message: str) -> Invalid:
    return Invalid([FieldError("key", message)])
