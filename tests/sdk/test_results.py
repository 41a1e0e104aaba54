"""How what a function returned becomes JSON text that PostgreSQL surely takes."""

from __future__ import annotations

import asyncio
import json
import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from typing import Any, Literal, NamedTuple
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, field_serializer
from typing_extensions import TypedDict

from flower.core.errors import ResultNotJson
from flower.core.strict import loads
from flower.sdk.results import RESULT_LIMIT_BYTES, encode_result
from flower.sdk.task import Task


@dataclass
class Page:
    url: str
    seen: date


class Report(BaseModel):
    id: UUID
    price: Decimal


class Row(TypedDict):
    when: date


class Failing(BaseModel):
    n: int

    @field_serializer("n")
    def refuse(self, value: int) -> str:
        raise KeyError(value)


class Number(IntEnum):
    ONE = 1


class Word(StrEnum):
    A = "a"


class Colour(Enum):
    RED = "red"


class Point(NamedTuple):
    x: int
    y: int


def returning(hint: Any) -> Task[..., Any, Any]:
    def fn() -> None: ...

    fn.__annotations__["return"] = hint
    return Task(fn, "picture", "app.py:1", {})


def plain(value: Any) -> str:
    return encode_result(returning(Any), value)


def refusal(value: Any, hint: Any = Any) -> str:
    with pytest.raises(ResultNotJson) as caught:
        encode_result(returning(hint), value)
    return str(caught.value)


@pytest.mark.parametrize("value", [None, True, False, 0, -1, 1.5, "", "é", "\\u0000", [], {}, [1, [2, {"a": None}]], {"": 1}])
def test_plain_json_is_stored_as_it_is(value: Any) -> None:
    assert json.loads(plain(value)) == value


def test_what_is_json_by_inheritance_is_stored() -> None:
    assert json.loads(plain([Number.ONE, Word.A, (1, 2), Point(1, 2), OrderedDict(a=1)])) == [1, "a", [1, 2], [1, 2], {"a": 1}]


@pytest.mark.parametrize(
    ("hint", "value", "stored"),
    [
        (date, date(2024, 2, 29), "2024-02-29"),
        (datetime, datetime(2024, 2, 29, tzinfo=UTC), "2024-02-29T00:00:00Z"),
        (UUID, UUID(int=1), str(UUID(int=1))),
        (Decimal, Decimal("1.10"), "1.10"),
        (Page, Page("a", date(2024, 2, 29)), {"url": "a", "seen": "2024-02-29"}),
        (list[Page] | None, [Page("a", date(2024, 2, 29))], [{"url": "a", "seen": "2024-02-29"}]),
        (Report, Report(id=UUID(int=1), price=Decimal("1.10")), {"id": str(UUID(int=1)), "price": "1.10"}),
        (Row, {"when": date(2024, 2, 29)}, {"when": "2024-02-29"}),
        (set[int], {1}, [1]),
        (bytes, b"abc", "abc"),
        (dict[int, str], {1: "a"}, {"1": "a"}),
        (Colour, Colour.RED, "red"),
    ],
)
def test_a_result_is_converted_by_its_hint(hint: Any, value: Any, stored: Any) -> None:
    assert json.loads(encode_result(returning(hint), value)) == stored


@pytest.mark.parametrize(
    "hint", [None, Any, int, dict, dict[str, Any], list[dict[str, int | None]], str | None, Literal["a", 1], Sequence[str], Mapping[str, int]]
)
def test_hints_that_are_json_already_need_no_converter(hint: Any) -> None:
    assert returning(hint).convert_result is None


def test_a_hint_that_promises_plain_json_does_not_convert_in_silence() -> None:
    assert "a set at 'when'" in refusal({"when": {1}}, dict[str, Any])


def test_a_wrong_hint_does_not_spoil_plain_json() -> None:
    assert encode_result(returning(Page), {"a": 1}) == '{"a":1}'


async def coroutine() -> None: ...


def circle() -> list[Any]:
    round_: list[Any] = []
    round_.append(round_)
    return round_


