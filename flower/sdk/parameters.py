"""Turns the JSON of a row into the arguments of a function, by its type hints. Knows nothing of workers and rows.

What can be worked out from the function is worked out once per task, at its first use.
"""

from __future__ import annotations

import copy
import inspect
import json
import math
from collections import deque
from collections.abc import Callable, Collection, Mapping
from difflib import get_close_matches
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

from flower.core.errors import FieldError, Invalid, InvalidParameters, NotJson, did_you_mean
from flower.core.model import Json
from flower.core.strict import below, loads
from flower.sdk import hints

if TYPE_CHECKING:
    from pydantic import ValidationError

PARAMETERS_LIMIT_BYTES = 256 * 1024

_MOST_ERRORS_PER_PARAMETER = 5
_NATIVE = frozenset({str, int, bool, float, dict, list})


class Parameters:
    """What a function takes: *names*, and whatever else if *takes* is None. *requires*: those without a default."""

    def __init__(self, name: str, signature: inspect.Signature, types: Mapping[str, Any]) -> None:
        self._task = name
        self._converters: dict[str, Callable[[Json], Any]] = {}
        self._any_other: Callable[[Json], Any] | None = None
        self._copied: dict[str, Any] = {}
        for parameter in signature.parameters.values():
            hint = types.get(parameter.name, Any)
            if parameter.kind is inspect.Parameter.VAR_KEYWORD:
                self._any_other = _converter(hint)
                continue
            self._converters[parameter.name] = _converter(hint)
            if _is_mutable(parameter.default):
                self._copied[parameter.name] = parameter.default
        self.names = tuple(self._converters)
        self.takes = None if self._any_other else self.names
        self.requires = tuple(name for name in self._converters if signature.parameters[name].default is inspect.Parameter.empty)
        self._takes_nothing = not self.requires and not self._copied

    def decode(self, text: str, limit_bytes: int = PARAMETERS_LIMIT_BYTES) -> dict[str, Any]:
        """Return the keyword arguments that *text*, the JSON of a row, stands for. `null` counts as `{}`.

        Raises InvalidParameters, and nothing else, naming every parameter that is missing, unknown or of a wrong type.
        """
        if text == "{}" and self._takes_nothing:
            return {}
        arguments: dict[str, Any] = {}
        wrong: list[FieldError] = []
        given = self._read(text, limit_bytes)
        for name, value in given.items():
            convert = self._converters.get(name, self._any_other)
            if convert is None:
                wrong.append(FieldError(below("", name), self._unknown(name)))
                continue
            try:
                arguments[name] = convert(value)
            except Exception as error:  # noqa: BLE001 - a validator of the user's may raise anything
                wrong.extend(_explain(name, error))
        missing = [name for name in self.requires if name not in given]
        wrong.extend(FieldError(name, "is missing and has no default") for name in missing)
        if wrong:
            raise InvalidParameters(self._task, wrong)
        for name, default in self._copied.items():
            if name not in arguments:
                arguments[name] = copy.deepcopy(default)
        return arguments

    def misfits(self, text: str, filled: Collection[str]) -> list[FieldError]:
        """Return what is wrong with *text*, the JSON of a row, of which the parameters *filled* are not known yet."""
        try:
            given = self._read(text, PARAMETERS_LIMIT_BYTES)
        except InvalidParameters as error:
            return list(error.errors)
        unknown = [FieldError(name, self._unknown(name)) for name in given if name not in self._converters and self._any_other is None]
        missing = [FieldError(name, "is missing and has no default") for name in self.requires if name not in given]
        wrong = [error for name in given if name in self._converters and name not in filled for error in self.problems(name, given[name])]
        return [*missing, *unknown, *wrong]

    def problems(self, name: str, value: Json) -> list[FieldError]:
        """Return what is wrong with *value* as the parameter *name*, which the function takes."""
        try:
            (self._converters.get(name) or self._any_other or _unconverted)(value)
        except Exception as error:  # noqa: BLE001 - as above
            return list(_explain(name, error))
        return []

    def _read(self, text: str, limit_bytes: int) -> dict[str, Json]:
        size = len(text) if text.isascii() else len(text.encode(errors="surrogatepass"))
        if size > limit_bytes:
            self._refuse(f"they have {size:,} bytes, and the limit is {limit_bytes:,}; store them elsewhere and pass a key or a path")
        try:
            given = loads(text)
        except NotJson as error:
            self._refuse(str(error))
        except Invalid as error:
            raise InvalidParameters(self._task, error.errors) from None
        if given is None:
            return {}
        if not isinstance(given, dict):
            self._refuse(f'they must be a JSON object like {{"name": value}}, and are {_json_name(given)}')
        return given

    def _refuse(self, reason: str) -> NoReturn:
        raise InvalidParameters(self._task, [FieldError("", reason)]) from None

    def _unknown(self, name: str) -> str:
        near = get_close_matches(name, self._converters, n=2)
        if near:
            return f"is no parameter of it{did_you_mean(near)}"
        return f"is no parameter of it; it takes {', '.join(self._converters)}" if self._converters else "is no parameter of it; it takes none"


