"""Overhears what tasks say (structlog, logging, print), each line for the attempt that said it. Writes nothing anywhere itself."""

from __future__ import annotations

import logging
import sys
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, TextIO
from uuid import UUID

from flower.core import log
from flower.core.model import Claim, LogLine
from flower.sdk.context import CURRENT
from flower.sdk.values import clean

MOST_LINES, MOST_BYTES = 10_000, 1024 * 1024
_LONGEST_LINE = 16 * 1024
# Of all attempts together, while the database is away.
_MOST_KEPT = 200_000
_FULL = f"what it says from here on is not kept: an attempt has room for {MOST_LINES:,} lines and 1 MiB"
# What the context of the task says already.
_BOUND = frozenset({"event", "flow", "seq", "attempt"})


class Journal:
    """The lines that wait to be written. May be told from any thread."""

    def __init__(self) -> None:
        self._lines: deque[LogLine] = deque(maxlen=_MOST_KEPT)
        self._room: dict[UUID, list[int]] = {}
        self._lock = threading.Lock()

    def say(self, claim: Claim, level: str, source: str, message: str) -> None:
        """Keep a line of the attempt *claim*; what goes beyond the room of one attempt is dropped, with a word about it."""
        message = clean(message[:_LONGEST_LINE])
        with self._lock:
            room = self._room.setdefault(claim.claim_id, [MOST_LINES, MOST_BYTES])
            if room[0] < 0:
                return
            room[0] -= 1
            room[1] -= len(message) if message.isascii() else len(message.encode())
            if room[0] < 0 or room[1] < 0:
                room[0] = -1
                level, source, message = "warning", "flower", _FULL
            self._lines.append(LogLine(claim.flow_id, claim.seq, claim.attempt, datetime.now(UTC), level, source, message))

    def forget(self, claim_id: UUID) -> None:
        """Count the lines of this attempt no more: it has ended."""
        if self._room:
            with self._lock:
                self._room.pop(claim_id, None)

    def take(self, most: int) -> list[LogLine]:
        """Hand over up to *most* lines, the oldest first."""
        with self._lock:
            return [self._lines.popleft() for _ in range(min(most, len(self._lines)))]

    def put_back(self, lines: list[LogLine]) -> None:
        """Keep *lines* again, before all others: they could not be written."""
        with self._lock:
            self._lines.extendleft(reversed(lines))


@contextmanager
def overhearing() -> Iterator[None]:
    """While inside, whatever a task says goes to its journal as well: through structlog as Flower configures it, logging, stdout and stderr."""
    root, handler = logging.getLogger(), _FromLogging()
    before = root.level
    stdout, stderr = sys.stdout, sys.stderr
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


def _from_structlog(level: str, event: Mapping[str, Any]) -> None:
    here = CURRENT.get()
    if here is not None and event.get("event") != log.LIBRARY_SAID:  # that was heard at its source
        words = [str(event.get("event", "")), *(f"{key}={value}" for key, value in event.items() if key not in _BOUND)]
        here.heard(level, "structlog", " ".join(words))


class _FromLogging(logging.Handler):
    """Hands what the standard library's loggers say in a task to its journal."""

    def emit(self, record: logging.LogRecord) -> None:
        here = CURRENT.get()
        if here is None:
            return
        try:
            here.heard(record.levelname.lower(), "logging", self.format(record))
        except Exception:  # noqa: BLE001 - a log call never raises
            self.handleError(record)


class _Overheard:
    """A text stream that passes on what is written, and tells it by lines to the journal of the task that writes."""

    def __init__(self, stream: TextIO, name: str) -> None:
        self._stream, self._name = stream, name

    def write(self, text: str) -> int:
        here = CURRENT.get()
        if here is not None:
            *lines, here.unfinished = (here.unfinished + text).split("\n")
            for line in lines:
                here.heard("info", self._name, line)
        return self._stream.write(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
