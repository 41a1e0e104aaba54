"""The benchmark's own plumbing: that it measures, prints and writes. How fast anything is, no test says."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.timeout(120)
def test_a_quick_measurement_prints_a_table_and_writes_all_figures_as_json() -> None:
    command = [sys.executable, "-m", "bench", "--quick", "raw"]

    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110, check=True).stdout

    written = ROOT / said.split("written to ")[1].strip()
    try:
        measured = json.loads(written.read_text(encoding="utf-8"))
    finally:
        written.unlink()
    assert measured["machine"]["cores"] > 0
    assert [figure["what"] for figure in measured["figures"] if figure["value"] > 0] == [
        "no-op tasks, raw SQL cycle",
        "chain of 40, raw SQL cycle",
        "1 → 1,000 → 1, raw SQL cycle",
    ]
    assert all(figure["what"] in said for figure in measured["figures"])
