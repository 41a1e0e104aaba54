"""The project around the code: what the documents say is there, and what must not be there is not."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from itertools import chain
from pathlib import Path

import pytest
import yaml

import flower
from flower.core.settings import PREFIX, Settings

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")])
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def variable(field: str) -> str:
    alias = Settings.model_fields[field].validation_alias
    return alias if isinstance(alias, str) else PREFIX + field.upper()


def settings_table() -> dict[str, list[str]]:
    """Return the cells of each row of the settings page, by variable."""
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in (ROOT / "docs/reference/settings.md").read_text().splitlines()
        if line.startswith("| `")
    ]
    return {row[0].strip("`"): row[1:] for row in rows}


def without_code(markdown: str) -> str:
    return re.sub(r"```.*?```|`[^`]*`", "", markdown, flags=re.DOTALL)


def anchors(markdown: str) -> set[str]:
    """Return the anchors that a forge makes of the headings."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", markdown, flags=re.DOTALL), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def tracked_files() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def test_every_setting_is_documented_and_every_documented_one_exists() -> None:
    assert set(settings_table()) == {variable(field) for field in Settings.model_fields}


@pytest.mark.parametrize("field", Settings.model_fields)
def test_the_documented_default_is_the_real_one(field: str) -> None:
    default = Settings.model_fields[field].default

    documented = settings_table()[variable(field)][1]

    assert documented.startswith("none" if default in (None, ()) else f"`{default}`")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", without_code(document.read_text())):
        if target.startswith(("http://", "https://")):
            continue
        name, _, anchor = target.partition("#")
        there = document if not name else document.parent / name
        assert there.exists(), target
        assert not anchor or anchor in anchors(there.read_text()), target


def test_every_decision_has_a_question_a_choice_and_a_price() -> None:
    for record in (ROOT / "docs/decisions").glob("*.md"):
        text = record.read_text()
        assert re.match(rf"# {record.name[:4]}: ", text), record.name
        assert all(f"**{part}.**" in text for part in ("Question", "Choice", "Price")), record.name


def test_every_make_target_that_a_document_names_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    for document in DOCUMENTS:
        named = set(re.findall(r"(?:^\$ |`)make ([a-z]+)", document.read_text(), flags=re.MULTILINE))
        assert named <= targets, document.name


def test_every_make_target_says_what_it_is_for() -> None:
    makefile = (ROOT / "Makefile").read_text()
    phony = re.search(r"^\.PHONY: (.+)$", makefile, flags=re.MULTILINE)
    assert phony is not None
    assert set(phony[1].split()) == set(re.findall(r"^([a-z]+):.*## \S", makefile, flags=re.MULTILINE))


def test_everything_is_pinned_with_a_hash_and_no_host_is_named() -> None:
    pins = (ROOT / "constraints.txt").read_text()
    requirements = re.findall(r"^([a-z0-9_.-]+)==", pins, flags=re.MULTILINE)
    for requirement in requirements:
        assert re.search(rf"^{re.escape(requirement)}==\S+( ; .*)? \\\n    --hash=sha256:", pins, flags=re.MULTILINE), requirement
    assert "://" not in pins
    assert "--index-url" not in pins
    assert not re.search(r"(^|\s)/\w", pins), "a path of one machine"


def test_everything_that_the_project_asks_for_is_pinned() -> None:
    pins = (ROOT / "constraints.txt").read_text()
    asked = [*PROJECT["build-system"]["requires"], *PROJECT["project"]["dependencies"], *chain(*PROJECT["project"]["optional-dependencies"].values())]
    for requirement in asked:
        name = re.split(r"[\[<>=; ]", requirement)[0]
        assert re.search(rf"^{re.escape(name)}==", pins, flags=re.MULTILINE), name


