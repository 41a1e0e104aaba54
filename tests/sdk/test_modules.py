"""How the modules that a user names are imported, and what they say when they cannot be."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from flower.core.errors import ModuleProblem
from flower.sdk.modules import load
from flower.sdk.registry import REGISTRY


@pytest.fixture(autouse=True)
def _python_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]


def write(name: str, text: str = "") -> Path:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(dedent(text))
    return path.resolve()


def problem(module: str) -> str:
    with pytest.raises(ModuleProblem) as caught:
        load([module])
    return str(caught.value)


def test_a_file_is_imported_under_its_stem_and_finds_its_neighbours() -> None:
    path = write("x/flower_app_one.py", "import flower_neighbour\nfrom flower import task\n@task\nasync def from_a_file() -> None: ...")
    write("x/flower_neighbour.py")
    load(["./x/flower_app_one.py"])
    assert sys.modules["flower_app_one"].__file__ == str(path)
    assert REGISTRY.get("from_a_file") is not None


def test_a_dotted_name_is_found_from_the_working_directory() -> None:
    write("flower_shop/__init__.py")
    write("flower_shop/tasks.py", "from flower import task\n@task\ndef from_a_name() -> None: ...")
    load(["flower_shop.tasks"])
    assert REGISTRY.get("from_a_name") is not None


def test_a_module_is_imported_once() -> None:
    write("flower_once.py", "from pathlib import Path\nPath('count').write_text(Path('count').read_text() + 'x')")
    Path("count").write_text("")
    load(["flower_once.py", "./flower_once.py", "flower_once"])
    assert Path("count").read_text() == "x"


def test_an_error_shows_the_users_frames_only_and_ends_in_the_users_error() -> None:
    write("flower_bad.py", "def fails():\n    raise KeyError('mine')\nfails()\n")
    message = problem("flower_bad.py")
    assert message.startswith("flower_bad.py does not import:")
    assert message.endswith("KeyError: 'mine'")
    assert 'flower_bad.py", line 2, in fails' in message
    assert "modules.py" not in message
    assert "importlib" not in message
    assert "flower_bad" not in sys.modules


def test_the_cause_of_an_error_shows_the_users_frames_only() -> None:
    write("flower_bad.py", "try:\n    import flower_missing\nexcept ImportError as error:\n    raise RuntimeError('mine') from error\n")
    message = problem("flower_bad")
    assert message.endswith("RuntimeError: mine")
    assert "ModuleNotFoundError: No module named 'flower_missing'" in message
    assert "importlib" not in message


@pytest.mark.parametrize(
    ("text", "ends"),
    [
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        ("def (", "SyntaxError: invalid syntax"),
        ("import flower_missing", "No module named 'flower_missing'"),
    ],
)
def test_whatever_a_module_does_it_is_a_problem_of_the_module(text: str, ends: str) -> None:
    write("flower_bad.py", text)
    assert problem("flower_bad.py").endswith(ends)


def test_a_module_that_is_not_there_is_named() -> None:
    write("flower_there.py")
    assert problem("flower_missing") == f"there is no module 'flower_missing' (looked from {Path.cwd()} and in sys.path)"
    assert problem("flower_missing.py") == f"there is no file flower_missing.py (looked from {Path.cwd()})"
    write("flower_x/y.txt")
    assert problem("./flower_x") == "./flower_x is a folder; name a file or a dotted name"
    assert problem("a b") == "'a b' is neither the dotted name of a module (shop.tasks) nor a file (app.py)"


def test_a_stem_that_is_taken_is_refused() -> None:
    write("json.py")
    message = problem("json.py")
    assert "would be the module 'json'" in message
    assert "rename the file" in message


def test_two_tasks_of_one_name_in_a_file_are_named_with_both_lines() -> None:
    path = write("flower_twice.py", "from flower import task\n@task\ndef twice() -> None: ...\n@task\ndef twice() -> None: ...\n")
    assert f"two tasks are called 'twice': {path}:2 and {path}:4" in problem("flower_twice.py")
