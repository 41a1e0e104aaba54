from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from flower.core.errors import Invalid, NotJson
from flower.core.strict import loads

PLAIN_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | PLAIN_TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(PLAIN_TEXT, inner, max_size=4),
)


@given(PLAIN)
def test_what_can_be_kept_comes_through_as_it_is(value: Any) -> None:
    assert loads(json.dumps(value)) == value
    assert loads(json.dumps(value, ensure_ascii=False)) == value


@given(PLAIN, st.sampled_from(["\0", "\ud800", "a\udc00b"]))
def test_half_a_character_is_found_wherever_it_hides(value: Any, trouble: str) -> None:
    for spoilt in ({"x": [value, trouble]}, {trouble: value}, trouble, [[{"y": {trouble: 1}}]]):
        with pytest.raises(Invalid):
            loads(json.dumps(spoilt))


@given(st.text())
@example("NaN")
@example("-Infinity")
@example("1e999")
@example(" 1 ")
def test_any_other_text_is_refused_by_name(text: str) -> None:
    try:
        expected = json.loads(text)
    except ValueError:
        expected = math.nan
    if isinstance(expected, float) and not math.isfinite(expected):
        with pytest.raises((NotJson, Invalid)):
            loads(text)
    else:
        assert loads(text) == expected


def test_the_position_counts_lines_and_columns_from_one() -> None:
    with pytest.raises(NotJson, match="line 3, column 3"):
        loads('{\n"a": 1,\n  b\n}')


def test_no_more_than_twenty_troubles_are_told() -> None:
    with pytest.raises(Invalid) as raised:
        loads(json.dumps(["\0"] * 1000))

    assert len(raised.value.errors) == 20
