from __future__ import annotations

from typing import Any

import pytest

from flower.web.pages.fields import box_of, boxes_of

STRINGS = {"type": "array", "items": {"type": "string"}}
COLOUR = {"$ref": "#/$defs/Colour", "$defs": {"Colour": {"enum": ["red", "blue"], "type": "string"}}}


@pytest.mark.parametrize(
    ("schema", "kind", "becomes"),
    [
        ({"type": "string"}, "text", "text"),
        ({"type": "integer", "minimum": 1}, "number", "number"),
        ({"type": "number"}, "number", "number"),
        ({"type": "boolean"}, "choice", "boolean"),
        ({"type": "string", "format": "date"}, "date", "text"),
        ({"type": "string", "format": "date-time"}, "text", "text"),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, "number", "number"),
        (COLOUR, "choice", "json"),
        (STRINGS, "area", "json"),
        ({"type": "object", "properties": {"a": {}}}, "area", "json"),
        ({"anyOf": [{"type": "integer"}, {"type": "string"}]}, "area", "json"),
        ({}, "area", "json"),
        (True, "area", "json"),
        ({"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/A"}}}, "area", "json"),
        ({"type": ["string", "null"]}, "area", "json"),
    ],
)
def test_a_type_has_a_control(schema: Any, kind: str, becomes: str) -> None:
    box = box_of("it", schema)

    assert (box.kind, box.type, box.is_required, box.value) == (kind, becomes, True, "")


def test_a_default_stands_in_the_field_in_the_form_that_it_is_sent_in() -> None:
    takes = {
        "urls": {"schema": STRINGS, "default": ["a"]},
        "loud": {"schema": {"type": "boolean"}, "default": False},
        "top": {"schema": {"type": "integer"}, "default": 5},
        "colour": {"schema": COLOUR, "default": "blue"},
        "name": {"schema": {"type": "string"}},
        "note": {"schema": {"anyOf": [{"type": "string"}, {"type": "null"}]}, "default": None},
        "odd": {"schema": {"type": "integer"}, "default": "five"},
        "long": {"schema": {"type": "string"}, "default": "a\nb"},
    }
    boxes = {box.key: box for box in boxes_of(takes, "parameters", {})}

    assert {name: box.value for name, box in boxes.items()} == {
        "name": "", "urls": '["a"]', "loud": "false", "top": "5", "colour": '"blue"', "note": "", "odd": '"five"', "long": "a\nb",
    }  # fmt: skip
    assert [name for name, box in boxes.items() if box.is_required] == ["name"] == [next(iter(boxes))]
    assert boxes["note"].hint == "optional"
    assert boxes["colour"].choices == [('"red"', "red"), ('"blue"', "blue")]
    assert (boxes["long"].kind, boxes["odd"].kind, boxes["urls"].path) == ("area", "area", "parameters.urls")


def test_a_secret_is_not_shown_while_it_is_typed() -> None:
    assert box_of("api_key", {"type": "string"}).kind == "password"


@pytest.mark.parametrize(("name", "default"), [("api_key", "canary"), ("login", {"user": "u", "password": "canary"}), ("token", ["canary"])])
def test_a_secret_that_is_a_default_is_left_out_and_not_needed(name: str, default: Any) -> None:
    box = box_of(name, {}, default=default)

    assert (box.value, box.is_required, "canary" in str(box)) == ("", False, False)
