"""Reads JSON that a stranger wrote, strictly: only what PostgreSQL can keep and every reader can read again comes through."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from flower.core.errors import FieldError, Invalid, NotJson
from flower.core.model import Json

DEEPEST = 64

# Python's reader turns longer integers into ValueError; no double is longer anyway.
_LONGEST_INTEGER = 310
_NOT_JSON = re.compile(r'"(?:[^"\\]|\\.)*"|(-?Infinity|NaN)')
_SURROGATE = re.compile("[\ud800-\udfff]")
_PLAIN_KEY = re.compile(r"[\w-]+")
_MOST_ERRORS = 20
_UNCLEAN = "a NUL character or half a surrogate pair, which PostgreSQL cannot keep"


def loads(text: str) -> Json:
    """Return the value that *text* stands for.

    Raises NotJson, with the position, for what is not JSON (NaN and Infinity are not). Raises Invalid, with a path each, for NUL
    characters, lone surrogates, numbers beyond a double, a key that comes twice in one object, and more than 64 levels.
    """
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise NotJson(error.msg, text, error.pos) from None
    except _ConstantError as error:
        raise NotJson(f"{error} is no JSON number", text, _position_of_constant(text)) from None
    except RecursionError:
        raise Invalid([FieldError("", f"nested deeper than {DEEPEST} levels")]) from None
    found = tuple(islice(troubles(value), _MOST_ERRORS))
    if found:
        raise Invalid(found)
    return value


def troubles(value: Json, path: str = "") -> Iterator[FieldError]:
    """Yield what in *value* could not be kept, with its path below *path*; nothing if all of it can."""
    return _troubles(value, path, 0)


def is_clean(text: str) -> bool:
    """Whether PostgreSQL can keep *text*: no NUL characters, no lone surrogates."""
    return "\0" not in text and (text.isascii() or _SURROGATE.search(text) is None)


def below(path: str, key: str | int) -> str:
    """Return the path of what stands under *key* in the value at *path*: `parameters.url`, `items[3]`, `parameters["a b"]`."""
    if isinstance(key, int):
        return f"{path}[{key}]"
    if not _PLAIN_KEY.fullmatch(key):
        return f"{path}[{json.dumps(key)}]"
    return f"{path}.{key}" if path else key


@dataclass(frozen=True, slots=True)
class _Refused:
    """Stands where a value stood that is refused, until its path is known."""

    message: str
    key: str | None = None


class _ConstantError(Exception):
    """NaN, Infinity or -Infinity was met."""


def _integer(text: str) -> int | _Refused:
    return int(text) if len(text) < _LONGEST_INTEGER and math.isfinite(float(text)) else _Refused("the number is beyond what a double can hold")


def _number(text: str) -> float | _Refused:
    number = float(text)
    return number if math.isfinite(number) else _Refused("the number is beyond what a double can hold")


def _constant(name: str) -> Json:
    raise _ConstantError(name)


def _object(pairs: list[tuple[str, Json]]) -> Json:
    made = dict(pairs)
    if len(made) == len(pairs):
        return made
    names = [name for name, _ in pairs]
    twice = next(name for name in names if names.count(name) > 1)
    return _Refused("this key comes twice in one object", twice)


_DECODER = json.JSONDecoder(parse_int=_integer, parse_float=_number, parse_constant=_constant, object_pairs_hook=_object)


def _troubles(value: Json, path: str, depth: int) -> Iterator[FieldError]:
    if isinstance(value, _Refused):
        yield FieldError(path if value.key is None else below(path, value.key), value.message)
    elif isinstance(value, str):
        if not is_clean(value):
            yield FieldError(path, _UNCLEAN)
    elif isinstance(value, dict | list):
        if depth > DEEPEST:
            yield FieldError(path, f"nested deeper than {DEEPEST} levels")
        else:
            yield from _troubles_inside(value, path, depth)


def _troubles_inside(value: dict[str, Json] | list[Json], path: str, depth: int) -> Iterator[FieldError]:
    items: Iterable[tuple[str | int, Json]] = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in items:
        if isinstance(key, str) and not is_clean(key):
            yield FieldError(below(path, key), _UNCLEAN)
        # A path costs more than the look itself: it is made only for what may need one.
        if isinstance(item, dict | list | _Refused) or (isinstance(item, str) and not is_clean(item)):
            yield from _troubles(item, below(path, key), depth + 1)


def _position_of_constant(text: str) -> int:
    return next((match.start(1) for match in _NOT_JSON.finditer(text) if match[1]), 0)
