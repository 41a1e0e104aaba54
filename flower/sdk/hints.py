"""Reads type hints: what they are, how JSON becomes what they say, and whether their values are JSON already.

The only module of the SDK that imports pydantic, and only once a hint needs it.
"""

from __future__ import annotations

import dataclasses
import json
import types
import typing
import warnings
from collections import abc
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any
from uuid import UUID

from flower.sdk.values import write

if typing.TYPE_CHECKING:
    from pydantic import TypeAdapter

_JSON_SCALARS = frozenset({Any, object, None, type(None), bool, int, float, str})
_JSON_CONTAINERS = frozenset({list, dict, tuple, Sequence, Mapping})
_SCHEMAS = {int: "integer", float: "number", str: "string", bool: "boolean", None: "null", type(None): "null"}
_EXACT = frozenset({bytes, Decimal, date, datetime, time, timedelta, UUID, Path})
_CONTAINERS = _JSON_CONTAINERS | {set, frozenset, abc.Set, typing.Union, types.UnionType}
_LARGEST_SCHEMA_BYTES = 64 * 1024


def json_schema(hint: Any) -> dict[str, Any]:
    """Return the JSON schema of what becomes a *hint*, `{}` (anything) where it has none, or none that can be stored.

    A hint that takes more than its schema says (validators, aliases) is marked `"x-unchecked": true`: nothing is refused by it.
    """
    if is_anything(hint):
        return {}  # pydantic need not be loaded to say so
    if _is_scalar(hint) and hint in _SCHEMAS:
        return {"type": _SCHEMAS[hint]}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a default that is no JSON, say: then it is not in the schema
            schema: dict[str, Any] = json.loads(write(adapter(hint).json_schema(), _LARGEST_SCHEMA_BYTES))
        return schema if _says_all(hint, set()) else {**schema, "x-unchecked": True}
    except Exception:  # noqa: BLE001 - a hint of the user's: pydantic raises what it will for what has no schema
        return {}


def _says_all(hint: Any, seen: set[Any]) -> bool:
    """Whether a value that the JSON schema of *hint* does not allow is surely refused by it. Raises what a user's class may raise."""
    if typing.get_origin(hint) is typing.Annotated:
        plain = all(type(mark).__module__ == "annotated_types" for mark in hint.__metadata__)
        return plain and _says_all(hint.__origin__, seen)
    hint = bare(hint)
    if hint in _JSON_SCALARS or hint in _EXACT or hint in seen:
        return True
    origin = typing.get_origin(hint)
    if origin is typing.Literal:
        return True
    if origin in _CONTAINERS or isinstance(hint, types.UnionType):
        return all(part is Ellipsis or _says_all(part, seen) for part in typing.get_args(hint))
    if not isinstance(hint, type):
        return False
    seen.add(hint)
    if issubclass(hint, Enum):
        return "_missing_" not in {name for kind in hint.__mro__ if kind.__module__ != "enum" for name in vars(kind)}
    if hasattr(hint, "__pydantic_decorators__"):
        return _is_plain_model(hint, seen)
    if dataclasses.is_dataclass(hint):
        return all(_says_all(part, seen) for part in typing.get_type_hints(hint, include_extras=True).values())
    return hint in _CONTAINERS


def _is_plain_model(model: Any, seen: set[Any]) -> bool:
    decorators, fields = model.__pydantic_decorators__, getattr(model, "model_fields", None)
    if fields is None or set(model.model_config) - {"extra", "title", "frozen"} or "__get_pydantic_core_schema__" in vars(model):
        return False
    if decorators.field_validators or decorators.model_validators or decorators.validators or decorators.root_validators:
        return False
    return all(
        field.validation_alias is None
        and all(type(mark).__module__ == "annotated_types" for mark in field.metadata)
        and _says_all(field.annotation, seen)
        for field in fields.values()
    )


def read_hints(fn: Callable[..., Any], names: Sequence[str], local: Mapping[str, Any]) -> dict[str, Any]:
    """Return the hint of each of *names* that has one. One that cannot be resolved (imported for type checkers only) counts as Any.

    *local*: what the names stand for where *fn* was defined, for a function inside a function.
    """
    inner = _function_of(fn)
    scope = getattr(inner, "__globals__", {})
    try:
        return typing.get_type_hints(inner, scope, dict(local), include_extras=True)
    except Exception:  # noqa: BLE001 - evaluating what somebody wrote: whatever it raises, the others may be good
        written: dict[str, Any] = getattr(inner, "__annotations__", {})
        return {name: _read_one(written[name], scope, local) for name in names if name in written}


def _read_one(written: Any, scope: dict[str, Any], local: Mapping[str, Any]) -> Any:
    holder = types.SimpleNamespace(__annotations__={"hint": written})
    try:
        return typing.get_type_hints(holder, scope, dict(local), include_extras=True)["hint"]
    except Exception:  # noqa: BLE001 - as above
        return Any


def _function_of(fn: Any) -> Any:
    while hasattr(fn, "func"):
        fn = fn.func
    return fn if hasattr(fn, "__annotations__") and not isinstance(fn, type) else getattr(type(fn), "__call__", fn)  # noqa: B004 - its hints are wanted


class Inconvertible(ValueError):
    """pydantic knows no way between JSON and the values of a hint."""


def adapter(hint: Any) -> TypeAdapter[Any]:
    """Return what converts between JSON and *hint*. Raises Inconvertible."""
    from pydantic import TypeAdapter

    try:
        return TypeAdapter(hint)
    except Exception as error:  # noqa: BLE001 - a class may answer pydantic's question with any exception
        reason = str(error).partition("\n")[0].partition(". Set `arbitrary_types_allowed")[0]
        raise Inconvertible(f"its hint is of no use for JSON: {reason}") from None


def bare(hint: Any) -> Any:
    """Return *hint* without Annotated, NewType and type aliases around it."""
    while True:
        if typing.get_origin(hint) is typing.Annotated:
            hint = hint.__origin__
        elif isinstance(hint, typing.NewType):
            hint = hint.__supertype__
        elif type(hint).__name__ == "TypeAliasType":
            hint = hint.__value__
        else:
            return hint


def is_anything(hint: Any) -> bool:
    """Whether *hint* says nothing: Any, or object."""
    plain = bare(hint)
    return plain is Any or plain is object


def is_exact(hint: Any) -> bool:
    """Whether *hint* is Decimal, or Decimal and None: text that looks like a number must not pass through a float."""
    plain = bare(hint)
    if not isinstance(plain, types.UnionType) and typing.get_origin(plain) is not typing.Union:
        return plain is Decimal
    return {bare(part) for part in typing.get_args(plain)} <= {Decimal, type(None)}


def is_json(hint: Any) -> bool:
    """Whether every value of *hint* is plain JSON, so that nothing needs converting."""
    if _is_scalar(hint):
        return True
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Union or isinstance(hint, types.UnionType):
        return all(is_json(part) for part in parts)
    if origin is typing.Literal:
        return all(isinstance(part, str | int | None) and type(part).__module__ == "builtins" for part in parts)
    if origin is dict or origin is Mapping:
        return parts[0] in {str, Any} and is_json(parts[1])
    if origin in _JSON_CONTAINERS:
        return all(part is Ellipsis or is_json(part) for part in parts)
    return hint in _JSON_CONTAINERS if isinstance(hint, type) else False


def _is_scalar(hint: Any) -> bool:
    try:
        return hint in _JSON_SCALARS
    except TypeError:  # Annotated[..., unhashable]
        return False
