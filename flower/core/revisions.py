"""Compares two revisions of a workflow. Pure, and nothing secret leaves it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeAlias

from flower.core.masks import HIDDEN, is_secret, mask
from flower.core.model import Json

Kind: TypeAlias = Literal["added", "removed", "changed"]

# What says which step it is, and what shifts with every line that is written above the call.
_NOT_COMPARED = {"name", "place"}
_NONE: Mapping[str, Json] = {}


@dataclass(frozen=True, slots=True)
class Revision:
    """A workflow as it was defined once. *steps* in the shape of the HTTP interface; *takes* and *result*: see `flower.core.definition`.

    *by*: the database's role; *source*: a module, http, or the application of a session. *is_current*: new flows get this one.
    """

    workflow: str
    revision: int
    at: datetime
    by: str
    source: str | None
    steps: tuple[Json, ...]
    takes: Json
    result: Json
    timeout: float | None
    is_current: bool
    max_flows: int | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """What became of one field: *old* is None where it was added, *new* where it was removed.

    Secrets are masked; one that has changed is a change all the same.
    """

    field: str
    kind: Kind
    old: Json
    new: Json


@dataclass(frozen=True, slots=True)
class StepChange:
    """What became of the step called *name*, field by field; of one that was added or removed, all of them."""

    name: str
    kind: Kind
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class Difference:
    """What changed from the revision *old* to *new*: steps, in the order of the new ones, then those that are gone; and the *whole*.

    *moved*: how many other steps only stand elsewhere in their file.
    """

    workflow: str
    old: int
    new: int
    steps: tuple[StepChange, ...]
    whole: tuple[Change, ...]
    moved: int


def difference(old: Revision, new: Revision) -> Difference:
    """Return what changed from *old* to *new*. A step is known by its name: under another one it is removed and added."""
    before, after = ({str(step.get("name")): step for step in revision.steps} for revision in (old, new))
    found = [_step_change(name, before.get(name), after.get(name)) for name in [*after, *(name for name in before if name not in after)]]
    steps = tuple(change for change in found if change.changes)
    moved = sum(
        not change.changes and before[change.name].get("place") != after[change.name].get("place") for change in found if change.kind == "changed"
    )
    return Difference(new.workflow, old.revision, new.revision, steps, tuple(_whole(old, new)), moved)


def shown_steps(revision: Revision) -> tuple[Json, ...]:
    """Return the steps of *revision* as they may be shown."""
    return tuple(mask(step) for step in revision.steps)


def shown_takes(takes: Json) -> Json:
    """Return what a flow takes as it may be shown: the default of a secret is hidden, and its schema is not."""
    return takes if not isinstance(takes, dict) else {name: _shown_parameter(name, item) for name, item in takes.items()}


def _step_change(name: str, old: Json, new: Json) -> StepChange:
    kind: Kind = "added" if old is None else "removed" if new is None else "changed"
    return StepChange(name, kind, tuple(_changes(_fields(old or _NONE), _fields(new or _NONE), _shown)))


def _fields(step: Mapping[str, Json]) -> dict[str, Json]:
    """Return the fields of a step, each of its parameters on its own."""
    fields = {name: value for name, value in step.items() if name not in _NOT_COMPARED and name != "parameters"}
    parameters = step.get("parameters")
    # A hand may have written anything there.
    given = parameters if isinstance(parameters, dict) else {} if parameters is None else {"": parameters}
    return fields | {f"parameters.{name}": value for name, value in given.items()}


def _whole(old: Revision, new: Revision) -> Iterator[Change]:
    yield from _changes(_taken(old), _taken(new), _shown_taken)
    yield from _changes(_rest(old), _rest(new), _shown)


def _taken(revision: Revision) -> dict[str, Json]:
    return {f"parameters.{name}": item for name, item in (revision.takes or _NONE).items()}


def _rest(revision: Revision) -> dict[str, Json]:
    rest = {"result": revision.result, "timeout": revision.timeout, "maxFlows": revision.max_flows}
    return {name: value for name, value in rest.items() if value is not None}


def _changes(old: Mapping[str, Json], new: Mapping[str, Json], show: Callable[[str, Json], Json]) -> Iterator[Change]:
    for field in dict.fromkeys([*new, *old]):
        if field not in old:
            yield Change(field, "added", None, show(field, new[field]))
        elif field not in new:
            yield Change(field, "removed", show(field, old[field]), None)
        elif old[field] != new[field]:
            yield Change(field, "changed", show(field, old[field]), show(field, new[field]))


def _shown(field: str, value: Json) -> Json:
    name = field.removeprefix("parameters.")
    return mask({name: value})[name]


def _shown_taken(field: str, value: Json) -> Json:
    return _shown_parameter(field.removeprefix("parameters."), value)


def _shown_parameter(name: str, item: Json) -> Json:
    shown = mask(item)
    if not is_secret(name):
        return shown
    return ({**shown, "default": HIDDEN} if "default" in shown else shown) if isinstance(shown, dict) else HIDDEN
