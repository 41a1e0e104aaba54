"""What the decorator makes, and what it refuses."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from flower.core.errors import ModuleProblem, NotInTask, NotInWorkflow
from flower.core.model import Program
from flower.sdk import Task, context, task
from flower.sdk import task as decorator
from flower.sdk.registry import REGISTRY, Registry


def made(fn: Callable[..., Any], name: str, place: str = "app.py:1") -> Task[..., Any, Any]:
    return Task(fn, name, place, {})


def nothing() -> None: ...


def refusal(fn: Any, **options: Any) -> str:
    with pytest.raises(ModuleProblem) as caught:
        decorator(**options)(fn) if options else decorator(fn)
    return str(caught.value)


@task
async def a_coroutine(n: int) -> int:
    """Return n."""
    return n


@task(name="a-plain-one")
def a_plain_one(n: int) -> int:
    return n


async def test_fn_is_the_function_itself() -> None:
    assert await a_coroutine.fn(3) == 3
    assert a_plain_one.fn(3) == 3


def test_a_task_is_registered_under_its_name() -> None:
    assert REGISTRY.get("a_coroutine") is a_coroutine
    assert REGISTRY.get("a-plain-one") is a_plain_one
    assert REGISTRY.get("a_plain_one") is None
    assert a_coroutine.__doc__ == "Return n."


def test_calling_a_task_says_what_to_write_instead() -> None:
    with pytest.raises(NotInWorkflow, match=r"write await a_coroutine\.fn\(…\)$"):
        a_coroutine(1)
    with pytest.raises(NotInWorkflow, match=r"write a_plain_one\.fn\(…\)$"):
        a_plain_one(1)


def test_parameters_without_names_are_refused_with_file_and_line() -> None:
    def by_position(a: int, /) -> None: ...
    def any_number(*numbers: int) -> None: ...

    for fn, said in ((by_position, "remove the /"), (any_number, "numbers: list[…]")):
        line = inspect.getsourcelines(fn)[1]
        message = refusal(fn)
        assert message.startswith(f"{__file__}:{line}: ")
        assert said in message


def test_generators_are_refused() -> None:
    def plain() -> Iterator[int]:
        yield 1

    async def asynchronous() -> AsyncIterator[int]:
        yield 1

    assert "return a list" in refusal(plain)
    assert "return a list" in refusal(asynchronous)


@pytest.mark.parametrize("fn", [3, "x", int, a_coroutine, staticmethod(len), lambda: None, functools.partial(print)])
def test_what_is_no_function_with_a_name_is_refused(fn: Any) -> None:
    assert __file__ in refusal(fn) or "app.py" in refusal(fn)


@pytest.mark.parametrize("name", ["", "a\0", "\ud800", "x" * 257, 3])
def test_a_name_that_cannot_be_stored_is_refused(name: Any) -> None:
    def fn() -> None: ...

    assert "1 to 256 characters" in refusal(fn, name=name)


def test_two_tasks_of_one_name_are_refused_naming_both_places() -> None:
    registry = Registry()
    registry.add(made(nothing, "print", "a.py:1"))
    with pytest.raises(ModuleProblem, match=r"two tasks are called 'print': a\.py:1 and b\.py:2; .*@task\(name="):
        registry.add(made(nothing, "print", "b.py:2"))


def test_the_same_function_imported_twice_replaces_the_first() -> None:
    registry = Registry()
    registry.add(made(nothing, "print"))
    second = made(nothing, "print")
    registry.add(second)
    assert registry.get("print") is second
    assert registry.names() == ("print",)


def test_a_partial_with_a_name_is_a_task() -> None:
    async def power(base: int, exponent: int) -> int:
        return int(base**exponent)

    square = task(name="a square")(functools.partial(power, exponent=2))
    assert square.is_async
    assert square.parameters.decode('{"base": "3"}') == {"base": 3}


def test_programs_say_what_they_take() -> None:
    def fetch(url: str, width: int = 800) -> None: ...
    def free(**others: Any) -> None: ...

    registry = Registry()
    registry.add(made(fetch, "fetch"))
    registry.add(made(free, "any"))

    assert registry.programs() == (
        Program("any", None, (), {}, {"type": "null"}, place="app.py:1"),
        Program("fetch", ("url", "width"), ("url",), {"url": {"type": "string"}, "width": {"type": "integer"}}, {"type": "null"}, place="app.py:1"),
    )


def test_context_outside_a_task_says_where_it_works() -> None:
    with pytest.raises(NotInTask, match="only inside a task"):
        context()


def test_a_task_says_which_limits_it_counts_for() -> None:
    def charge(customer: str) -> None: ...

    several = decorator(limit=["stripe", "tenant:{customer}"])(charge)

    assert (several.limits, several.program.limits) == (("stripe", "tenant:{customer}"), ("stripe", "tenant:{customer}"))


@pytest.mark.parametrize(
    ("limit", "said"),
    [
        ("", "1 to 512 bytes"),
        ("x" * 513, "1 to 512 bytes"),
        (7, "not iterable"),
        ([7], "1 to 512 bytes"),
        ("tenant:*", "pattern"),
        ("tenant:{client}", "there is no parameter 'client'"),
        ("tenant:{customer", "between braces"),
        ("workflow:w", "max_flows"),
    ],
)
def test_limits_that_make_no_sense_are_refused_where_they_are_written(limit: Any, said: str) -> None:
    def charge(customer: str) -> None: ...

    assert said in refusal(charge, limit=limit)
