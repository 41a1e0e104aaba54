"""What a process costs that has nothing to do: the statements it sends, its CPU time, its memory."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from time import perf_counter

from bench.effort import cpu_seconds, memory_mb
from bench.ground import Ground, session
from bench.report import Figure
from bench.served import serving

_SETTLE_SECONDS = 3.0
# What each of the two standing duties sends: the beat with its sweep, and the probe.
_STANDING = {"SET beat_ts": "beat", "kr_sweep()": "sweep", "kr_probe(": "probe"}


async def measure(ground: Ground) -> AsyncIterator[Figure]:
    """Yield the statements besides heartbeat and probe, CPU and memory of one idle process."""
    seconds = 10.0 if ground.is_quick else 30.0
    async with ground.database("idle") as url, session(url) as connection:
        await connection.execute("ALTER DATABASE idle SET log_statement = 'all'")
        log = Path(await connection.fetchval("SELECT current_setting('data_directory')")).parent / "postgresql.log"
        async with serving("bench.tasks", database=url, folder=ground.folder, http=True) as served:
            await asyncio.sleep(_SETTLE_SECONDS)
            pid = served.process.pid
            size, used, began = log.stat().st_size, cpu_seconds([pid]), perf_counter()
            await asyncio.sleep(seconds)
            passed = perf_counter() - began
            share, memory = (cpu_seconds([pid]) - used) / passed * 100, memory_mb(pid)
            with log.open("rb") as written:
                written.seek(size)
                sent = Counter(_duty(entry) for entry in written.read().decode(errors="replace").split("LOG:  ")[1:])
    other = sum(count for duty, count in sent.items() if duty not in _STANDING.values())
    yield Figure("idle: statements besides heartbeat and probe", other, "", "idle statements", note=f"in {seconds:.0f} s; sent: {_told(sent)}")
    yield Figure("idle: CPU", share, "%", "idle cpu", note=f"of one core, over {seconds:.0f} s")
    if memory is not None:
        yield Figure("idle: memory", memory, "MB", "idle memory", note="resident")


def _duty(entry: str) -> str:
    return next((duty for mark, duty in _STANDING.items() if mark in entry), " ".join(entry.split())[:100])


def _told(sent: Counter[str]) -> str:
    return ", ".join(f"{count} × {duty}" for duty, count in sent.most_common()) or "nothing"
