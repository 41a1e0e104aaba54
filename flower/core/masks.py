"""Makes a stored value fit to be shown: secrets hidden, and nothing in it that JSON or a reader cannot take."""

from __future__ import annotations

import json
import math
import re

from flower.core.model import Json
from flower.core.references import is_reference

HIDDEN = "***"

# Hand-written rows may nest deeper than any encoder of ours can follow.
DEEPEST = 100

_LONGEST_INTEGER = 4000

# The last words of a key whose value is a secret; apiKey, api-key and API_KEY are one key.
_SECRET = ("password", "secret", "token", "apikey", "authorization")
_SECRET_IN_TEXT = re.compile("password|secret|token|api[_-]?key|authorization", re.IGNORECASE)


def is_secret(key: str) -> bool:
    """Whether the value under *key* is never shown: the key is or ends in password, secret, token, api_key or authorization."""
    return key.lower().replace("_", "").replace("-", "").endswith(_SECRET)


def mask(value: Json) -> Json:
    """Return a copy of *value* as it may be shown.

    What stands under a secret key, at any depth and also inside a text that is itself JSON (the parameter BODY), becomes `***`; a reference
    that will be put in place later is no secret and stays.
    NaN and infinities become text, and what is nested deeper than 100 levels becomes `…`, so that json.dumps never fails.
    """
    return _masked(value, 0)


def _masked(value: Json, depth: int) -> Json:
    if isinstance(value, str):
        return _masked_text(value, depth)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if not isinstance(value, dict | list | tuple):
        return value
    if depth >= DEEPEST:
        return "…"
    if isinstance(value, dict):
        return {key: HIDDEN if is_secret(str(key)) and not is_reference(item) else _masked(item, depth + 1) for key, item in value.items()}
    return [_masked(item, depth + 1) for item in value]


def is_masked(value: Json) -> bool:
    """Whether somewhere in *value* stands what `mask` leaves of a secret: it was shown, and comes back."""
    if isinstance(value, dict):
        return any((is_secret(key) and item == HIDDEN) or is_masked(item) for key, item in value.items())
    return isinstance(value, list) and any(map(is_masked, value))


def _masked_text(text: str, depth: int) -> str:
    if text.lstrip()[:1] not in {"{", "["} or not _SECRET_IN_TEXT.search(text):
        return text
    try:
        value = json.loads(text, parse_int=_integer)
    except RecursionError:
        return HIDDEN
    except ValueError:
        return text
    hidden = _masked(value, depth + 1)
    return text if hidden == value else json.dumps(hidden, ensure_ascii=False)


def _integer(digits: str) -> int | str:
    # Python refuses to read an integer of more than 4,300 digits, and must not refuse to mask what stands beside it.
    return int(digits) if len(digits) < _LONGEST_INTEGER else digits
