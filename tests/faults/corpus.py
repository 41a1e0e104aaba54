"""What no database wants: results and exceptions, by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn


def _nested(depth: int) -> Any:
    value: Any = 0
    for _ in range(depth):
        value = [value]
    return value


def _raise(error: BaseException) -> NoReturn:
    raise error


class _Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("has no words")


HOSTILE: dict[str, Callable[[], Any]] = {
    "nul": lambda: "a\0b",
    "surrogate": lambda: "\ud800",
    "nan": lambda: float("nan"),
    "large": lambda: "x" * 2_000_000,
    "deep": lambda: _nested(5_000),
    "object": object,
    "number": lambda: 10**5_000,
    "keys": lambda: {(1, 2): 3},
    "exit": lambda: _raise(SystemExit(3)),
    "interrupt": lambda: _raise(KeyboardInterrupt()),
    "message": lambda: _raise(ValueError("bad \0 text \ud800")),
    "mute": lambda: _raise(_Mute()),
}