def _converter(hint: Any) -> Callable[[Json], Any]:
    """Return what turns a JSON value into a value of *hint*. What it returns may raise ValidationError, and what a validator raises."""
    return _unconverted if hints.is_anything(hint) else partial(_convert, _Hint(hint, hints.bare(hint)))


class _Unfit(ValueError):
    """A value does not fit, for the reason it says."""


class _Hint:
    """A type hint, and how it is met. pydantic's part is made at its first use: most tasks need none."""

    __slots__ = ("hint", "is_exact", "is_text", "native", "validate_json")

    def __init__(self, hint: Any, plain: Any) -> None:
        self.hint = hint
        self.native = plain if hint is plain and isinstance(plain, type) and plain in _NATIVE else None
        self.is_text = plain is str
        self.is_exact = hints.is_exact(hint)
        self.validate_json: Callable[[str], Any] | None = None

    def validate(self, value: Json) -> Any:
        # In JSON mode also a strict model takes a date written as text.
        if self.validate_json is None:
            self.validate_json = hints.adapter(self.hint).validate_json
        return self.validate_json(json.dumps(value))


def _unconverted(value: Json) -> Any:
    if type(value) is not str:
        return value
    try:
        return loads(value)
    except (NotJson, Invalid):
        return value


def _convert(hint: _Hint, value: Json) -> Any:
    kind = type(value)
    if kind is hint.native:
        return value
    if kind is not str or hint.is_text:
        return hint.validate(value)
    if hint.is_exact:
        return _first_that_fits(hint, value, *_parsed(value))
    return _first_that_fits(hint, *_parsed(value), value)


def _parsed(text: str) -> tuple[Json, ...]:
    try:
        return (loads(text),)
    except (NotJson, Invalid):
        return ()


def _first_that_fits(hint: _Hint, *values: Json) -> Any:
    """Return the first of *values* that becomes a *hint*; where none does, raise what the first one met."""
    refusal: Exception | None = None
    for value in values:
        try:
            met = value if type(value) is hint.native else hint.validate(value)
        except ValueError as error:
            refusal = refusal or error
            continue
        if type(met) is float and not math.isfinite(met):
            raise _Unfit("is no finite number")
        return met
    raise refusal or _Unfit("fits nothing")


def _explain(name: str, error: Exception) -> list[FieldError]:
    if type(error).__module__.startswith("pydantic"):
        return _explain_validation(name, error)  # type: ignore[arg-type]
    if isinstance(error, _Unfit | hints.Inconvertible):
        return [FieldError(name, str(error))]
    return [FieldError(name, f"its hint refuses it ({type(error).__name__})")]


def _explain_validation(name: str, error: ValidationError) -> list[FieldError]:
    found = error.errors(include_url=False, include_context=False, include_input=False)
    fields = []
    for problem in found[:_MOST_ERRORS_PER_PARAMETER]:
        path = name
        for part in problem["loc"]:
            path = below(path, part)
        fields.append(FieldError(path, problem["msg"]))
    return fields


def _is_mutable(default: Any) -> bool:
    return isinstance(default, list | dict | set | bytearray | deque) or (isinstance(default, tuple) and any(map(_is_mutable, default)))


def _json_name(value: Json) -> str:
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, list):
        return "an array"
    return "a text" if isinstance(value, str) else "a number"
