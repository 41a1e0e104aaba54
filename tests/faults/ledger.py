"""What really ran, written down outside the database: each task notes its start and its end, and has them on the disk before it goes on."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

# Where the processes of the harness find it.
VARIABLE = "LEDGER"


@dataclass(frozen=True, slots=True)
class Entry:
    """*what*: `start`, `end`, `failed` (it raised as it was meant to) or `stopped` (cancelled). *at*: the machine's monotonic clock, in seconds."""

    what: str
    flow: str
    seq: int
    attempt: int
    pid: int
    at: float

    @property
    def task(self) -> tuple[str, int]:
        return self.flow, self.seq


class Ledger:
    """The ledger at *path*. Many processes may write at once: one short line, one write."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def write(self, what: str, flow: str, seq: int, attempt: int) -> None:
        os.write(self._file, json.dumps([what, flow, seq, attempt, os.getpid(), time.monotonic()]).encode() + b"\n")
        os.fdatasync(self._file)

    @contextmanager
    def noting(self, flow: str, seq: int, attempt: int) -> Iterator[None]:
        """Note the start of an attempt, and how it ended."""
        self.write("start", flow, seq, attempt)
        try:
            yield
        except Exception:
            self.write("failed", flow, seq, attempt)
            raise
        except BaseException:
            self.write("stopped", flow, seq, attempt)
            raise
        self.write("end", flow, seq, attempt)

    def entries(self) -> list[Entry]:
        """Return all that was written, in order."""
        return [Entry(*json.loads(line)) for line in self.path.read_bytes().splitlines()]
