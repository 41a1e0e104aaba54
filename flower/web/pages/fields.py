"""Makes the fields of a form from JSON schemas. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, Literal

from flower.core.masks import is_secret, mask
from flower.core.model import Json

_LONGEST_LINE, _MOST_ROWS, _MOST_CHOICES = 80, 16, 500
_KINDS: Final[Mapping[str, Literal["text", "number", "yesno"]]] = {"string": "text", "integer": "number", "number": "number", "boolean": "yesno"}


@dataclass(frozen=True, slots=True)
class Box:
    """One field. *kind*: the control. *type*: what its text becomes in JSON. *within*, *key*: where in the body it goes.

    *value*: what stands in it. *choices*: the value and the words of each, for a choice; for a text, what may be meant. *limits*: attributes of the
    control, such as min. *spread*: its object goes into *within* as a whole. *clears*: left empty, null is sent. *names*: it goes into the address.
    """

    key: str
    kind: Literal["text", "area", "number", "choice", "password", "date", "datetime-local"]
    type: Literal["text", "number", "boolean", "json", "moment"]
    label: str
    within: str = ""
    value: str = ""
    hint: str = ""
    is_required: bool = False
    choices: Sequence[tuple[str, str]] = ()
    limits: Mapping[str, str] | None = None
    spread: bool = False
    clears: bool = False
    names: bool = False

    @property
    def rows(self) -> int:
        """How many lines are seen of an area."""
        return min(max(3, self.value.count("\n") + 1), _MOST_ROWS)

    @property
    def path(self) -> str:
        """How the interface calls it in its errors."""
        return f"{self.within}.{self.key}" if self.within else self.key


def boxes_of(takes: Mapping[str, Json], within: str, given: Mapping[str, Json]) -> tuple[Box, ...]:
    """Return a field for each parameter in *takes*, `{"name": {"schema": …, "default": …}}`: first those that are required, without a default.

    What is *given* stands in a field in place of its default.
    """
    known = {name: taken if isinstance(taken, Mapping) else {} for name, taken in takes.items()}
    boxes = [
        box_of(name, taken.get("schema") or {}, within=within, default=given.get(name, taken.get("default", ...))) for name, taken in known.items()
    ]
    return tuple(sorted(boxes, key=lambda box: not box.is_required))


def box_of(name: str, schema: Json, *, within: str = "", default: Json = ..., label: str | None = None) -> Box:
    """Return the field for a value of *schema*. *default*: what is taken where nothing is filled in, Ellipsis: it must be filled in."""
    bare, may_be_null = _bare(schema)
    is_required = default is ...
    # A secret is not shown; left empty it is taken as it is defined.
    is_hidden = default is not ... and mask({name: default}) != {name: default}
    known = None if default is ... or is_hidden else default
    told = ("optional; " if not is_required and known is None else "") + _told(bare, may_be_null=may_be_null)
    box = partial(Box, key=name, label=label or name, within=within, hint=told.removesuffix("; "), is_required=is_required)
    if isinstance(bare.get("enum"), list) and len(bare["enum"]) <= _MOST_CHOICES:
        choices = [("", "")] if known is None else []
        choices += [(json.dumps(choice), str(choice)) for choice in bare["enum"]]
        return box(kind="choice", type="json", choices=choices, value="" if known is None else json.dumps(known))
    kind = _KINDS.get(str(bare.get("type")))
    if kind == "yesno":
        choices = [*([("", "")] if known is None else []), ("true", "yes"), ("false", "no")]
        return box(kind="choice", type="boolean", choices=choices, value="" if known is None else json.dumps(known))
    if kind == "number" and (known is None or isinstance(known, int | float)):
        limits = {"step": "1" if bare["type"] == "integer" else "any"}
        limits |= {attribute: str(bare[word]) for word, attribute in (("minimum", "min"), ("maximum", "max")) if word in bare}
        return box(kind="number", type="number", value="" if known is None else str(known), limits=limits)
    if kind == "text" and (known is None or isinstance(known, str)):
        is_long = known is not None and ("\n" in known or len(known) > _LONGEST_LINE)
        control: Literal["text", "area", "password", "date"] = (
            "password" if is_secret(name) else "date" if bare.get("format") == "date" else "area" if is_long else "text"
        )
        return box(kind=control, type="text", value=known or "")
    return box(kind="area", type="json", value="" if known is None else _written(known))


def _written(value: Json) -> str:
    line = json.dumps(value, ensure_ascii=False)
    return line if len(line) <= _LONGEST_LINE else json.dumps(value, ensure_ascii=False, indent=2)


def _bare(schema: Json) -> tuple[Mapping[str, Json], bool]:
    """Return the schema itself, without a reference or a choice of null around it, and whether null is one."""
    if not isinstance(schema, Mapping):
        return {}, True
    definitions, may_be_null = schema.get("$defs"), False
    bare: Mapping[str, Json] = schema
    for _ in range(5):  # references to references; in a circle, too
        if isinstance(bare.get("$ref"), str):
            found = definitions.get(bare["$ref"].removeprefix("#/$defs/")) if isinstance(definitions, Mapping) else None
            bare = found if isinstance(found, Mapping) else {}
        elif isinstance(bare.get("anyOf"), list):
            others = [choice for choice in bare["anyOf"] if choice != {"type": "null"}]
            may_be_null = may_be_null or len(others) < len(bare["anyOf"])
            if len(others) != 1 or not isinstance(others[0], Mapping):
                return {}, may_be_null
            bare = others[0]
    return bare, may_be_null


def _told(schema: Mapping[str, Json], *, may_be_null: bool) -> str:
    """Return in words what is wanted, as far as the control does not show it."""
    words = []
    match schema.get("type"):
        case "array":
            items, _ = _bare(schema.get("items") or {})
            of = items.get("type")
            words.append(f"a list of {of}s, as JSON" if isinstance(of, str) and of not in {"array", "object", "null"} else "a list, as JSON")
        case "object":
            properties = schema.get("properties")
            names = list(properties) if isinstance(properties, Mapping) else []
            words.append("an object, as JSON" + (f", with {', '.join(map(str, names[:8]))}" if names else ""))
        case "string" if schema.get("format") == "date-time":
            words.append("a time like 2026-11-24T14:00:00+01:00")
        case "string" if isinstance(schema.get("format"), str) and schema["format"] != "date":
            words.append(f"a text of the form {schema['format']}")
        case None if "enum" not in schema:
            words.append("any JSON; a text stands in quotes")
        case _:
            pass
    if may_be_null:
        words.append("may be null" if words else "")
    if isinstance(schema.get("description"), str):
        words.append(schema["description"])
    return "; ".join(filter(None, words))