def test_no_tracked_file_names_a_machine_or_a_package_index() -> None:
    # In two parts, so that this file does not name them either.
    forbidden = ["/" + "work/", "/" + "root/", "/" + "opt/", "pypi" + ".org", "python" + "hosted", "registry.npm" + "js", "index" + "-url ="]
    for file in tracked_files():
        text = file.read_text(errors="replace")
        found = [word for word in forbidden if word in text]
        assert not found, f"{file.relative_to(ROOT)}: {found}"


def test_compose_publishes_no_database_and_wants_a_token() -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    assert "ports" not in services["db"]
    assert services["db"]["environment"]["POSTGRES_PASSWORD"]
    assert services["flower"]["environment"]["FLOWER_TOKEN"].startswith("${FLOWER_TOKEN:?")
    assert all(port.startswith("127.0.0.1:") for port in services["flower"]["ports"])
    assert all("healthcheck" in service for service in services.values())
    assert services["flower"]["depends_on"]["db"]["condition"] == "service_healthy"


def test_the_docker_quick_start_sends_the_token() -> None:
    section = (ROOT / "README.md").read_text().partition("## With Docker")[2].partition("\n## ")[0]
    assert re.search(r'curl .*-H "Authorization: Bearer \$FLOWER_TOKEN"', section)


def test_the_changelog_knows_this_version_or_has_what_is_not_released_yet() -> None:
    assert re.search(rf"^## \[(Unreleased|{re.escape(PROJECT['project']['version'])})\]", (ROOT / "CHANGELOG.md").read_text(), flags=re.MULTILINE)


def test_every_rule_that_is_switched_off_says_why() -> None:
    lint = PROJECT["tool"]["ruff"]["lint"]
    rules = [*lint["ignore"], *chain(*lint["per-file-ignores"].values())]
    for rule in rules:
        assert re.search(rf'^    "{rule}",? +# \S', (ROOT / "pyproject.toml").read_text(), flags=re.MULTILINE), rule


def test_the_public_names_are_there_and_bring_neither_database_nor_http() -> None:
    assert {"task", "context"} <= set(flower.__all__)
    code = f"import sys; from flower import {', '.join(flower.__all__)}; sys.exit(any(name in sys.modules for name in ('asyncpg', 'aiohttp')))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_every_package_is_in_the_distribution() -> None:
    packages = {str(path.parent.relative_to(ROOT)).replace("/", ".") for path in (ROOT / "flower").rglob("__init__.py")}
    folders = {f"flower.{path.parent.relative_to(ROOT)}".replace("/", ".") for path in (ROOT / "sql").rglob("*.sql")}
    assert packages | folders | {"flower.sql"} == set(PROJECT["tool"]["setuptools"]["packages"])


@pytest.mark.timeout(60)
def test_a_wheel_installed_elsewhere_reads_every_sql_file(tmp_path: Path) -> None:
    source, site = tmp_path / "source", tmp_path / "site"
    # A copy, because setuptools builds inside the folder that it is given.
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in ("flower", "sql"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    subprocess.run([*pip, "wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(tmp_path), str(source)], check=True)
    (wheel,) = tmp_path.glob("flower_workflow-*.whl")
    subprocess.run([*pip, "install", "--no-deps", "--no-index", "--target", str(site), str(wheel)], check=True)
    code = f"""
import sys
sys.path.insert(0, {str(site)!r})
import flower, flower.sql
from importlib.resources import files
from flower.database.queries import query
assert flower.__file__.startswith(sys.path[0]) and flower.sql.__file__.startswith(sys.path[0]), flower.sql.__file__
for path in files("flower.sql.queries").iterdir():
    if path.name.endswith(".sql"):
        print(path.name, bool(query(path.name.removesuffix(".sql"))))
for folder in ("migrations", "functions"):
    for path in files("flower.sql").joinpath(folder).iterdir():
        print(path.name, bool(path.read_text()))
"""
    shown = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True).stdout

    assert set(shown.splitlines()) >= {f"{path.name} True" for path in (ROOT / "sql").rglob("*.sql")}
