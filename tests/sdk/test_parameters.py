"""How the JSON of a row becomes the arguments of a function."""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NewType
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from flower.core.errors import InvalidParameters
from flower.sdk.parameters import PARAMETERS_LIMIT_BYTES
from flower.sdk.task import Task

if TYPE_CHECKING:
    from nowhere import Unknown  # type: ignore[import-not-found]


class Colour(Enum):
    RED = "red"
    ONE = 1


@dataclass
class Page:
    url: str
    seen: date


class Strict(BaseModel):
    model_config = ConfigDict(strict=True)
    when: datetime


class Fussy(BaseModel):
    n: int

    @field_validator("n")
    @classmethod
    def refuse(cls, value: int) -> int:
        raise KeyError(value)


class Opaque:
    pass


UserId = NewType("UserId", str)


def made(fn: Callable[..., Any]) -> Task[..., Any, Any]:
    return Task(fn, "picture", "app.py:1", {})


def of_hint(hint: Any) -> Task[..., Any, Any]:
    def fn(x: Any) -> None: ...

    fn.__annotations__["x"] = hint
    return made(fn)


def one(hint: Any, value: Any) -> Any:
    return of_hint(hint).parameters.decode(json.dumps({"x": value}))["x"]


def refusal(fn: Callable[..., Any], text: str) -> str:
    with pytest.raises(InvalidParameters) as caught:
        made(fn).parameters.decode(text)
    return str(caught.value)


def resize(url: str, width: int = 800) -> None: ...


def free(**others: int) -> None: ...


def nothing() -> None: ...


def test_values_of_the_right_type_pass_as_they_are() -> None:
    assert made(resize).parameters.decode('{"url": "a", "width": 3}') == {"url": "a", "width": 3}


def test_null_counts_as_no_parameters() -> None:
    assert made(nothing).parameters.decode("null") == made(nothing).parameters.decode("{}") == {}


@pytest.mark.parametrize("text", ["[]", "3", '"x"', "true"])
def test_parameters_that_are_no_object_are_refused(text: str) -> None:
    assert "must be a JSON object" in refusal(resize, text)


@pytest.mark.parametrize("text", ["", "{", "{'a': 1}", '{"a": NaN}', '{"a": -Infinity}', "\ufeff{}"])
def test_what_is_not_json_is_refused(text: str) -> None:
    assert "this is not JSON" in refusal(resize, text)


def test_a_number_beyond_a_double_is_refused_with_its_name() -> None:
    assert "url: the number is beyond what a double can hold" in refusal(resize, '{"url": 1e5000}')
    assert "url: the number is beyond" in refusal(resize, '{"url": 1' + "0" * 5000 + "}")


@pytest.mark.parametrize(("depth", "is_fine"), [(63, True), (64, True), (65, False), (100_000, False)])
def test_sixty_four_levels_in_a_value_are_the_limit(depth: int, is_fine: bool) -> None:
    text = '{"x": ' + "[" * depth + "]" * depth + "}"
    if is_fine:
        assert of_hint(Any).parameters.decode(text)["x"] is not None
    else:
        assert "64 levels" in refusal(of_hint(Any).fn, text)


