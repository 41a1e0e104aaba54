"""Reads type hints: what they are, how JSON becomes what they say, and whether their values are JSON already.

The only module of the SDK that imports pydantic, and only once a hint needs it.
"""

from __future__ import annotations

import types
import typing
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

if typing.TYPE_CHECKING:
    from pydantic import TypeAdapter

_JSON_SCALARS = frozenset({Any, object, None, type(None), bool, int, float, str})
_JSON_CONTAINERS = frozenset({list, dict, tuple, Sequence, Mapping})


def json_schema(hint: Any) -> dict[str, Any]:
    """Return the JSON schema of what becomes a *hint*, `{}` (anything) where it has none."""
    plain = bare(hint)
    if plain is Any or plain is object:
        return {}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a default that is no JSON, say: then it is not in the schema
            return adapter(hint).json_schema()
    except Exception:  # noqa: BLE001 - a hint of the user's: pydantic raises what it will for what has no schema
        return {}


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


def is_exact(hint: Any) -> bool:
    """Whether *hint* is Decimal, or Decimal and None: text that looks like a number must not pass through a float."""
    from decimal import Decimal

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
