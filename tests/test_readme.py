"""The README's commands and the examples, run as somebody would who has just found them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.terminal import serving

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()

pytestmark = pytest.mark.timeout(90)


def blocks(title: str, language: str) -> list[str]:
    section = README.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    found = re.findall(rf"```{language}\n(.*?)```", section, flags=re.DOTALL)
    assert found, f"no {language} in {title}"
    return found


def commands(title: str) -> list[str]:
    return [line.removeprefix("$ ") for block in blocks(title, "console") for line in block.splitlines() if line.startswith("$ ")]


def test_what_the_readme_says_works(short_folder: Path) -> None:
    folder = short_folder / "readme"
    folder.mkdir()
    (folder / "app.py").write_text(blocks("Your own tasks, and a workflow in rows", "python")[0])
    with serving(folder, "app.py") as terminal:
        setup, hello, show, example, psql = commands("Two commands")
        assert setup == "make run"
        assert '"status":"succeeded"' in terminal.run(hello)
        assert "hello" in terminal.run(show)
        assert '"taskId":"example"' in terminal.run(example)
        assert psql.endswith("-m flower psql")
        assert terminal.query(blocks("Two commands", "sql")[0]).startswith("UPDATE")

        serve, start = commands("Your own tasks, and a workflow in rows")
        assert serve == "make run ARGS=app.py"
        terminal.query(blocks("Your own tasks, and a workflow in rows", "sql")[0])
        assert "finish" in terminal.run(start)

        terminal.query("CREATE TABLE orders (id integer, state text)")
        for statement in blocks("SQL is an interface", "sql"):
            assert "COMMIT" in terminal.query(statement)
        assert terminal.query("SELECT count(*) FROM kr_flow_stat WHERE task_id = 'resize_all'") == "2\n"


def test_every_example_runs(short_folder: Path) -> None:
    folder = short_folder / "examples"
    folder.mkdir()
    examples = ROOT / "examples"
    with serving(folder, str(examples / "app.py")) as terminal:
        terminal.query("".join(script.read_text() for script in examples.glob("*.sql")))
        for workflow in ("resize_all", "diamond"):
            assert "finish" in terminal.run(f".venv/bin/python -m flower start {workflow} --wait")
        # The rows written by hand were there first: no flow that is this much younger ends before them.
        assert terminal.query("SELECT status FROM flower_flows WHERE workflow = 'by_hand'") == "finish\n"