def test_the_size_limit_names_size_limit_and_the_way_out() -> None:
    frame = len('{"x": ""}')
    text = '{"x": "' + "é" * ((PARAMETERS_LIMIT_BYTES - frame) // 2) + "a" + '"}'
    assert len(text.encode()) == PARAMETERS_LIMIT_BYTES
    of_hint(str).parameters.decode(text)

    assert re.search(r"262,145 bytes.*262,144.*pass a key or a path", refusal(of_hint(str).fn, text + " "))


def test_every_wrong_parameter_is_named_at_once() -> None:
    message = refusal(resize, '{"width": "broad", "hight": 3}')
    assert "the parameters do not fit picture" in message
    assert "url: is missing" in message
    assert "width: Input should be a valid integer" in message
    assert "hight: is no parameter" in message


def test_an_unknown_name_gets_near_names_or_all_names() -> None:
    assert "did you mean width?" in refusal(resize, '{"url": "", "widht": 1}')
    assert "it takes url, width" in refusal(resize, '{"url": "", "zzz": 1}')
    assert "it takes none" in refusal(nothing, '{"zzz": 1}')


def test_other_names_go_where_a_function_takes_any() -> None:
    assert made(free).parameters.decode('{"a": "1", "b": 2}') == {"a": 1, "b": 2}
    assert "a: Input should be a valid integer" in refusal(free, '{"a": "x"}')


def test_text_for_a_str_hint_stays_as_it_is() -> None:
    for text in ("3", "null", '"quoted"', "true", ""):
        assert one(str, text) == one(UserId, text) == one(Annotated[str, Field(max_length=20)], text) == text


@pytest.mark.parametrize(
    ("hint", "value", "becomes"),
    [
        (int, "3", 3),
        (float, "3", 3.0),
        (float, 3, 3.0),
        (bool, "true", True),
        (list[int], "[1, 2]", [1, 2]),
        (dict[str, int], '{"a": 1}', {"a": 1}),
        (dict[int, str], {"1": "a"}, {1: "a"}),
        (str | None, "null", None),
        (str | None, "5", "5"),
        (str | None, "abc", "abc"),
        (str | None, '{"a": 1}', '{"a": 1}'),
        (int | None, "null", None),
        (date, "2024-02-29", date(2024, 2, 29)),
        (datetime, "2024-02-29T10:00:00Z", datetime(2024, 2, 29, 10, tzinfo=UTC)),
        (timedelta, "PT5M", timedelta(minutes=5)),
        (UUID, "12345678123456781234567812345678", UUID("12345678123456781234567812345678")),
        (UUID, "12e45678123456781234567812345678", UUID("12e45678123456781234567812345678")),
        (Decimal, "0.1000000000000000000001", Decimal("0.1000000000000000000001")),
        (Decimal | None, "1.10", Decimal("1.10")),
        (Decimal | None, "null", None),
        (Decimal, 1.5, Decimal("1.5")),
        (Colour, "red", Colour.RED),
        (Colour, "1", Colour.ONE),
        (Literal["1", "2"], "1", "1"),
        (bytes, "123", b"123"),
        (Path, "/a/b", Path("/a/b")),
        (set[int], [1, 2, 2], {1, 2}),
        (tuple[int, ...], "[1]", (1,)),
        (Page, '{"url": "a", "seen": "2024-02-29"}', Page("a", date(2024, 2, 29))),
        (list[Page], [{"url": "a", "seen": "2024-02-29"}], [Page("a", date(2024, 2, 29))]),
        (Any, "5", 5),
        (Any, "abc", "abc"),
        (Any, '"abc"', "abc"),
        (Any, [1, "2"], [1, "2"]),
    ],
)
def test_json_becomes_what_the_hint_says(hint: Any, value: Any, becomes: Any) -> None:
    found = one(hint, value)
    assert (found, type(found)) == (becomes, type(becomes))


def test_decimals_keep_their_last_zero() -> None:
    assert str(one(Decimal, "1.10")) == "1.10"


def test_a_strict_model_takes_a_date_written_as_text() -> None:
    assert one(Strict, {"when": "2024-02-29T10:00:00Z"}) == Strict(when=datetime(2024, 2, 29, 10, tzinfo=UTC))


def test_a_parameter_without_a_hint_is_json() -> None:
    def fn(x) -> None: ...  # type: ignore[no-untyped-def]  # noqa: ANN001

    assert made(fn).parameters.decode('{"x": "[1]"}') == {"x": [1]}


@pytest.mark.parametrize(
    ("hint", "value", "path"),
    [
        (str, 3, "x: "),
        (int, "abc", "x: "),
        (int, 1.5, "x: "),
        (int, None, "x: "),
        (float, "NaN", "x: is no finite number"),
        (float, "1e5000", "x: is no finite number"),
        (list[int], ["1", "a"], "x[1]: "),
        (Page, {"url": "a"}, "x.seen: Field required"),
        (Opaque, 1, "x: its hint is of no use for JSON: Unable to generate pydantic-core schema for"),
        (Fussy, {"n": 1}, "x: its hint refuses it (KeyError)"),
        (Colour, "green", "x: "),
    ],
)
def test_what_does_not_fit_is_refused_with_its_path(hint: Any, value: Any, path: str) -> None:
    with pytest.raises(InvalidParameters) as caught:
        one(hint, value)
    assert path in str(caught.value)


def test_a_hint_that_only_type_checkers_know_counts_as_any_and_the_others_still_hold() -> None:
    def fn(x: Unknown, n: int) -> None: ...

    assert made(fn).parameters.decode('{"x": [1], "n": "2"}') == {"x": [1], "n": 2}


def test_a_class_inside_the_function_around_is_found() -> None:
    @dataclass
    class Inner:
        n: int

    def fn(x: Inner) -> None: ...

    assert Task(fn, "t", "app.py:1", locals()).parameters.decode('{"x": {"n": 1}}') == {"x": Inner(1)}


def test_mutable_defaults_are_copied_for_each_call() -> None:
    def fn(a: list[list[int]] = [[]], b: tuple[list[int], ...] = ([],), c: deque[int] = deque(), d: tuple[int, ...] = ()) -> None: ...  # noqa: B006

    first, second = made(fn).parameters.decode("{}"), made(fn).parameters.decode("{}")
    first["a"][0].append(1)
    first["b"][0].append(1)
    first["c"].append(1)
    assert second == {"a": [[]], "b": ([],), "c": deque()}
    assert made(fn).parameters.decode('{"a": [[2]]}')["a"] == [[2]]


def test_a_default_is_left_to_the_function() -> None:
    assert made(resize).parameters.decode('{"url": "a"}') == {"url": "a"}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
)


@given(text=st.text() | json_values.map(json.dumps) | st.dictionaries(st.sampled_from(["x", "n", "p", "y"]), json_values).map(json.dumps))
def test_whatever_stands_in_the_row_nothing_but_our_error_comes(text: str) -> None:
    def fn(x: int, n: str | None = None, p: Page | None = None, y: Decimal | float | bytes = 0) -> None: ...

    try:
        arguments = made(fn).parameters.decode(text)
    except InvalidParameters:
        return
    assert isinstance(arguments["x"], int)


clean_text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


@given(value=clean_text)
def test_text_of_any_kind_reaches_a_str_parameter_unchanged(value: str) -> None:
    assert one(str, value) == value


def test_validation_errors_do_not_leak() -> None:
    with pytest.raises(InvalidParameters) as caught:
        one(int, "x")
    assert not isinstance(caught.value, ValidationError)
    assert [(error.path, error.message.split(",")[0]) for error in caught.value.errors] == [("x", "Input should be a valid integer")]
