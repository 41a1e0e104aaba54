"""How Flower logs: structlog, an event and keys per line, on stderr. Coloured lines on a terminal, JSON otherwise.

Every line is escaped: whatever a task puts into a message, one event is one line and no terminal obeys it. What is called like a
secret is masked, and parameters are never written, even if somebody hands them in.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
from collections.abc import Callable, Mapping, MutableMapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, TextIO, cast

import structlog
from structlog.typing import FilteringBoundLogger, Processor

from flower.core.escape import escape
from flower.core.masks import HIDDEN, is_secret

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}

# What other libraries log becomes an event of this name.
LIBRARY_SAID = "library.said"

# Few keys come again and again: ask once for each.
_is_secret = lru_cache(maxsize=1024)(is_secret)


def get(**context: Any) -> FilteringBoundLogger:
    """Return a logger that writes *context* with every event. May be called before `configure`, which it obeys from its first line on."""
    return cast(FilteringBoundLogger, structlog.get_logger(**context))


def overhear(listener: Callable[[str, Mapping[str, Any]], None] | None) -> None:
    """Have *listener* hear every event, with its level, before it is written; None: nobody."""
    _hearing.listener = listener


class _Hearing:
    listener: Callable[[str, Mapping[str, Any]], None] | None = None


_hearing = _Hearing()


def configure(level: str = "info", format: str = "auto", stream: TextIO | None = None, *, heard: str | None = None) -> None:  # noqa: A002 - named as in FLOWER_LOG_FORMAT
    """Send every event of *level* (debug, info, warning or error) and above to *stream*, by default stderr.

    *heard*: the level from which a listener hears of them (see `overhear`), without one *level*.

    *format* is `console`, `json`, or `auto`: console if *stream* is a terminal. Warnings and errors of asyncio, aiohttp and
    other libraries, which use the standard library's logging, become events of ours.
    """
    target = sys.stderr if stream is None else stream
    if is_for_people(format, target):
        colours = target.isatty() and not os.environ.get("NO_COLOR")
        console = structlog.dev.ConsoleRenderer(colors=colours, sort_keys=False, exception_formatter=structlog.dev.plain_traceback)
        ending: list[Processor] = [_escaped, console]
    else:
        ending = [_json_line]
    lines = Lines(target)
    structlog.configure(
        processors=[_protect, _tracebacks, _heard, _Threshold(_LEVELS[level]), _stamp, *ending],
        wrapper_class=structlog.make_filtering_bound_logger(min(_LEVELS[level], _LEVELS[heard or level])),
        logger_factory=lambda *_: lines,
        cache_logger_on_first_use=True,
    )
    root = logging.getLogger()
    libraries = _FromLibraries(max(_LEVELS[level], logging.WARNING))
    root.handlers = [*(handler for handler in root.handlers if not isinstance(handler, _FromLibraries)), libraries]
    root.setLevel(libraries.level)


def is_for_people(format: str, stream: TextIO | None = None) -> bool:  # noqa: A002 - named as in FLOWER_LOG_FORMAT
    """Whether `configure` would write lines for people, and not JSON, with these arguments."""
    return format == "console" or (format == "auto" and (sys.stderr if stream is None else stream).isatty())


class Lines:
    """Writes one line per call, whole, from any thread. A reader that has gone away stops no task: the line is lost, quietly."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def line(self, text: str) -> None:
        """Write *text* and a line end at once, so that what is logged before a crash is there after it."""
        try:
            with self._lock:
                self._stream.write(text + "\n")
                self._stream.flush()
        except (OSError, ValueError):
            pass

    # structlog calls the method that is named like the level.
    msg = debug = info = warning = error = critical = exception = line


def _protect(_logger: Any, _level: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for key in event:
        if key == "parameters" or _is_secret(key):
            event[key] = HIDDEN
    return event


def _heard(_logger: Any, level: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    if _hearing.listener is not None:
        _hearing.listener(level, event)
    return event


class _Threshold:
    """Drops what is only heard, not written."""

    def __init__(self, level: int) -> None:
        self._level = level

    def __call__(self, _logger: Any, level: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        if _LEVELS.get(level, logging.ERROR) < self._level:
            raise structlog.DropEvent
        return event


def _stamp(_logger: Any, level: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    return {"timestamp": now.replace("+00:00", "Z"), "level": level, **event}


def _tracebacks(logger: Any, level: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    # Plain text: the prettier renderers show local variables, which are the parameters of tasks.
    return structlog.processors.format_exc_info(logger, level, event) if "exc_info" in event else event


# Made once: json.dumps makes an encoder per call as soon as it is given an option.
_encode = json.JSONEncoder(separators=(",", ":"), default=str, allow_nan=False).encode


def _json_line(_logger: Any, _level: str, event: Mapping[str, Any]) -> str:
    try:
        return _encode(event)
    except (TypeError, ValueError, RecursionError):
        return _encode({str(key): repr(value) for key, value in event.items()})


def _escaped(_logger: Any, _level: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return {key: escape(value if isinstance(value, str) else repr(value), keep_lines=key == "exception") for key, value in event.items()}


class _FromLibraries(logging.Handler):
    """Hands what libraries log to structlog."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            say = get().error if record.levelno >= logging.ERROR else get().warning
            say(LIBRARY_SAID, logger=record.name, message=record.getMessage(), exc_info=record.exc_info)
        except Exception:  # noqa: BLE001 - a log call never raises
            self.handleError(record)
