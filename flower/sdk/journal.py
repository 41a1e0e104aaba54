"""Overhears what tasks say (structlog, logging, print), each line for the attempt that said it. Writes nothing anywhere itself."""

from __future__ import annotations

import logging
import re
import sys
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, TextIO

from flower.core import log
from flower.core.masks import mask
from flower.core.model import Claim, LogLine
from flower.sdk.context import CURRENT
from flower.sdk.values import clean

MOST_LINES, MOST_BYTES = 10_000, 1024 * 1024
_LONGEST_LINE = 16 * 1024
# Of all attempts together, while the database is away.
_MOST_KEPT_BYTES = 64 * 1024 * 1024
_FULL = f"what it says from here on is not kept: an attempt has room for {MOST_LINES:,} lines and 1 MiB"
_LINE_END = re.compile(r"\r\n|\n|\r")
# What the context of the task says already.
_BOUND = frozenset({"event", "flow", "seq", "attempt"})


class Journal:
    """The lines that wait to be written, the oldest dropped where there are too many. May be told from any thread."""

    def __init__(self) -> None:
        self._lines: deque[LogLine] = deque()
        self._bytes = self.dropped = 0
        self._lock = threading.Lock()

    def voice(self, claim: Claim) -> Voice:
        """Return what keeps the lines of one attempt."""
        return Voice(claim, self)

    def add(self, line: LogLine) -> None:
        """Keep *line*."""
        with self._lock:
            self._lines.append(line)
            self._bytes += len(line.message)
            self._make_room()

    def take(self, most: int) -> list[LogLine]:
        """Hand over up to *most* lines, the oldest first."""
        with self._lock:
            taken = [self._lines.popleft() for _ in range(min(most, len(self._lines)))]
            self._bytes -= sum(len(line.message) for line in taken)
            return taken

    def put_back(self, lines: Iterable[LogLine]) -> None:
        """Keep *lines* again, before all others: they could not be written."""
        back = list(lines)
        with self._lock:
            self._lines.extendleft(reversed(back))
            self._bytes += sum(len(line.message) for line in back)
            self._make_room()

    def _make_room(self) -> None:
        while self._bytes > _MOST_KEPT_BYTES:
            self._bytes -= len(self._lines.popleft().message)
            self.dropped += 1


class Voice:
    """The lines of one attempt, until it has ended: as many as it has room for, and a word where that is used up."""

    __slots__ = ("_bytes_left", "_claim", "_is_over", "_journal", "_lines_left", "_lock", "_unfinished")

    def __init__(self, claim: Claim, journal: Journal) -> None:
        self._claim, self._journal = claim, journal
        self._lines_left, self._bytes_left = MOST_LINES, MOST_BYTES
        self._is_over = False
        self._unfinished: dict[tuple[str, int], str] = {}
        self._lock = threading.Lock()

    def say(self, level: str, source: str, message: str) -> None:
        """Keep a line."""
        with self._lock:
            self._say(level, source, message)

    def printed(self, stream: str, text: str) -> None:
        """Keep the lines of *text*, which goes on where this thread's last one on *stream* ended."""
        key = stream, threading.get_ident()
        with self._lock:
            *lines, rest = _LINE_END.split(self._unfinished.pop(key, "") + text)
            if len(rest) > _LONGEST_LINE:
                lines, rest = [*lines, rest], ""
            if rest:
                self._unfinished[key] = rest
            for line in lines:
                self._say("info", stream, line)

    def close(self) -> None:
        """End it: what was printed without a line end is a line, too, and nothing more is kept."""
        with self._lock:
            for (stream, _), rest in self._unfinished.items():
                self._say("info", stream, rest)
            self._unfinished.clear()
            self._is_over = True

    def _say(self, level: str, source: str, message: str) -> None:
        if self._is_over:
            return
        message = clean(message if len(message) <= _LONGEST_LINE else f"{message[:_LONGEST_LINE]}… (cut, of {len(message):,} characters)")
        self._lines_left -= 1
        self._bytes_left -= len(message) if message.isascii() else len(message.encode())
        if self._lines_left < 0 or self._bytes_left < 0:
            level, source, message, self._is_over = "warning", "flower", _FULL, True
        claim = self._claim
        self._journal.add(LogLine(claim.flow_id, claim.seq, claim.attempt, datetime.now(UTC), level, source, message))


@contextmanager
def overhearing() -> Iterator[None]:
    """While inside, whatever a task says goes to its journal as well: through structlog as Flower configures it, logging, stdout and stderr."""
    root, handler = logging.getLogger(), _FromLogging()
    before, levels = root.level, {other: other.level for other in root.handlers}
    stdout, stderr = sys.stdout, sys.stderr
    for other in levels:
        other.setLevel(max(other.level, before))  # what they write stays as it is
    root.addHandler(handler)
    root.setLevel(min(before, logging.INFO) if before else logging.INFO)
    sys.stdout, sys.stderr = _Overheard(stdout, "stdout"), _Overheard(stderr, "stderr")
    log.overhear(_from_structlog)
    try:
        yield
    finally:
        log.overhear(None)
        sys.stdout, sys.stderr = stdout, stderr
        root.setLevel(before)
        root.removeHandler(handler)
        for other, level in levels.items():
            other.setLevel(level)


def _voice() -> Voice | None:
    here = CURRENT.get()
    return None if here is None else here.voice


def _from_structlog(level: str, event: Mapping[str, Any]) -> None:
    voice = _voice()
    if voice is not None and event.get("event") != log.LIBRARY_SAID:  # that was heard at its source
        words = [str(event.get("event", "")), *(f"{key}={mask(value)}" for key, value in event.items() if key not in _BOUND)]
        voice.say(level, "structlog", " ".join(words))


class _FromLogging(logging.Handler):
    """Hands what the standard library's loggers say in a task to its journal."""

    def emit(self, record: logging.LogRecord) -> None:
        voice = _voice()
        if voice is None:
            return
        try:
            voice.say(record.levelname.lower(), "logging", self.format(record))
        except Exception:  # noqa: BLE001 - a log call never raises
            self.handleError(record)


class _Overheard:
    """A text stream that passes on what is written, and tells it by lines to the journal of the task that writes."""

    def __init__(self, stream: TextIO, name: str) -> None:
        self._stream, self._name = stream, name

    def write(self, text: str) -> int:
        voice = _voice()
        if voice is not None and isinstance(text, str):
            voice.printed(self._name, text)
        return self._stream.write(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
