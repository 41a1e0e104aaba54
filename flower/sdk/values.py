"""Writes JSON that PostgreSQL's jsonb surely takes and any reader can read back. Knows no task and no type hint."""

from __future__ import annotations

import json
import re
import sys
from typing import Any

from flower.core.strict import DEEPEST, is_clean

_UNCLEAN = re.compile("[\x00\ud800-\udfff]")
_REPLACEMENT = "\ufffd"
_LARGEST = sys.float_info.max

_NONE = type(None)
_WAY_OUT = "return plain JSON, annotate the return type so that it is converted, or store it elsewhere and return its key or path"


class Unwritable(ValueError):
    """A value is not JSON, or too much of it. The message goes on after "the result of x cannot be stored: "."""


def write(value: Any, limit_bytes: int) -> str:
    """Return *value* as JSON text of at most *limit_bytes* in UTF-8. Raises Unwritable, and nothing else, with what to do.

    Written are None, bool, str, finite numbers within a double, list, tuple and dict with text keys, at most 64 levels of them.
    NUL characters and lone surrogates, which PostgreSQL cannot keep, become U+FFFD.
    """
    if value is None:
        return "null"
    try:
        _look_through(value, limit_bytes)
        text = _encode(value)
        # The first test also hits a backslash that stands before u0000; to clean is harmless then.
        if "\\u0000" in text or not is_clean(text):
            text = _encode(_cleaned(value))
    except Unwritable:
        raise
    except Exception as error:  # noqa: BLE001 - a subclass of dict or str may do anything, also while another thread changes it
        raise Unwritable(f"it cannot be read ({type(error).__name__}); return plain JSON") from None
    size = len(text) if text.isascii() else len(text.encode())
    if size > limit_bytes:
        raise Unwritable(_too_large(f"{size:,} bytes", limit_bytes))
    return text


def clean(text: str) -> str:
    """Return *text* with U+FFFD for what PostgreSQL cannot keep: NUL characters and lone surrogates."""
    return text if is_clean(text) else _UNCLEAN.sub(_REPLACEMENT, text)


# Made once: json.dumps makes an encoder per call as soon as it is given an option. Circles end at 64 levels, before they get here.
_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, check_circular=False, separators=(",", ":")).encode


def _look_through(value: Any, limit_bytes: int) -> None:
    """Raise Unwritable for anything in *value* that is not JSON. Goes level by level, so that no depth can exhaust the stack."""
    level = [value] if isinstance(value, dict | list | tuple) else _refuse_scalar(value, "")
    depth = entries = 0
    while level:
        depth += 1
        if depth > DEEPEST:
            raise Unwritable(f"it is nested deeper than {DEEPEST} levels, or contains itself; store it elsewhere and return its key or path")
        deeper: list[Any] = []
        for container in level:
            entries += len(container)
            # An entry takes two bytes or more. Without this, sixty lists that each hold the next one twice would never end.
            if entries * 2 > limit_bytes:
                raise Unwritable(_too_large(f"more than {entries:,} entries", limit_bytes))
            _look_into(container, deeper)
        level = deeper


def _look_into(container: Any, deeper: list[Any]) -> None:
    is_dict = isinstance(container, dict)
    if is_dict:
        for key in container:
            if not isinstance(key, str):
                raise Unwritable(f"it has a key that is no text, but {_a(key)}; use str(key), or annotate the return type")
    for item in container.values() if is_dict else container:
        kind = type(item)
        if kind is str or kind is bool or kind is _NONE or (kind is int and -_LARGEST <= item <= _LARGEST):
            continue
        if isinstance(item, dict | list | tuple):
            deeper.append(item)
        else:
            _refuse_scalar(item, _place(container, item))


def _refuse_scalar(item: Any, place: str) -> list[Any]:
    if isinstance(item, float):
        if not -_LARGEST <= item <= _LARGEST:
            raise Unwritable(f"it has {float.__repr__(item)}{place}, and JSON knows neither NaN nor Infinity; return None or a text instead")
    elif isinstance(item, int):
        if not -_LARGEST <= item <= _LARGEST:
            raise Unwritable(f"it has an integer{place} beyond what a double can hold; return it as text")
    elif not (isinstance(item, str) or item is None):
        raise Unwritable(f"it has {_a(item)}{place}, which is not JSON; {_WAY_OUT}")
    return []


def _place(container: Any, item: Any) -> str:
    found = container.items() if isinstance(container, dict) else enumerate(container)
    return next((f" at {clean(str(key))[:100]!r}" for key, value in found if value is item), "")


def _a(value: Any) -> str:
    name = type(value).__name__
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {clean(name)}"


def _too_large(size: str, limit_bytes: int) -> str:
    return f"it has {size}, and the limit is {limit_bytes:,} bytes; store it elsewhere and return its key or path"


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, dict):
        return {clean(key): _cleaned(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_cleaned(item) for item in value]
    return value
