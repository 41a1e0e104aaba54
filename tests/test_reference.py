"""docs/reference/ names every route, command, option, error and log event that the code has."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

import flower
from flower.cli import app
from flower.core.errors import FlowerError
from flower.web.application import INTERFACE

ROOT = Path(__file__).parent.parent
REFERENCE = ROOT / "docs/reference"
LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}


def named(page: str) -> str:
    return (REFERENCE / page).read_text()


def without_pattern(path: str) -> str:
    return re.sub(r"{(\w+):[^}]*}", r"{\1}", path)


def routes() -> set[str]:
    """Return `METHOD /path` for each route, with the names of what varies in braces."""
    found = {(definition.method, definition.path) for resource in INTERFACE for definition in resource.routes}
    return {f"{method} {without_pattern(path)}" for method, path in found}


def commands() -> dict[str, Any]:
    # typer has a click of its own inside: no class of either is named here.
    group: Any = typer.main.get_command(app)
    return dict(group.commands)


def errors(base: type[FlowerError] = FlowerError) -> Iterator[str]:
    yield base.__name__
    for child in base.__subclasses__():
        yield from errors(child)


def events() -> set[str]:
    """Return what the code logs: the first argument of each call that logs, and the events of attempts, which stand in a table."""
    found = set()
    for path in (ROOT / "flower").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in LEVELS and node.args:
                found |= {text for text in [getattr(node.args[0], "value", None)] if isinstance(text, str)}
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and re.fullmatch(r"task\.[a-z_]+", node.value):
                found.add(node.value)
    return found


def test_every_route_is_documented() -> None:
    # the verbs of a flow have a table of their own, and share the beginning of their paths
    verb = "POST /api/flows/{flowId}"
    told = {route: route.removeprefix(verb).replace("{step}", "{seq or name}") if route.startswith(verb) else route for route in routes()}
    assert [route for route in sorted(told) if f"`{told[route]}`" not in named("http.md")] == []


def test_every_command_and_every_option_of_it_is_documented() -> None:
    page = named("commands.md")
    for name, command in commands().items():
        section = page.partition(f"\n## `{name}")[2].partition("\n## ")[0]
        assert section, name
        missing = [option for parameter in command.params for option in parameter.opts if option.startswith("--") and option not in section]
        assert missing in ([], ["--help"]), f"{name}: {missing}"


def test_every_documented_command_exists() -> None:
    assert set(re.findall(r"^## `(\w+)", named("commands.md"), flags=re.MULTILINE)) == set(commands())


def test_every_command_that_a_document_tells_to_run_exists() -> None:
    for document in [ROOT / "README.md", *ROOT.glob("docs/**/*.md")]:
        told = set(re.findall(r"(?:python -m flower|`flower) ([a-z]+)", document.read_text()))
        assert told <= set(commands()), document.name


def test_every_error_is_documented() -> None:
    for module in pkgutil.walk_packages(flower.__path__, "flower."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    assert [error for error in errors() if f"| `{error}` |" not in named("errors.md")] == []


def test_every_log_event_is_a_noun_and_what_happened_and_is_documented() -> None:
    odd = [event for event in events() if not re.fullmatch(r"[a-z_]+\.[a-z_]+", event)]
    assert odd == []
    assert events() ^ set(re.findall(r"`([a-z_]+\.[a-z_]+)`", named("log.md"))) == set()


@pytest.mark.parametrize("page", sorted(path.name for path in REFERENCE.glob("*.md")))
def test_every_reference_page_is_linked(page: str) -> None:
    assert f"docs/reference/{page}" in (ROOT / "README.md").read_text()
