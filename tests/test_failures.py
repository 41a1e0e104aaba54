"""docs/failures.md: its commands, in its order, as somebody would type them whose till does not answer."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.terminal import ENVIRONMENT, Terminal, serving
from tests.test_tutorial import EXAMPLES, home

PARTS = (Path(__file__).parents[1] / "docs/failures.md").read_text().split("\n## ")[1:]

pytestmark = pytest.mark.timeout(120)


def typed(part: int) -> list[str]:
    return [line.removeprefix("$ ").replace("python", ".venv/bin/python", 1) for line in re.findall(r"^\$ .*", PARTS[part - 1], flags=re.MULTILINE)]


def shows(terminal: Terminal, what: str) -> str:
    """Return what `show last` prints once *what* is in it."""
    until = time.monotonic() + 15
    while what not in (text := terminal.run(".venv/bin/python -m flower show last")):
        assert time.monotonic() < until, text
    return text


def start(terminal: Terminal) -> None:
    terminal.run(".venv/bin/python -m flower start sales")


def test_the_commands_of_the_page_work_as_they_stand(short_folder: Path) -> None:
    folder = home(short_folder, "failures")
    closed = folder / "closed"
    closed.touch()
    asks = f"    if __import__('pathlib').Path({str(closed)!r}).exists():\n        raise TimeoutError(f'{{shop}} does not answer')\n    return [Sale("
    (folder / "etl.py").write_text((EXAMPLES / "etl.py").read_text().replace("    return [Sale(", asks, 1))
    with serving(folder, "etl.py") as terminal:
        start(terminal)
        shows(terminal, "Also suspended")
        listed, show, incidents, repro = typed(1)
        assert "sales" in terminal.run(listed)
        assert "TimeoutError: north does not answer" in terminal.run(show)
        assert re.search(r"attempt +1 of 1, at", terminal.run(show))
        assert re.search(r"run again +python -m flower rerun \S+ --from 1", terminal.run(show))

        assert "north does not answer" in terminal.run(incidents)
        assert terminal.run(repro).startswith("test_extract_north_")
        (written,) = folder.glob("test_extract_north_*.py")
        test = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", str(written)], cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=False
        )
        assert "TimeoutError: north does not answer" in test.stdout
        assert "1 failed" in test.stdout

        plan, again, many = typed(2)
        assert "would run: 1 extract-north (suspend failed), 2 clean (wait)" in terminal.run(plan)
        closed.unlink()
        assert "runs again: 1 extract-north" in terminal.run(again)
        shows(terminal, "finish at")

        closed.touch()
        start(terminal)
        shows(terminal, "Also suspended")
        assert terminal.run(many) == "would run: 1 flow, 5 tasks\n"

        plan, ignore = typed(3)
        assert terminal.run(plan) == "extract-north would be ignored; ignored in turn: clean\n"
        assert terminal.run(ignore) == "extract-north is ignored; ignored in turn: clean\n"
        (complete,) = typed(4)
        assert terminal.run(complete) == "extract-south is finished with that result\n"
        shows(terminal, "InvalidParameters")  # the report wants both

        suspend, resume, cancel = typed(5)
        assert "nothing new of flow" in terminal.run(suspend)
        assert "goes on" in terminal.run(resume)
        assert terminal.run(cancel) == "cancelled: 1 task will not run\n"

        (audit,) = re.findall(r"```sql\n(.*?)```", PARTS[5], flags=re.DOTALL)
        assert [line.split("|")[1:] for line in terminal.query(audit).splitlines()][1][:2] == ["ignore", "1"]
