"""The command line as far as it needs no database: usage, refusals, exit statuses."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flower.cli import app
from flower.cli.neighbours import find_neighbour

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An empty folder, and no settings."""
    for name in list(os.environ):
        if name.startswith(("FLOWER_", "DB_")):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def test_help_names_every_command_and_imports_neither_driver_nor_http() -> None:
    script = (
        "import sys\nfrom flower.cli import app\ntry:\n app(['--help'])\nfinally:\n print(sorted({'asyncpg', 'aiohttp', 'rich'} & set(sys.modules)))"
    )
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    for command in ("serve", "start", "register", "workflows", "flows", "show", "why", "migrate", "doctor", "psql", "url"):
        assert f"\n  {command} " in answer.stdout
    assert answer.stdout.endswith("[]\n")


@pytest.mark.parametrize(
    "line",
    [
        ["nonsense"],
        ["start"],
        ["start", "x", "--param", "novalue"],
        ["start", "x", "--param", "=1"],
        ["start", "x", "--param", "a=1", "--param", "a=2"],
        ["start", "x", "--params", "[1]"],
        ["start", "x", "--params", '{"a": NaN}'],
        ["start", "x", "--params", '{"a": "\\u0000"}'],
        ["start", "x", "--params", "@missing.json"],
        ["start", "x", "--priority", "20"],
        ["start", "x", "--priority", "-21"],
        ["start", "x", "--at", "soon"],
        ["flows", "--status", "blue"],
        ["flows", "--outcome", "wait"],
        ["flows", "--limit", "0"],
        ["flows", "--since", "soon"],
        ["flows", "--until", "2026-11-24T14:00:00"],
        ["serve", "--port", "70000"],
        ["serve", "--concurrency", "0"],
        ["serve", "--token", "short"],
        ["show"],
    ],
)
def test_wrong_usage_ends_with_2_and_says_what_is_wrong(runner: CliRunner, line: list[str]) -> None:
    answer = runner.invoke(app, line)
    assert answer.exit_code == 2
    assert "Error: " in answer.stderr


@pytest.mark.parametrize("line", [["workflows"], ["flows"], ["show", "last"], ["why", "last"], ["start", "x"], ["migrate"], ["psql"], ["url"]])
def test_where_there_is_no_database_every_other_command_says_so_and_makes_none(runner: CliRunner, line: list[str]) -> None:
    answer = runner.invoke(app, line)
    assert answer.exit_code == 78
    assert "there is no database here" in answer.stderr
    assert "python -m flower serve" in answer.stderr
    assert list(Path.cwd().iterdir()) == []


def test_a_malformed_url_is_one_sentence_without_the_password(runner: CliRunner) -> None:
    answer = runner.invoke(app, ["flows", "--database", "mysql://me:hunter2@somewhere/db"])
    assert answer.exit_code == 78
    assert answer.stderr.startswith("flower: ")
    assert answer.stderr.count("\n") == 1
    assert "hunter2" not in answer.stderr


def test_a_misspelt_setting_is_refused_with_the_right_name(runner: CliRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOWER_PROT", "8001")
    answer = runner.invoke(app, ["flows"])
    assert answer.exit_code == 78
    assert "did you mean FLOWER_PORT?" in answer.stderr


def test_serve_listens_elsewhere_only_with_a_token(runner: CliRunner) -> None:
    answer = runner.invoke(app, ["serve", "--host", "0.0.0.0"])
    assert answer.exit_code == 78
    assert "there is no token" in answer.stderr
    assert list(Path.cwd().iterdir()) == []


def test_a_port_in_use_is_named_with_its_holder_and_a_free_one(runner: CliRunner) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        answer = runner.invoke(app, ["serve", "--port", str(port)])
    assert answer.exit_code == 78
    assert f"port {port} of 127.0.0.1 is in use by process {os.getpid()} (" in answer.stderr
    assert "--port " in answer.stderr.partition("take another with ")[2]
    assert list(Path.cwd().iterdir()) == []


def test_a_module_that_does_not_import_ends_in_the_users_error_without_our_frames(runner: CliRunner) -> None:
    Path("broken_app.py").write_text("import json\n\njson.loads('{')\n")
    answer = runner.invoke(app, ["serve", "broken_app.py", "--port", "0"])
    assert answer.exit_code == 78
    assert "broken_app.py" in answer.stderr
    assert "JSONDecodeError" in answer.stderr.splitlines()[-1]
    assert "flower/sdk" not in answer.stderr
    assert not Path(".flower").exists()


def test_a_module_that_is_not_there_is_one_sentence(runner: CliRunner) -> None:
    answer = runner.invoke(app, ["serve", "nowhere.py", "--port", "0"])
    assert answer.exit_code == 78
    assert "there is no file nowhere.py" in answer.stderr


def installed(folder: Path, name: str) -> Path:
    """Install a distribution *name* that has a package `flower`, as pip leaves it."""
    (folder / "flower").mkdir(parents=True)
    (folder / "flower/__init__.py").touch()
    record = folder / f"{name}-2.0.1.dist-info"
    record.mkdir()
    (record / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 2.0.1\n")
    (record / "RECORD").write_text("flower/__init__.py,,\nflower/command.py,,\n")
    return folder


def test_celerys_flower_is_noticed_and_the_way_out_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(installed(tmp_path / "site", "flower"))
    neighbour = find_neighbour()
    assert neighbour is not None
    assert not neighbour.is_mixed
    assert "flower 2.0.1 (Celery's Flower)" in str(neighbour)
    assert "pip uninstall flower" in str(neighbour)


def test_serve_refuses_an_environment_where_both_flowers_share_a_folder(runner: CliRunner, tmp_path: Path) -> None:
    site = installed(tmp_path / "site", "flower")
    (site / "flower/__init__.py").unlink()
    (site / "flower").rmdir()
    (site / "flower").symlink_to(ROOT / "flower")
    line = [sys.executable, "-m", "flower", "serve", "--port", "0"]
    answer = subprocess.run(line, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": str(site)})
    assert answer.returncode == 78
    assert "pip uninstall flower" in answer.stderr
    assert not (tmp_path / ".flower").exists()


def test_without_a_neighbour_none_is_found() -> None:
    assert find_neighbour() is None
