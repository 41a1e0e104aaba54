"""What a run under a fault showed, for people: a line of a table, and the page docs/faults.md, which keeps the newest line of each fault."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tests.faults.checker import Verdict, percentiles
from tests.faults.faults import FAULTS, Fault

PAGE = Path(__file__).parents[2] / "docs" / "faults.md"
_BEGIN, _END = "<!-- written by make faults -->", "<!-- end -->"
_HEAD = (
    "| # | fault | tasks | lost | finished twice | stuck | out of order | ran again (tasks × times) | overlaps | deadlocks "
    "| next start, s (p50 · p99 · max) | resumed, s (max) | throughput during · after ÷ before | noticed | run |"
)


@dataclass(frozen=True, slots=True)
class Result:
    """One run."""

    fault: Fault
    verdict: Verdict
    notes: dict[str, object]
    seed: int

    @property
    def shortfalls(self) -> list[str]:
        """Return what did not hold, each as a sentence; empty when all did."""
        found = [f"{name} {count}" for name, count in self._counts.items() if count]
        verdict, fault = self.verdict, self.fault
        if verdict.examples:
            found.append(f"for example {dict(verdict.examples)}")
        if verdict.again and not fault.again:
            found.append(f"tasks ran again: {dict(verdict.again)}")
        if fault.restart is not None and (not verdict.restarts or max(verdict.restarts) > fault.restart):
            found.append(f"the next starts came within {max(verdict.restarts, default=float('nan')):.1f} s, promised are {fault.restart:g}")
        if fault.resume is not None and (not verdict.resumed or max(verdict.resumed) > fault.resume):
            found.append(f"work went on after {max(verdict.resumed, default=float('nan')):.1f} s, promised are {fault.resume:g}")
        return found

    @property
    def _counts(self) -> dict[str, int]:
        verdict = self.verdict
        return {"lost": verdict.lost, "finished twice": verdict.finished_twice, "stuck": verdict.stuck, "out of order": verdict.order}

    def line(self) -> str:
        """Return the row of the table."""
        verdict, fault = self.verdict, self.fault
        again = ", ".join(f"{tasks} × {times}" for times, tasks in verdict.again.items()) or "0"
        restarts = percentiles(verdict.restarts)
        noticed = ", ".join(f"{name}: {value}" for name, value in self.notes.items())
        return (
            "| "
            + " | ".join(
                (
                    str(fault.row),
                    f"`{fault.name}`: {fault.what}",
                    str(verdict.tasks),
                    *(str(count) for count in self._counts.values()),
                    again,
                    str(verdict.overlaps),
                    str(verdict.deadlocks),
                    " · ".join(f"{seconds:.1f}" for seconds in restarts) if restarts else "–",
                    f"{max(verdict.resumed):.1f}" if verdict.resumed else "–",
                    f"{verdict.during:.2f} · {verdict.after:.2f}",
                    noticed,
                    f"{datetime.now(UTC):%Y-%m-%d}, {_commit()}, seed {self.seed}",
                )
            )
            + " |"
        )


def publish(results: Sequence[Result]) -> None:
    """Write the lines of *results* into the page, each in the place of the fault's older one."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(_BEGIN)
    table, _, after = rest.partition(_END)
    lines = {name: line for line in table.splitlines() for name in FAULTS if f"| `{name}`:" in line}
    lines |= {result.fault.name: result.line() for result in results}
    rows = [lines[name] for name in FAULTS if name in lines]
    rule = "|" + "---|" * (_HEAD.count("|") - 1)
    text = "\n".join((before + _BEGIN, _machine(), "", _HEAD, rule, *rows, _END)) + after
    PAGE.write_text(text, encoding="utf-8")


def _machine() -> str:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"Machine of the last run: {os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()} {platform.machine()}, Python {platform.python_version()}, embedded PostgreSQL."


def _commit() -> str:
    told = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False, cwd=PAGE.parent)
    return told.stdout.strip() or "no commit"
