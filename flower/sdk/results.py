"""Turns what a function returned into JSON text, by its return hint. Knows nothing of workers and rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from flower.core.errors import ResultNotJson
from flower.sdk import hints
from flower.sdk.values import Unwritable, write

if TYPE_CHECKING:
    from flower.sdk.task import Task

RESULT_LIMIT_BYTES = 1024 * 1024


def encode_result(task: Task[..., Any, Any], value: Any) -> str:
    """Return *value* as the JSON text that is stored. PostgreSQL surely takes it, and any reader can read it back.

    Converted by the return hint where there is one (dates, UUID, Decimal, dataclasses, models); else plain JSON only.
    Raises ResultNotJson, and nothing else, naming the type, size or limit and the way out.
    """
    if value is None:
        return "null"
    try:
        convert = task.convert_result
        return write(value if convert is None else convert(value), RESULT_LIMIT_BYTES)
    except Unwritable as error:
        raise ResultNotJson(task.name, str(error)) from None


def converter(hint: Any) -> Callable[[Any], Any] | None:
    """Return what turns a value of *hint* into plain JSON, None if it is that already. What it returns raises only Unwritable."""
    if hints.is_json(hint):
        return None
    try:
        dump = hints.adapter(hint).dump_python
    except hints.Inconvertible:
        return None

    def convert(value: Any) -> Any:
        try:
            return dump(value, mode="json", warnings=False)
        except Exception as error:  # noqa: BLE001 - a serializer of the user's may raise anything
            raise Unwritable(f"its type hint does not fit it ({_first_line(error)}); return what the hint says, or plain JSON") from None

    return convert


def _first_line(error: Exception) -> str:
    try:
        message = str(error).partition("\n")[0][:300]
    except Exception:  # noqa: BLE001 - str() of a foreign error
        message = ""
    return f"{type(error).__name__}: {message}"
