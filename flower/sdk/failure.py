"""Puts an exception into words that can surely be stored. Nothing in here can fail, whatever the exception does.

The traceback starts where a person looks first: at the last frame of user code.
"""

from __future__ import annotations

import json
import linecache
import os
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from types import FrameType, TracebackType

from flower.core.model import Failure
from flower.sdk.values import clean

FAILURE_LIMIT_BYTES = 64 * 1024
MESSAGE_LIMIT_BYTES = 8 * 1024

# What is written when even that fails which handles failures.
LAST_RESORT = '{"type": "Unknown", "message": "the error could not be put into words", "program": null, "where": null, "traceback": null}'

_FLOWER = str(Path(__file__).parents[1]) + os.sep
_PROGRAMS = _FLOWER + "programs" + os.sep
_LIBRARIES = tuple(f"{folder}{os.sep}" for folder in {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")})
_MOST_FRAMES = 50
_OUTERMOST_FRAMES = 10
_MOST_LINKED = 10


def describe(error: BaseException, *, program: str | None = None, home: str = "") -> Failure:
    """Return what is known of *error*. *home*: the package of the task's function, which is user code wherever it is installed."""
    kind, message = _name(error), message_of(error)
    try:
        where, lines = _Story(home).tell(error)
        return Failure(kind, message, _short(program), where, clean("\n".join(lines)))
    except BaseException:  # noqa: BLE001 - the failure path may not fail
        return Failure(kind, message, _short(program))


def place(frame: FrameType | None, home: str = "") -> str:
    """Return where the stack whose innermost frame is *frame* stands in user code, as `file:line in function`; without any, where it ends.

    *home* is as in `describe`.
    """
    innermost = frame
    while frame is not None and (_is_ours(frame) or not _is_user_code(frame, home)):
        frame = frame.f_back
    frame = frame or innermost
    return clean(_place(frame, frame.f_lineno)) if frame else "nowhere"


def failure_text(failure: Failure) -> str:
    """Return *failure* as JSON text of at most 64 KiB. The traceback loses its end if it must be shorter."""
    try:
        traceback = failure.traceback
        while True:
            text = json.dumps(
                {
                    "type": clean(failure.type)[:256],
                    "message": _cut(failure.message),
                    "program": failure.program and clean(failure.program),
                    "where": failure.where and clean(failure.where)[:1024],
                    "traceback": traceback and clean(traceback),
                },
                ensure_ascii=False,
            )
            if len(text.encode()) <= FAILURE_LIMIT_BYTES:
                return text
            traceback = traceback[: len(traceback) // 2] if traceback else None
            if traceback is None:
                return LAST_RESORT
    except BaseException:  # noqa: BLE001 - the failure path may not fail
        return LAST_RESORT


class _Story:
    """Tells of an exception and of those behind it, in at most fifty frames."""

    def __init__(self, home: str) -> None:
        self._home = home
        self._left = _MOST_FRAMES
        self._told: set[int] = set()

    def tell(self, error: BaseException) -> tuple[str | None, list[str]]:
        """Return the last place in user code, and the lines of the traceback."""
        self._told.add(id(error))
        frames = list(_frames(error.__traceback__))
        last = max((place for place, (frame, _) in enumerate(frames) if _is_user_code(frame, self._home)), default=len(frames) - 1)
        lines = [f"{_full_name(error)}: {message_of(error)}", *(str(note) for note in getattr(error, "__notes__", ()))]
        lines += self._written(frames[last::-1] if frames else [])
        if frames[last + 1 :]:
            lines += ["and from there into libraries:", *self._written(frames[last + 1 :])]
        where = None
        if frames:
            frame, line = frames[last]
            where = _place(frame, line)
        inner, told = self._linked(error)
        return inner or where, lines + told

    def _linked(self, error: BaseException) -> tuple[str | None, list[str]]:
        where: str | None = None
        lines: list[str] = []
        if issubclass(type(error), BaseExceptionGroup):
            for part in error.exceptions:  # type: ignore[attr-defined]
                if self._may_tell(part):
                    inner, told = self.tell(part)
                    where = where or inner
                    lines += ["", "of which one part is:", *told]
        cause, context = error.__cause__, error.__context__
        if cause is not None and self._may_tell(cause):
            lines += ["", "caused by:", *self.tell(cause)[1]]
        elif cause is None and context is not None and not error.__suppress_context__ and self._may_tell(context):
            lines += ["", "while this was being handled:", *self.tell(context)[1]]
        return where, lines

    def _may_tell(self, error: BaseException) -> bool:
        return id(error) not in self._told and len(self._told) < _MOST_LINKED

    def _written(self, frames: list[tuple[FrameType, int]]) -> list[str]:
        if len(frames) > self._left:
            left_out = len(frames) - self._left
            outermost = min(_OUTERMOST_FRAMES, self._left // 2)
            shown = [*self._lines(frames[: self._left - outermost]), f"  … {left_out} more frames …", *self._lines(frames[len(frames) - outermost :])]
            self._left = 0
            return shown
        self._left -= len(frames)
        return list(self._lines(frames))

    def _lines(self, frames: list[tuple[FrameType, int]]) -> Iterator[str]:
        for frame, line in frames:
            code = frame.f_code
            yield f'  File "{code.co_filename}", line {line}, in {code.co_qualname}'
            source = linecache.getline(code.co_filename, line, frame.f_globals).strip()
            if source:
                yield f"    {source[:300]}"


def _frames(traceback: TracebackType | None) -> Iterator[tuple[FrameType, int]]:
    """Yield the frames that concern a user, outermost first: neither ours nor those of the event loop and the thread pool."""
    began = False
    while traceback is not None:
        frame = traceback.tb_frame
        if not _is_ours(frame) and (began or not _is_machinery(frame)):
            began = True
            yield frame, traceback.tb_lineno
        traceback = traceback.tb_next


def _is_ours(frame: FrameType) -> bool:
    name = frame.f_code.co_filename
    return name.startswith(_FLOWER) and not name.startswith(_PROGRAMS)


def _is_user_code(frame: FrameType, home: str) -> bool:
    name = frame.f_code.co_filename
    if name.startswith(_PROGRAMS):
        return True
    module = frame.f_globals.get("__name__")
    if home and isinstance(module, str) and module.partition(".")[0] == home:
        return True
    return not (name.startswith(("<frozen", *_LIBRARIES)) or f"{os.sep}site-packages{os.sep}" in name)


def _place(frame: FrameType, line: int) -> str:
    return f"{frame.f_code.co_filename}:{line} in {frame.f_code.co_qualname}"


def _is_machinery(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0] in {"asyncio", "concurrent", "threading", "contextvars", "uvloop"}


def _name(error: BaseException) -> str:
    return clean(str(type.__getattribute__(type(error), "__name__")))[:256]


def _full_name(error: BaseException) -> str:
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def message_of(error: BaseException) -> str:
    """Return the message of *error*, which can surely be stored."""
    try:
        return _cut(str(error))
    except BaseException as second:  # noqa: BLE001 - the failure path may not fail
        return f"its message cannot be shown: str() of it raised {_name(second)}"


def _cut(text: str) -> str:
    """Return the beginning of *text*, clean, in at most 8 KiB of UTF-8. Takes a subclass of str for what it holds, not for what it says."""
    short = clean(str.__getitem__(text, slice(0, MESSAGE_LIMIT_BYTES)))
    if short.isascii() and str.__len__(text) <= MESSAGE_LIMIT_BYTES:
        return short
    encoded = short.encode()
    if len(encoded) <= MESSAGE_LIMIT_BYTES and str.__len__(text) <= MESSAGE_LIMIT_BYTES:
        return short
    return encoded[: MESSAGE_LIMIT_BYTES - 3].decode(errors="ignore") + "…"


def _short(program: str | None) -> str | None:
    return program and clean(program)[:256]
