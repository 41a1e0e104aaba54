"""The places in the JSON of a definition that stand for something else: `{"$task": "fetch", "path": ["links", 0]}` and its kin.

They are read in definitions only, never in what is given at registration.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from flower.core.model import Json

Kind: TypeAlias = Literal["task", "param", "env"]

LITERAL = "$literal"
MARKS = frozenset({"$task", "$param", "$env", LITERAL})


@dataclass(frozen=True, slots=True)
class Reference:
    """What stands for the result of a step (task), a parameter of the flow (param), or a variable of the worker's environment (env).

    *path* leads to a part of it: keys of objects and numbers of array elements.
    """

    kind: Kind
    name: str
    path: tuple[str | int, ...] = ()

    def at(self, key: str | int) -> Reference:
        """Return the part of it under *key*."""
        return Reference(self.kind, self.name, (*self.path, key))

    def to_json(self) -> Json:
        """Return the object that stands for it in a definition."""
        return {f"${self.kind}": self.name, **({"path": list(self.path)} if self.path else {})}

    def __str__(self) -> str:
        return self.name + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in self.path)


def escaped(value: Json) -> Json:
    """Return *value* so that it stands for itself in a definition, though something in it may look like a reference."""
    return {LITERAL: value} if _has_a_mark(value) else value


def _has_a_mark(value: Json) -> bool:
    if isinstance(value, list):
        return any(map(_has_a_mark, value))
    return isinstance(value, dict) and (bool(value.keys() & MARKS) or any(map(_has_a_mark, value.values())))


def references(value: Json) -> Iterator[Reference]:
    """Yield every reference in *value*, the parameters of a definition. What is malformed is none."""
    if isinstance(value, list):
        for item in value:
            yield from references(item)
    elif isinstance(value, dict):
        if LITERAL in value:
            return
        found = _reference(value)
        if found is not None:
            yield found
            return
        for item in value.values():
            yield from references(item)


def is_reference(value: Json) -> bool:
    """Whether *value* is one of the objects that stand for something else."""
    return isinstance(value, dict) and _reference(value) is not None


def _reference(value: dict[str, Json]) -> Reference | None:
    kinds: tuple[Kind, ...] = ("task", "param", "env")
    for kind in kinds:
        name, path = value.get(f"${kind}"), value.get("path", [])
        if isinstance(name, str) and isinstance(path, list) and value.keys() <= {f"${kind}", "path"}:
            return Reference(kind, name, tuple(path))
    return None
