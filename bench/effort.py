"""CPU time of processes, as Linux counts it. Unlike a rate it hardly depends on who else uses the machine."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from flower.database.pool import Connection

_TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pids: Iterable[int]) -> float:
    """Return the CPU time that *pids* have used so far; those that are gone, or another system's, count nothing."""
    return sum(_ticks(pid) for pid in pids) / _TICKS


def _ticks(pid: int) -> int:
    try:
        # Behind the name, which may have blanks and brackets in it: state is field 3, utime and stime are 14 and 15.
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return 0
    return int(fields[11]) + int(fields[12])


def memory_mb(pid: int) -> float | None:
    """Return the resident memory of *pid* in MB, None where the system does not say."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except OSError:
        return None
    return next((int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmRSS")), None)


async def backends(connection: Connection) -> list[int]:
    """Return the server's processes that work for the other clients of this database."""
    rows = await connection.fetch("SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
    return [row["pid"] for row in rows]
