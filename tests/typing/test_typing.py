"""The typed face of workflows, without a plugin: what is right is clean in mypy and pyright, and each mistake is found by both."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


def mypy(file: Path) -> set[int]:
    """Return the lines of *file* in which mypy finds an error."""
    command = [sys.executable, "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml"), "--output", "json", str(file)]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout
    found = [json.loads(line) for line in told.splitlines() if line.startswith("{")]
    return {error["line"] for error in found if error["severity"] == "error" and Path(error["file"]).name == file.name}


def pyright(file: Path) -> set[int]:
    """Return the lines of *file* in which pyright finds an error or gives a warning."""
    command = [sys.executable, "-m", "pyright", "--pythonpath", sys.executable, "--outputjson", str(file)]
    told = json.loads(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout)
    return {error["range"]["start"]["line"] + 1 for error in told["generalDiagnostics"] if error["severity"] in {"error", "warning"}}


@pytest.mark.timeout(180)
@pytest.mark.parametrize("checker", [mypy, pyright])
def test_what_is_right_is_clean_and_every_mistake_is_found(checker: object) -> None:
    assert callable(checker)
    lines = (HERE / "mistakes.py").read_text(encoding="utf-8").splitlines()
    marked = {number for number, line in enumerate(lines, 1) if line.endswith("# wrong")}

    assert checker(HERE / "right.py") == set()
    assert checker(HERE / "mistakes.py") == marked
