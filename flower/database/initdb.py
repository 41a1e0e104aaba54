"""Makes the files of a new cluster: its settings, its one role, its one database. Starts nothing."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from flower.core.errors import ConfigurationError
from flower.database.binaries import User, programs_for
from flower.database.owners import write_private

# Not wal_compression: pglz, the only method that these binaries have, takes its time while other workers wait for a limit.
_SETTINGS = {
    "max_connections": "50",
    "shared_buffers": "128MB",
    "max_wal_size": "512MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
_INITDB: tuple[str, ...] = (
    *("--username=flower", "--auth=scram-sha-256", "--data-checksums", "--no-instructions"),
    # The provider that PostgreSQL brings along: the same order of text on every machine, whatever its C library.
    *("--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
    *(f"--set={name}={value}" for name, value in _SETTINGS.items()),
)


def initialise(user: User, draft: Path, password: str) -> None:
    """Make a cluster of *user*'s in *draft*, an empty folder of his, with the database `flower` in it.

    Raises ConfigurationError with what the programs said.
    """
    programs, secret = programs_for(user), draft.with_name("password.new")
    write_private(secret, password)
    user.own(secret)
    try:
        initdb: Sequence[str | Path] = [programs / "initdb", "-D", draft, f"--pwfile={secret}", *_INITDB]
        _check(user.run(initdb, capture_output=True, env=environment()), draft)
        # Before the draft gets its name: whoever finds data finds the database in them.
        single: Sequence[str | Path] = [programs / "postgres", "--single", "-D", draft, "template1"]
        _check(user.run(single, input="CREATE DATABASE flower;\n", capture_output=True, env=environment()), draft)
    finally:
        secret.unlink()


def environment() -> dict[str, str]:
    """Return what a server's programs get of our environment: nothing that configures libpq, nothing secret."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}


def _check(ended: subprocess.CompletedProcess[str], draft: Path) -> None:
    if ended.returncode != 0:
        said = " ".join((ended.stderr or ended.stdout).split()) or f"initdb ended with {ended.returncode}"
        raise ConfigurationError(f"no embedded PostgreSQL could be made in {draft.parent}: {said}")