def doubled() -> list[Any]:
    """Sixty levels, 2 to the 60 entries."""
    value: list[Any] = []
    for _ in range(60):
        value = [value, value]
    return value


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({1, 2}, "a set, which is not JSON; return plain JSON, annotate the return type"),
        (b"x", "a bytes"),
        (object(), "an object"),
        (iter([]), "a list_iterator"),
        ((n for n in [1]), "a generator"),
        (Decimal(1), "a Decimal"),
        ([1, {"a": date(2024, 1, 1)}], "a date at 'a'"),
        ([object()], "an object at '0'"),
        ({1: 2}, "a key that is no text, but an int"),
        ({None: 2}, "a key that is no text, but a NoneType"),
        ({(1,): 2}, "a key that is no text, but a tuple"),
        (math.nan, "nan, and JSON knows neither NaN nor Infinity"),
        ([math.inf], "inf at '0'"),
        ({"a": -math.inf}, "-inf at 'a'"),
        (10**309, "an integer beyond what a double can hold"),
        ([-(10**5000)], "an integer at '0' beyond what a double can hold"),
        (circle(), "64 levels, or contains itself"),
        (doubled(), "the limit is 1,048,576 bytes"),
        (threading.Lock(), "a lock"),
        (asyncio.sleep, "a function"),
        (Page("a", date(2024, 1, 1)), "a Page"),
        (Page, "a type"),
        (Colour.RED, "a Colour"),
    ],
)
def test_what_is_no_json_is_refused_by_name(value: Any, said: str) -> None:
    message = refusal(value)
    assert message.startswith("the result of picture cannot be stored: ")
    assert said in message


def test_a_coroutine_is_no_result() -> None:
    left = coroutine()
    assert "a coroutine" in refusal(left)
    left.close()


@pytest.mark.parametrize(
    ("hint", "value"),
    [
        (bytes, b"\xff"),
        (Failing, Failing(n=1)),
        (Page, object()),
        (float, math.nan),
        (list[float], [math.inf]),
        (list[list[Any]], circle()),
        (Iterator[int], iter([1])),
    ],
)
def test_what_its_hint_cannot_convert_is_refused(hint: Any, value: Any) -> None:
    assert "cannot be stored" in refusal(value, hint)


@pytest.mark.parametrize(("depth", "is_fine"), [(63, True), (64, True), (65, False), (100_000, False)])
def test_sixty_four_levels_are_the_limit(depth: int, is_fine: bool) -> None:
    value: list[Any] = []
    for _ in range(depth - 1):
        value = [value]
    if is_fine:
        assert plain(value) == "[" * depth + "]" * depth
    else:
        assert "64 levels" in refusal(value)
    while value:  # taken apart from the outside, for the sake of the stack
        value = value.pop()


def test_a_mebibyte_is_the_limit_and_the_message_names_size_limit_and_way_out() -> None:
    assert len(plain("é" * ((RESULT_LIMIT_BYTES - 2) // 2)).encode()) == RESULT_LIMIT_BYTES
    message = refusal("é" * (RESULT_LIMIT_BYTES // 2))
    assert "1,048,578 bytes, and the limit is 1,048,576 bytes; store it elsewhere and return its key or path" in message


def test_nul_characters_and_half_surrogate_pairs_become_replacement_characters() -> None:
    assert json.loads(plain({"a\0": ["\ud800x", "\0"], "\udfff": "😀"})) == {"a\ufffd": ["\ufffdx", "\ufffd"], "\ufffd": "😀"}
    assert json.loads(encode_result(returning(list[Page]), [Page("\0\ud800", date(2024, 1, 1))]))[0]["url"] == "\ufffd\ufffd"


class Lying(dict[str, Any]):
    def values(self) -> Any:
        raise SystemError("no")


class LyingKeys(dict[str, Any]):
    def items(self) -> Any:
        return [(float("nan"), object())]


@pytest.mark.parametrize("value", [Lying(a=1), LyingKeys(a=1)])
def test_a_dict_that_lies_is_refused(value: Any) -> None:
    assert "cannot be read" in refusal(value)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()) | st.binary() | st.dates() | st.decimals() | st.just(object()),
    lambda inner: (
        st.lists(inner) | st.tuples(inner) | st.dictionaries(st.text(st.characters()) | st.integers(), inner) | st.frozensets(st.integers())
    ),
)
hints: list[Any] = [Any, dict[str, Any], list[bytes], Page, set[date] | None, Decimal]


@given(value=anything, hint=st.sampled_from(hints))
def test_a_result_is_refused_in_our_words_or_read_back_by_the_strictest_reader(value: Any, hint: Any) -> None:
    try:
        text = encode_result(returning(hint), value)
    except ResultNotJson:
        return
    loads(text)
    text.encode()


clean = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**300), 10**300)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), inner),
)


@given(value=clean)
def test_json_comes_back_as_it_went(value: Any) -> None:
    assert loads(plain(value)) == value


def test_a_result_without_a_hint_is_encoded_by_no_adapter() -> None:
    fn: Callable[[], Any] = lambda: None  # noqa: E731
    assert Task(fn, "t", "app.py:1", {}).convert_result is None
