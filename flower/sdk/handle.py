"""The stand-ins of values that exist only when a flow runs: a parameter of the workflow, the result of a step, a part of either."""

from __future__ import annotations

import os
import sys
from contextvars import ContextVar
from pathlib import Path
from typing import Any, NoReturn

from flower.core.errors import TraceError
from flower.core.references import Reference

_OURS = str(Path(__file__).parents[1]) + os.sep
_BUILDING = "the body of a workflow runs once, before any flow does, and builds its steps"
_CONDITION = "whether a step runs cannot depend on a result yet: decide it inside the task, which may return early"

# What Python asks of a value, by what somebody wrote, and the form to write instead.
_FORMS: dict[str, tuple[str, ...]] = {
    f"to branch on it (if, while, and, or, not): {_CONDITION}": ("__bool__",),
    f"to compare it: {_CONDITION}": ("__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__", "__hash__"),
    "to loop over it: hand the whole list to one task, which loops": ("__iter__", "__next__", "__reversed__", "__aiter__", "__anext__"),
    "its length: ask len() inside a task": ("__len__", "__length_hint__"),
    "to look into it with `in`: do so inside a task": ("__contains__",),
    "to await it: a step is written without await, and its result is simply handed on": ("__await__",),
    "to make a text of it (an f-string, str()): hand it to a task that builds the text": ("__str__", "__format__", "__bytes__", "__fspath__"),
    "to calculate with it: do so inside a task, or make a small task of it": (
        *(f"__{prefix}{name}__" for prefix in ("", "r", "i") for name in (
            "add", "sub", "mul", "matmul", "truediv", "floordiv", "mod", "pow", "lshift", "rshift", "and", "or", "xor")),
        "__divmod__", "__rdivmod__", "__neg__", "__pos__", "__abs__", "__invert__", "__round__", "__trunc__", "__floor__", "__ceil__",
        "__int__", "__float__", "__complex__", "__index__"),
    "to call it: only a task or a workflow is called": ("__call__",),
    "to change it: return the changed value from a task": ("__setitem__", "__delitem__", "__setattr__", "__delattr__"),
    "to enter it (with): do so inside a task": ("__enter__", "__exit__", "__aenter__", "__aexit__"),
}  # fmt: skip


class Handle:
    """Stands for *reference*. A part of it is one, too; nothing else can be done with it but handing it to a task or returning it."""

    __slots__ = ("__reference",)  # no name that a user's own part could have

    def __init__(self, reference: Reference) -> None:
        object.__setattr__(self, "_Handle__reference", reference)

    def __getitem__(self, key: Any) -> Handle:
        if isinstance(key, bool) or not isinstance(key, str | int):
            form = "one element, with a text or a whole number in the brackets; more than one is a task's work"
            raise refusal(place(), f"{self!r} has no part {key!r}: take {form}")
        return Handle(_reference(self).at(key))

    def __getattr__(self, name: str) -> Handle:
        if name.startswith("__"):  # copy, pickle, inspect and the like ask whether there is one
            raise AttributeError(name)
        return Handle(_reference(self).at(name))

    def __copy__(self) -> Handle:
        return self

    def __deepcopy__(self, _memo: object) -> Handle:
        return self

    def __repr__(self) -> str:
        return f"<{_reference(self)}, known when the flow runs>"


def _reference(handle: Handle) -> Reference:
    found: Reference = object.__getattribute__(handle, "_Handle__reference")
    return found


def reference_of(value: object) -> Reference | None:
    """Return what *value* stands for, None if it is no handle."""
    return _reference(value) if type(value) is Handle else None


# What was refused while a body ran: one that catches the error must not pass for built.
REFUSED: ContextVar[list[TraceError] | None] = ContextVar("flower_refused", default=None)


def refusal(where: str, reason: str) -> TraceError:
    """Return the error to raise for what stands at *where*, and remember it."""
    error = TraceError(where, reason)
    refused = REFUSED.get()
    if refused is not None:
        refused.append(error)
    return error


def place() -> str:
    """Return `file:line` of the innermost call that is not Flower's own."""
    frame = sys._getframe(1)  # noqa: SLF001 - the only way to the caller's line that costs nothing
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_OURS):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


def _refusing(form: str) -> Any:
    def refuse(self: Handle, *_: object) -> NoReturn:
        raise refusal(place(), f"{self!r} has no value yet ({_BUILDING}), so nothing can be asked of it here. You want {form}")

    return refuse


for _form, _names in _FORMS.items():
    for _name in _names:
        setattr(Handle, _name, _refusing(_form))
