"""What was measured: one figure per row, a table for people, a file for programs."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.budgets import BUDGETS, SHARE_OF_THIS_RELEASE

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "bench" / "results"


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value. *budget*: its row in BUDGETS. *of_raw*: its share of what the raw SQL cycle reached in the same run; 1 is as good."""

    what: str
    value: float
    unit: str
    budget: str | None = None
    of_raw: float | None = None
    note: str = ""

    @property
    def reached(self) -> float | None:
        """How much of its budget it reaches, None without one."""
        return BUDGETS[self.budget].reached(self.value) if self.budget else None


@dataclass(frozen=True, slots=True)
class Machine:
    """Where and when it was measured. *fsync_ms*: a write of 8 KiB that is on the disk."""

    at: str
    commit: str
    cores: int
    python: str
    postgresql: str
    system: str
    load_before: tuple[float, float, float]
    fsync_ms: float

    @classmethod
    def of(cls, *, postgresql: str, fsync_ms: float) -> Machine:
        """Look at this machine."""
        return cls(
            at=datetime.now(UTC).isoformat(timespec="seconds"),
            commit=_commit(),
            cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 0,
            python=platform.python_version(),
            postgresql=postgresql,
            system=f"{platform.system()} {platform.machine()}",
            load_before=os.getloadavg(),
            fsync_ms=round(fsync_ms, 3),
        )

    def __str__(self) -> str:
        load = " ".join(f"{value:.2f}" for value in self.load_before)
        return (
            f"{self.at}, commit {self.commit}, {self.cores} cores, Python {self.python}, PostgreSQL {self.postgresql}, {self.system}, "
            f"fsync {self.fsync_ms} ms, load before {load}"
        )


def _commit() -> str:
    """Return what git calls this checkout; `+` after it: with changes."""
    said = subprocess.run(["git", "describe", "--always", "--dirty=+"], cwd=ROOT, capture_output=True, text=True, check=False)
    return said.stdout.strip() or "unknown"


def line(figure: Figure) -> str:
    """Return one figure as text, for those who watch."""
    return f"{figure.what}: {_number(figure.value, figure.unit)}"


_HEADINGS = ("what", "measured", "budget", "this release", "reached", "of raw", "how")


def print_table(machine: Machine, figures: Sequence[Figure]) -> None:
    """Print all figures beside their budgets, for people."""
    table = Table(title="Flower, measured", caption=str(machine), title_justify="left", caption_justify="left")
    for heading in _HEADINGS:
        is_text = heading in {"what", "how"}
        table.add_column(
            heading, justify="left" if is_text else "right", no_wrap=not is_text, overflow="fold", style="dim" if heading == "how" else None
        )
    for figure in figures:
        table.add_row(*_cells(figure), style=_colour(figure.reached))
    console = Console()
    # A file has no width, and what is taken for one would cut every other word.
    if not console.is_terminal:
        console = Console(width=180)
    console.print(table)


def print_markdown(machine: Machine, figures: Sequence[Figure]) -> None:
    """Print the same as a document has it."""
    print(f"{machine}.\n")
    for cells in (_HEADINGS, ["---"] * len(_HEADINGS), *map(_cells, figures)):
        print(f"| {' | '.join(cells)} |")


def _cells(figure: Figure) -> tuple[str, ...]:
    of_raw = "" if figure.of_raw is None else f"{figure.of_raw:.2f}"
    return figure.what, _number(figure.value, figure.unit), *_against_budget(figure), of_raw, figure.note


def _colour(reached: float | None) -> str:
    if reached is None:
        return ""
    return "green" if reached >= 1 else "yellow" if reached >= SHARE_OF_THIS_RELEASE else "red"


def _against_budget(figure: Figure) -> tuple[str, str, str]:
    if figure.budget is None or figure.reached is None:
        return "", "", ""
    budget = BUDGETS[figure.budget]
    sign = "≥ " if budget.is_least else "≤ "
    return sign + _number(budget.bound, figure.unit), sign + _number(budget.now, figure.unit), f"{figure.reached:.0%}"


def _number(value: float, unit: str) -> str:
    digits = 0 if abs(value) >= 100 or value == int(value) else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f} {unit}".strip()


def write(machine: Machine, figures: Sequence[Figure], failed: Mapping[str, str], *, is_quick: bool) -> Path:
    """Write everything as JSON into bench/results/ and return the file. *failed*: what could not be measured, and why."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{machine.at.replace(':', '').replace('+0000', 'Z')}-{machine.commit.rstrip('+')}.json"
    rows = [asdict(figure) | {"bound": BUDGETS[figure.budget].bound if figure.budget else None, "reached": figure.reached} for figure in figures]
    everything = {"quick": is_quick, "machine": asdict(machine), "load_after": os.getloadavg(), "figures": rows, "failed": failed}
    path.write_text(json.dumps(everything, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return path
