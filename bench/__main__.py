"""`python -m bench [--quick] [NAME…]`: measure, print one table, write JSON to bench/results/."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from time import perf_counter

import uvloop

from bench import (
    attack,
    definitions,
    engine,
    graphs,
    idle,
    latency,
    limits,
    pages,
    raw,
    recovery,
    registrations,
    report,
    resting,
    schedules,
    several,
    snapshot,
    start,
    volume,
)
from bench.ground import Ground, fsync_seconds, prepared, session
from bench.report import Figure, Machine

# No measurement takes longer, however slow the machine is.
_PATIENCE_SECONDS = 150.0

# In this order: the first is what others are compared with.
MEASUREMENTS: dict[str, Callable[[Ground], AsyncIterator[Figure]]] = {
    "raw": raw.measure,
    "engine": engine.measure,
    "resting": resting.measure,
    "several": several.measure,
    "graphs": graphs.measure,
    "latency": latency.measure,
    "registrations": registrations.measure,
    "definitions": definitions.measure,
    "recovery": recovery.measure,
    "schedules": schedules.measure,
    "attack": attack.measure,
    "limits": limits.measure,
    "snapshot": snapshot.measure,
    "pages": pages.measure,
    "volume": volume.measure,
    "idle": idle.measure,
    "future": schedules.measure_idle,
    "start": start.measure,
}


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure Flower on this machine, with an embedded PostgreSQL of its own.")
    parser.add_argument("--quick", action="store_true", help="measure with fewer rows and for shorter times")
    parser.add_argument("--markdown", action="store_true", help="print the table as docs/performance.md has it")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"only these: {', '.join(MEASUREMENTS)}")
    asked = parser.parse_args()
    unknown = [name for name in asked.names if name not in MEASUREMENTS]
    if unknown:
        parser.error(f"there is no measurement {', '.join(unknown)}; there are {', '.join(MEASUREMENTS)}")
    is_complete = uvloop.run(
        measure([name for name in MEASUREMENTS if name in asked.names or not asked.names], is_quick=asked.quick, as_markdown=asked.markdown)
    )
    sys.exit(0 if is_complete else 1)


async def measure(names: Sequence[str], *, is_quick: bool, as_markdown: bool) -> bool:
    """Measure everything in *names*, one after the other, and report. False: something could not be measured."""
    figures, failed = [], {}
    async with prepared(is_quick=is_quick) as ground:
        async with session(ground.url) as connection:
            version = await connection.fetchval("SHOW server_version")
        machine = Machine.of(postgresql=version, fsync_ms=fsync_seconds(ground.folder) * 1000)
        for name in names:
            began = perf_counter()
            try:
                async with asyncio.timeout(_PATIENCE_SECONDS):
                    async for figure in MEASUREMENTS[name](ground):
                        print(f"  {report.line(figure)}", file=sys.stderr)
                        figures.append(figure)
            except Exception as error:  # noqa: BLE001 - the other figures are worth having
                failed[name] = f"{type(error).__name__}: {error}"
            print(f"{name}: {perf_counter() - began:.0f} s", file=sys.stderr)
    (report.print_markdown if as_markdown else report.print_table)(machine, figures)
    print(f"written to {report.write(machine, figures, failed, is_quick=is_quick).relative_to(report.ROOT)}")
    for name, reason in failed.items():
        print(f"{name} was not measured: {reason}", file=sys.stderr)
    return not failed


if __name__ == "__main__":
    main()
