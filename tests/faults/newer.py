"""A newer release of Flower, made of this one and one migration more."""

from __future__ import annotations

import shutil
from pathlib import Path

import flower

_MIGRATION = """-- What the next release might want: a column and an index on the table that is always in use.
ALTER TABLE kr_task_stat ADD COLUMN harness text;
CREATE INDEX harness_by_program ON kr_task_stat (program) WHERE harness IS NOT NULL;
"""


def newer_flower(folder: Path) -> Path:
    """Return a folder for PYTHONPATH in which Flower has a migration that this one lacks."""
    package, home = Path(flower.__file__).parent, folder / "newer"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(package, home / "flower", ignore=ignored)
    # Beside the other subpackages it is found before the one of the checkout.
    shutil.copytree(package.parent / "sql", home / "flower" / "sql", ignore=ignored)
    (home / "flower" / "sql" / "migrations" / "9000_harness.sql").write_text(_MIGRATION)
    return home
