"""docs/tutorial.md, typed as it stands, and the examples of workflows in Python."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from tests.terminal import ENVIRONMENT, FLOWER, Terminal, serving

ROOT = Path(__file__).parent.parent
PARTS = (ROOT / "docs/tutorial.md").read_text().split("\n## ")[1:]
EXAMPLES = ROOT / "examples"

pytestmark = pytest.mark.timeout(120)


def block(part: int, language: str, number: int = 0) -> str:
    found = re.findall(rf"```{language}\n(.*?)```", PARTS[part - 1], flags=re.DOTALL)
    assert len(found) > number, f"no {language} in part {part}"
    return str(found[number])


def typed(part: int, number: int = 0) -> list[str]:
    return [line.removeprefix("$ ") for line in block(part, "console", number).splitlines() if line.startswith("$ ")]


def shown(part: int) -> str:
    return block(part, "console").splitlines()[-1] + "\n"


def home(parent: Path, name: str) -> Path:
    """Make a folder with a database of its own: one of another test may lie above it."""
    folder = parent / name
    (folder / ".flower").mkdir(parents=True)
    return folder


def finished(terminal: Terminal) -> None:
    """Wait until the last flow has finished."""
    until = time.monotonic() + 10
    while "finish at" not in terminal.run(".venv/bin/python -m flower show last"):
        assert time.monotonic() < until


def flower(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*FLOWER, *arguments], cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, timeout=30, check=False)


def test_the_tutorial_works_as_it_stands(short_folder: Path) -> None:
    folder = home(short_folder, "tutorial")
    terminal, module = Terminal(folder, 0), folder / "shop.py"

    module.write_text(block(1, "python"))
    (run,) = typed(1)
    assert json.loads(terminal.run(run)) == json.loads(shown(1))

    module.write_text(block(2, "python"))
    check, run = typed(2)
    assert "report     after clean, clean-2" in terminal.run(check)
    assert terminal.run(run) == shown(2)

    serve, start, post = typed(3)
    assert serve == "make run ARGS=shop.py"
    with serving(folder, "shop.py") as served:
        assert "finish" in served.run(start)
        assert '"status":"succeeded"' in served.run(post)
        finished(served)

    module.write_text(block(2, "python").replace("[amount for amount in amounts if amount > 0]", "[amount / 0 for amount in amounts]"))
    run, show = typed(4)
    failed = flower(folder, *run.split()[3:])
    assert failed.returncode == 1
    assert "ZeroDivisionError" in failed.stdout
    assert f"called      {module}:21" in terminal.run(show)
    module.write_text(block(2, "python"))
    with serving(folder, "shop.py") as served:
        plan, rerun = typed(4, 1)
        assert "would run: 2 clean (suspend failed), 4 clean-2 (suspend failed), 5 report (wait)" in served.run(plan)
        assert "reused: extract" in served.run(rerun)
        finished(served)

    assert terminal.query(block(5, "sql")) == "UPDATE 1\n"
    (define,) = typed(5)
    assert flower(folder, "define", "shop.py").returncode == 1
    assert terminal.run(define) == "sales: written\n"


def test_the_workflow_of_the_readme_runs(short_folder: Path) -> None:
    folder = home(short_folder, "readme-workflow")
    section = (ROOT / "README.md").read_text().partition("\n## Your own workflows\n")[2].partition("\n## ")[0]
    (folder / "digest.py").write_text(re.search(r"```python\n(.*?)```", section, flags=re.DOTALL)[1])  # type: ignore[index]
    command = re.search(r"^\$ (.*)$", section, flags=re.MULTILINE)
    assert command is not None
    assert Terminal(folder, 0).run(command[1]) == '"the same"\n'


def test_the_examples_run_from_a_command_a_script_and_a_web_application(short_folder: Path) -> None:
    folder = home(short_folder, "sales")
    etl, expected = str(EXAMPLES / "etl.py"), {"north": "25.00 EUR", "south": "25.00 EUR"}
    ran = flower(folder, "run", etl, "--param", "day=2026-02-01")
    assert (ran.returncode, json.loads(ran.stdout)) == (0, expected)
    with serving(folder, etl) as terminal:
        url = flower(folder, "url").stdout.strip()
        environment = ENVIRONMENT | {"FLOWER_DATABASE_URL": url, "PYTHONPATH": str(ROOT)}
        script = subprocess.run(
            [sys.executable, str(EXAMPLES / "start_sales.py")], env=environment, capture_output=True, text=True, timeout=30, check=True
        )
        assert str(expected) in script.stdout

        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        serve = (
            f"import sys; sys.path.insert(0, {str(EXAMPLES)!r}); from aiohttp import web; import shop; web.run_app(shop.create_app(), port={port})"
        )
        with subprocess.Popen([sys.executable, "-c", serve], env=environment, stdout=subprocess.DEVNULL) as shop:
            try:
                flow = posted(port, "2026-03-31")
                with pytest.raises(OSError, match="500"):
                    posted(port, "2026-03-31")
            finally:
                shop.send_signal(signal.SIGINT)
        assert terminal.query("SELECT count(*) FROM closed_days") == "1\n"
        assert terminal.query("SELECT count(*) FROM kr_flow_stat WHERE task_id = 'sales' AND idempotency_key IS NULL") == "2\n"
        assert "2026-03-31" in terminal.run(f"{os.fspath('.venv/bin/python')} -m flower show {flow}")


def posted(port: int, day: str) -> str:
    until = time.monotonic() + 10
    while True:
        try:
            request = urllib.request.Request(f"http://127.0.0.1:{port}/close/{day}", method="POST")
            with urllib.request.urlopen(request, timeout=5) as answer:
                return str(json.load(answer)["flow"])
        except ConnectionError:
            assert time.monotonic() < until
            time.sleep(0.05)
        except urllib.error.URLError as error:
            if not isinstance(error.reason, ConnectionError) or time.monotonic() > until:
                raise
            time.sleep(0.05)


# check and define


def test_check_says_which_waiting_tasks_would_not_fit(short_folder: Path) -> None:
    folder = home(short_folder, "check")
    module = folder / "app.py"
    body = "from flower import task, workflow\n\n@task\nasync def resize(url: str{more}) -> str:\n    return url\n\n@workflow\ndef resize_all(url: str = 'a'):\n    resize(url)\n"
    module.write_text(body.format(more=""))
    assert flower(folder, "run", "app.py").returncode == 0
    terminal = Terminal(folder, 0)
    terminal.query("SELECT flower_register('resize_all', '{}', '{\"runAt\": \"2999-01-01T00:00:00Z\"}') FROM generate_series(1, 12)")
    with serving(folder, "app.py"):
        database = flower(folder, "url").stdout.strip()
        fits = flower(folder, "check", "app.py", "--database", database)
        assert (fits.returncode, fits.stdout) == (0, "resize_all(url=a)\n    1  resize\n\n")
        module.write_text(body.format(more=", size: int"))
        wrong = flower(folder, "check", "app.py", "--database", database)

    assert wrong.returncode == 78  # its own workflow does not give it either
    assert "missing a required argument: 'size'" in wrong.stderr
    module.write_text(body.format(more=", size: int").replace("resize(url)", "resize(url, size=3)"))
    with serving(folder, "app.py"):
        wrong = flower(folder, "check", "app.py", "--database", flower(folder, "url").stdout.strip())
    assert wrong.returncode == 1
    assert "12 waiting tasks of resize (workflow resize_all): size: is missing and has no default" in wrong.stdout


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("", "the module has no workflow"),
        ("@workflow\ndef a():\n    t()\n\n@workflow\ndef b():\n    t()\n", "which one? the module has a, b"),
    ],
)
def test_run_says_which_workflows_there_are(short_folder: Path, body: str, words: str) -> None:
    (short_folder / "several.py").write_text(f"from flower import task, workflow\n\n@task\nasync def t() -> None: ...\n\n{body}")

    ran = flower(short_folder, "run", "several.py")

    assert ran.returncode == 2
    assert words in " ".join(ran.stderr.replace("│", " ").split())


def test_a_body_that_cannot_be_built_is_said_before_anything_starts(short_folder: Path) -> None:
    folder = home(short_folder, "wrong")
    (folder / "wrong.py").write_text(
        "from flower import task, workflow\n\n@task\nasync def t() -> int: ...\n\n@workflow\ndef w():\n    if t():\n        t()\n"
    )

    for command in (["serve", "wrong.py"], ["run", "wrong.py"], ["check", "wrong.py"], ["define", "wrong.py"]):
        ran = flower(folder, *command)
        assert ran.returncode == 78
        assert "wrong.py:8: <t, known when the flow runs> has no value yet" in ran.stderr
    assert list((folder / ".flower").iterdir()) == []
