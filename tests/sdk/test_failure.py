"""Whatever an exception does, it is put into words that can be stored."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from typing import Any, NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flower.core.model import Failure
from flower.sdk.failure import FAILURE_LIMIT_BYTES, LAST_RESORT, MESSAGE_LIMIT_BYTES, describe, failure_text, place


class StrRaises(Exception):
    def __str__(self) -> str:
        raise SystemExit("no")


class StrReturnsNoText(Exception):
    def __str__(self) -> Any:
        return 3  # noqa: PLE0307 - that is the point


class StrIsHuge(Exception):
    def __str__(self) -> str:
        return "x" * (200 * 1024 * 1024)


class StrIsDirty(Exception):
    def __str__(self) -> str:
        return "a\0b\ud800c"


class OddText(str):
    __slots__ = ()

    def __getitem__(self, _key: Any) -> NoReturn:
        raise KeyError

    def encode(self, *_: Any) -> NoReturn:
        raise KeyError


class StrIsOdd(Exception):
    def __str__(self) -> str:
        return OddText("odd")


class ClassLies(Exception):
    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        raise KeyError("liar")


class CauseRaises(Exception):
    @property
    def __cause__(self) -> Any:  # type: ignore[override]
        raise KeyError("no cause")


class ReprRaises(Exception):
    def __repr__(self) -> str:
        raise KeyError


class Meta(type):
    def __getattribute__(cls, name: str) -> Any:
        raise KeyError(name)


class MetaRaises(Exception, metaclass=Meta):
    pass


def caught(fn: Callable[[], Any]) -> BaseException:
    try:
        fn()
    except BaseException as error:  # noqa: BLE001 - that is what is asked for
        return error
    raise AssertionError("nothing was raised")


def raises(error: BaseException) -> NoReturn:
    raise error


def shown(error: BaseException) -> dict[str, Any]:
    text = failure_text(describe(error, program="picture"))
    assert len(text.encode()) <= FAILURE_LIMIT_BYTES
    assert "\0" not in text
    found: dict[str, Any] = json.loads(text)
    assert len(found["message"].encode()) <= MESSAGE_LIMIT_BYTES
    return found


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (StrRaises, "its message cannot be shown: str() of it raised SystemExit"),
        (StrReturnsNoText, "its message cannot be shown: str() of it raised TypeError"),
        (StrIsDirty, "a\ufffdb\ufffdc"),
        (StrIsOdd, "odd"),
        (ClassLies, "x"),
        (CauseRaises, "x"),
        (ReprRaises, "x"),
        # In a box, because pytest looks at what it is given.
        ([MetaRaises], "x"),
    ],
)
def test_an_exception_that_misbehaves_keeps_its_name_and_what_message_it_has(kind: Any, message: str) -> None:
    kind = kind[0] if isinstance(kind, list) else kind
    found = shown(caught(lambda: raises(kind("x"))))
    assert (found["type"], found["message"], found["program"]) == (type.__getattribute__(kind, "__name__"), message, "picture")


def test_a_message_of_200_mebibytes_is_cut() -> None:
    assert shown(StrIsHuge())["message"].endswith("x…")


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, GeneratorExit, asyncio.CancelledError, StopIteration, MemoryError, RecursionError])
def test_every_kind_of_exception_keeps_its_name(kind: type[BaseException]) -> None:
    assert shown(kind("x"))["type"] == kind.__name__


def test_the_last_frame_of_user_code_comes_first_and_libraries_last() -> None:
    def inner() -> Any:
        return json.loads("{")

    def outer() -> Any:
        return inner()

    found = shown(caught(outer))
    assert found["where"].startswith(f"{__file__}:")
    assert found["where"].endswith("inner")
    lines = found["traceback"].splitlines()
    assert lines[0].startswith("json.decoder.JSONDecodeError: ")
    assert lines[1].endswith(".inner")
    assert lines[2] == '    return json.loads("{")'
    assert lines[3].endswith(".outer")
    assert "and from there into libraries:" in lines
    assert lines.index("and from there into libraries:") > 3
    assert "raw_decode" in lines[-2] or "raw_decode" in lines[-1]


def test_causes_are_told_after_the_exception() -> None:
    def fails() -> None:
        try:
            raise KeyError("first")
        except KeyError as error:
            raise ValueError("second") from error

    def fails_while_handling() -> None:
        try:
            raise KeyError("first")
        except KeyError:
            raise ValueError("second")  # noqa: B904

    traceback = shown(caught(fails))["traceback"]
    assert traceback.index("ValueError: second") < traceback.index("caused by:") < traceback.index("KeyError: 'first'")
    assert "while this was being handled:" in shown(caught(fails_while_handling))["traceback"]


async def test_a_group_is_told_with_its_parts_and_leads_to_the_first() -> None:
    async def part() -> None:
        raise ValueError("in a part")

    async def whole() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(part())

    try:
        await whole()
    except ExceptionGroup as error:
        found = shown(error)
    assert found["where"].endswith(".part")
    assert "of which one part is:" in found["traceback"]
    assert "ValueError: in a part" in found["traceback"]


def test_a_circle_of_causes_ends() -> None:
    first, second = ValueError("1"), ValueError("2")
    first.__cause__, second.__cause__ = second, first
    assert shown(first)["traceback"].count("caused by:") == 1


def test_deep_recursion_is_told_in_fifty_frames() -> None:
    def deeper() -> Any:
        return deeper()

    found = shown(caught(deeper))
    assert found["type"] == "RecursionError"
    assert found["traceback"].count('  File "') <= 50
    assert "more frames" in found["traceback"]


def test_a_note_is_told() -> None:
    error = ValueError("x")
    error.add_note("look at the other side\0")
    assert "look at the other side\ufffd" in shown(error)["traceback"]


def test_a_traceback_that_is_too_long_loses_its_end() -> None:
    text = failure_text(Failure("A", "m" * 10_000, traceback="first line\n" + "\x01" * 100_000))
    found = json.loads(text)
    assert len(text.encode()) <= FAILURE_LIMIT_BYTES
    assert found["traceback"].startswith("first line\n")


def test_the_last_resort_is_json_of_the_same_form() -> None:
    assert LAST_RESORT.isascii()
    assert json.loads(LAST_RESORT).keys() == json.loads(failure_text(Failure("A", "b"))).keys()
    assert failure_text(Failure(3, object())) == LAST_RESORT  # type: ignore[arg-type]


@given(message=st.text(st.characters()), program=st.text(st.characters()))
def test_any_message_can_be_stored(message: str, program: str) -> None:
    text = failure_text(describe(ValueError(message), program=program))
    assert "\\u0000" not in text.replace("\\\\", "")
    text.encode()
    assert json.loads(text)["type"] == "ValueError"


def test_a_place_is_the_innermost_line_of_user_code() -> None:
    def seen_in_a_library(home: str = "") -> str:
        (found,) = json.loads("[1]", parse_int=lambda _: place(sys._getframe(1), home))
        return str(found)

    line = seen_in_a_library.__code__.co_firstlineno + 1
    assert seen_in_a_library() == f"{__file__}:{line} in {seen_in_a_library.__qualname__}"
    assert seen_in_a_library(home="json").startswith(f"{json.decoder.__file__}:")
    assert place(None) == "nowhere"
