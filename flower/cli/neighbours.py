"""Finds another package named `flower` in the same environment: Celery's monitor has the name too, and one overwrites the other's files."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path

from flower.core.errors import ConfigurationError

_OURS = "flower-workflow"


@dataclass(frozen=True, slots=True)
class Neighbour:
    """Another distribution that brings a package `flower`. *is_mixed*: its files lie in the folder that ours were loaded from."""

    name: str
    version: str
    is_mixed: bool

    def __str__(self) -> str:
        """Say what is wrong and what to do."""
        who = f"{self.name} {self.version}" + (" (Celery's Flower)" if self.name.lower() == "flower" else "")
        return (
            f"{who} is installed in the same environment and has a package `flower` too, so that one overwrites the other: give each an environment "
            f"of its own (python -m venv .venv), or: pip uninstall {self.name} && pip install --force-reinstall --no-deps {_OURS}"
        )


def find_neighbour() -> Neighbour | None:
    """Return the other distribution that has `flower/__init__.py`, or None."""
    here = Path(__file__).resolve().parents[1]
    for distribution in distributions():
        # Searched as text: to parse the lists and the metadata of a whole environment takes a second.
        files = distribution.read_text("RECORD") or distribution.read_text("installed-files.txt") or ""
        if "\nflower/__init__.py" not in "\n" + files:
            continue
        name = distribution.metadata["Name"]
        if name.lower().replace("_", "-") != _OURS:
            there = Path(str(distribution.locate_file("flower"))).resolve()
            return Neighbour(name, distribution.version, there == here)
    return None


def refuse_mixed() -> Neighbour | None:
    """Return the neighbour whose files lie elsewhere, if there is one. Raises ConfigurationError if they are mixed with ours."""
    neighbour = find_neighbour()
    if neighbour is not None and neighbour.is_mixed:
        raise ConfigurationError(str(neighbour))
    return neighbour
