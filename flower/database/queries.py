"""Reads the files of `sql/`. Knows where they lie, in a wheel and in a checkout; not what they say."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

import flower

_MIGRATION = re.compile(r"(\d{4})_(\w+)\.sql")


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of the schema. *name* is like `0001_tables`."""

    number: int
    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Functions:
    """All functions and triggers as one script. *version* is raised whenever they change after a release."""

    version: int
    text: str

    @property
    def hash(self) -> str:
        """What tells whether a database has exactly these."""
        return hashlib.sha256(self.text.encode()).hexdigest()


@cache
def query(name: str) -> str:
    """Return the statement in `queries/NAME.sql`. Raises FileNotFoundError where there is none."""
    return (_folder() / "queries" / f"{name}.sql").read_text(encoding="utf-8")


@cache
def query_names() -> tuple[str, ...]:
    """Return the name of every file in `queries/`, in order."""
    return tuple(entry.name.removesuffix(".sql") for entry in _scripts(_folder() / "queries"))


def migrations(folder: Traversable | None = None) -> tuple[Migration, ...]:
    """Return the migrations in *folder* (by default Flower's own), in order of their numbers.

    Raises ValueError for a file that is not named `NNNN_what.sql`, and for a number that comes twice.
    """
    found = []
    for entry in _scripts(folder or _folder() / "migrations"):
        match = _MIGRATION.fullmatch(entry.name)
        if match is None:
            raise ValueError(f"{entry.name} is not named like a migration, NNNN_what.sql")
        found.append(Migration(int(match[1]), entry.name.removesuffix(".sql"), entry.read_text(encoding="utf-8")))
    numbers = [migration.number for migration in found]
    if len(set(numbers)) < len(numbers):
        raise ValueError(f"two migrations have one number: {', '.join(migration.name for migration in found)}")
    return tuple(found)


def functions(folder: Traversable | None = None) -> Functions:
    """Return the functions in *folder* (by default Flower's own), in order of their file names.

    The version stands in the file `VERSION` beside them; without one it is 0.
    """
    folder = folder or _folder() / "functions"
    version = folder / "VERSION"
    text = "\n".join(entry.read_text(encoding="utf-8") for entry in _scripts(folder))
    return Functions(int(version.read_text(encoding="utf-8")) if version.is_file() else 0, text)


def _scripts(folder: Traversable) -> list[Traversable]:
    return sorted((entry for entry in folder.iterdir() if entry.name.endswith(".sql")), key=lambda entry: entry.name)


@cache
def _folder() -> Traversable:
    checkout = Path(flower.__file__).resolve().parent.parent
    # In a checkout the folder lies beside the package. It is asked first: another checkout may be installed.
    return checkout / "sql" if (checkout / "pyproject.toml").is_file() and (checkout / "sql").is_dir() else files("flower.sql")
