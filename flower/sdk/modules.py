"""Imports the modules that the user names, so that their tasks and workflows are registered. Knows nothing of the command line."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from flower.core.errors import ModuleProblem
from flower.sdk.registry import REGISTRY

_NOT_THE_USERS = (str(Path(__file__).parents[1]) + os.sep, importlib.__file__, "<frozen importlib")


def load(modules: Sequence[str]) -> None:
    """Import *modules*: dotted names (`shop.tasks`) or files (`app.py`, `./x/app.py`).

    A file is imported under its stem, and its folder goes to the front of sys.path, as when Python runs it. Once imported it is not
    imported again. Raises ModuleProblem, which ends in the user's own error, and shows none of our frames.
    """
    for module in modules:
        try:
            if module.endswith(".py") or os.sep in module:
                _load_file(module)
            else:
                _load_name(module)
        except (ModuleProblem, KeyboardInterrupt):
            raise
        except BaseException as error:  # noqa: BLE001 - a module may also call sys.exit()
            raise ModuleProblem(f"{module} does not import:\n\n{_users_traceback(error)}") from None
    for workflow in REGISTRY.workflows():
        workflow.definition  # noqa: B018 - built here, so that what is wrong in it is said now


def _load_name(name: str) -> None:
    if not all(part.isidentifier() for part in name.split(".")):
        raise ModuleProblem(f"{name!r} is neither the dotted name of a module (shop.tasks) nor a file (app.py)")
    folder = str(Path.cwd())
    if folder not in sys.path and "" not in sys.path:
        sys.path.insert(0, folder)
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise
        raise ModuleProblem(f"there is no module {error.name!r} (looked from {folder} and in sys.path)") from None


def _load_file(file: str) -> None:
    path = Path(file).resolve()
    if not path.is_file():
        problem = f"{file} is a folder; name a file or a dotted name" if path.is_dir() else f"there is no file {file} (looked from {Path.cwd()})"
        raise ModuleProblem(problem)
    loaded = sys.modules.get(path.stem)
    if loaded is not None:
        if _file_of(loaded) == path:
            return
        taken_by = _file_of(loaded) or "Python itself"
        raise ModuleProblem(f"{file} would be the module {path.stem!r}, and that name is taken by {taken_by}; rename the file")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ModuleProblem(f"{file} is no Python file: its name must end in .py")
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    module = sys.modules[path.stem] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        sys.modules.pop(path.stem, None)
        raise


def _file_of(module: object) -> Path | None:
    file = getattr(module, "__file__", None)
    return Path(file).resolve() if isinstance(file, str) else None


def _users_traceback(error: BaseException) -> str:
    """Return the traceback of *error* as Python writes it, without the frames of ours and of the import system."""
    told = traceback.TracebackException.from_exception(error)
    seen: set[int] = set()
    queue: list[traceback.TracebackException | None] = [told]
    while queue:
        one = queue.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        frames = [frame for frame in one.stack if not frame.filename.startswith(_NOT_THE_USERS)]
        one.stack = traceback.StackSummary.from_list(frames)
        queue += [one.__cause__, one.__context__, *(one.exceptions or ())]
    return "".join(told.format()).rstrip()
