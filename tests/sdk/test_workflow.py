"""What the body of a workflow becomes, and everything that it may not do."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from pydantic import BaseModel

from flower.core.definition import Definition
from flower.core.errors import Invalid, ModuleProblem, NotInWorkflow, TraceError
from flower.core.references import Reference, references
from flower.sdk import task, workflow
from flower.sdk.registry import REGISTRY


@dataclass
class Page:
    url: str
    score: float = 0


class Report(BaseModel):
    title: str
    pages: list[Page] = []


class Size(Enum):
    SMALL = "s"


@task
async def fetch(url: str, retries: int = 1) -> Page: ...  # type: ignore[empty-body]


@task
def summarise(pages: list[Page], top: int = 10, since: date | None = None) -> Report: ...  # type: ignore[empty-body]


@task
async def publish(report: Report, score: float = 0) -> str: ...  # type: ignore[empty-body]


@task
def take(value: Any = None, **more: Any) -> int: ...  # type: ignore[empty-body]


@pytest.fixture(autouse=True)
def no_leftovers() -> Iterator[None]:
    """Workflows of a test are forgotten after it: others may have the same name at another place."""
    before = dict(REGISTRY._workflows)
    yield
    REGISTRY._workflows = before


def built(body: Callable[..., Any], name: str = "w") -> Definition:
    REGISTRY._workflows.pop(name, None)
    return workflow(name=name)(body).definition


def refused(body: Callable[..., Any]) -> str:
    with pytest.raises(TraceError) as raised:
        built(body)
    return str(raised.value)


# What it becomes


def test_calls_become_steps_whose_results_are_references() -> None:
    def body(urls: Sequence[str] = ("https://example.org",), top: int = 5) -> Report:
        home = fetch.options(name="home")(urls[0])
        report = summarise([home, *[fetch(url) for url in ("a", "b")]], top=top, since=date(2026, 1, 1))
        publish.options(after=[home])(report, report.pages[0].score)
        return report

    definition = built(body)

    assert [(step.seq, step.name, step.program, step.depends_on) for step in definition.steps] == [
        (1, "home", "fetch", ()),
        (2, "fetch", "fetch", ()),
        (3, "fetch-2", "fetch", ()),
        (4, "summarise", "summarise", (1, 2, 3)),
        (5, "publish", "publish", (1, 4)),
    ]
    assert [step.parameters for step in definition.steps] == [
        {"url": {"$param": "urls", "path": [0]}},
        {"url": "a"},
        {"url": "b"},
        {"pages": [{"$task": "home"}, {"$task": "fetch"}, {"$task": "fetch-2"}], "top": {"$param": "top"}, "since": "2026-01-01"},
        {"report": {"$task": "summarise"}, "score": {"$task": "summarise", "path": ["pages", 0, "score"]}},
    ]
    assert definition.result == {"$task": "summarise"}
    assert definition.takes == {
        "urls": {"schema": {"type": "array", "items": {"type": "string"}}, "default": ["https://example.org"]},
        "top": {"schema": {"type": "integer"}, "default": 5},
    }


def test_each_step_knows_the_line_that_calls_it() -> None:
    def body() -> None:
        fetch("a")
        publish(summarise([]))

    first = body.__code__.co_firstlineno
    assert [step.place for step in built(body).steps] == [f"{__file__}:{first + line}" for line in (1, 2, 2)]


def test_what_is_handed_over_is_written_by_its_type() -> None:
    def body() -> None:
        take([Page("u", 1.5), Report(title="t"), Size.SMALL, UUID(int=1), Decimal("1.50"), Path("a/b"), date(2026, 1, 2), (1, None)])

    assert built(body).steps[0].parameters == {
        "value": [
            {"url": "u", "score": 1.5},
            {"title": "t", "pages": []},
            "s",
            "00000000-0000-0000-0000-000000000001",
            "1.50",
            "a/b",
            "2026-01-02",
            [1, None],
        ]
    }


def test_handles_inside_a_dataclass_and_a_dict_are_dependencies() -> None:
    def body(score: float = 1) -> None:
        page = fetch("a")
        take({"page": [Page(page.url, score)]}, named=page)

    step = built(body).steps[1]
    assert step.depends_on == (1,)
    assert step.parameters == {
        "value": {"page": [{"url": {"$task": "fetch", "path": ["url"]}, "score": {"$param": "score"}}]},
        "named": {"$task": "fetch"},
    }


def test_plain_data_that_looks_like_a_reference_stays_plain_data() -> None:
    def body() -> None:
        take({"$task": "fetch", "deep": {"$env": "HOME"}})

    parameters = built(body).steps[0].parameters
    assert parameters == {"value": {"$literal": {"$task": "fetch", "deep": {"$env": "HOME"}}}}
    assert list(references(parameters)) == []


def test_the_hash_tells_code_apart_and_not_where_it_stands() -> None:
    def body() -> None:
        fetch("a")

    def the_same_elsewhere() -> None:
        fetch("a")

    def another() -> None:
        fetch("b")

    assert built(body).hash == built(the_same_elsewhere).hash != built(another).hash


def test_a_workflow_is_built_when_it_is_asked_for_and_may_call_what_stands_below() -> None:
    def body() -> None:
        later("a")

    made = workflow(name="early")(body)
    later = fetch
    assert [step.program for step in made.definition.steps] == ["fetch"]


# What it may not do


def branch(n: int) -> None:
    if n:
        fetch("a")


def loop(n: int) -> None:
    for _ in fetch("a"):  # type: ignore[attr-defined]
        pass


def text(n: int) -> None:
    fetch(f"https://{n}")


def to_str(n: int) -> None:
    fetch(str(n))


def length(n: list[int]) -> None:
    take(len(n))


def inside(n: list[int]) -> None:
    take(3 in n)


def arithmetic(n: int) -> None:
    take(n + 1)


def arithmetic_from_the_right(n: int) -> None:
    take(1 - n)


def compare(n: int) -> None:
    take(n == 3)


def order(n: int) -> None:
    take(n < 3)


def in_a_set(n: int) -> None:
    take([{n}])


def change(n: list[int]) -> None:
    n[0] = 3


def set_attribute(n: Any) -> None:
    n.url = 3


def call(n: Any) -> None:
    n()


def part_of_many(n: list[int]) -> None:
    take(n[1:2])


def enter(n: Any) -> None:
    with n:
        pass


def to_int(n: Any) -> None:
    take(int(n))


@pytest.mark.parametrize(
    ("body", "form"),
    [
        (branch, "to branch on it"),
        (loop, "to loop over it: hand the whole list to one task"),
        (text, "hand it to a task that builds the text"),
        (to_str, "hand it to a task that builds the text"),
        (length, "len() inside a task"),
        (inside, "`in`"),
        (arithmetic, "to calculate with it"),
        (arithmetic_from_the_right, "to calculate with it"),
        (compare, "to compare it"),
        (order, "to compare it"),
        (in_a_set, "to compare it"),
        (change, "return the changed value from a task"),
        (set_attribute, "return the changed value from a task"),
        (call, "only a task or a workflow is called"),
        (part_of_many, "take one element"),
        (enter, "inside a task"),
        (to_int, "to calculate with it"),
    ],
)
def test_a_handle_has_no_value_and_says_what_to_write(body: Callable[..., Any], form: str) -> None:
    message = refused(body)

    assert message.startswith(f"{__file__}:{body.__code__.co_firstlineno + 1}: ")
    assert form in message


async def test_to_await_a_step_is_refused_too() -> None:
    def body() -> None:
        fetch("a").__await__()  # type: ignore[attr-defined]

    assert "without await" in refused(body)


def wrong_type() -> None:
    fetch("a", retries="many")  # type: ignore[arg-type]


def unknown_parameter() -> None:
    fetch("a", retires=1)  # type: ignore[call-arg]


def missing_parameter() -> None:
    fetch()  # type: ignore[call-arg]


def a_set() -> None:
    take({1, 2})


def not_json() -> None:
    take(object())


def not_a_number() -> None:
    take(float("nan"))


def same_name() -> None:
    fetch.options(name="a")("a")
    fetch.options(name="a")("b")


def after_nothing() -> None:
    fetch.options(after=["fetch"])("a")


def a_number_as_key() -> None:
    take({1: 2})


def mark_beside_a_result() -> None:
    take({"$task": fetch("a")})


def mapped() -> None:
    fetch.map(["a"])


def with_a_condition() -> None:
    fetch.options(when=True)("a")


def with_a_join() -> None:
    fetch.options(join="any")("a")


def too_much() -> None:
    take("x" * 300_000)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (wrong_type, "the parameter retries of fetch does not fit"),
        (unknown_parameter, "unexpected keyword argument 'retires'"),
        (missing_parameter, "missing a required argument: 'url'"),
        (a_set, "a set, which has no order"),
        (not_json, "cannot be stored"),
        (not_a_number, "NaN"),
        (same_name, "two steps would have the name 'a'"),
        (after_nothing, "after=[…] takes what earlier steps"),
        (a_number_as_key, "keys of JSON are texts"),
        (mark_beside_a_result, "would be taken for a reference"),
        (mapped, ".map(…) is not there yet"),
        (with_a_condition, "when= and join= are not there yet"),
        (with_a_join, "when= and join= are not there yet"),
        (too_much, "262,144 bytes"),
    ],
)
def test_a_step_that_cannot_be_is_refused_at_its_line(body: Callable[..., Any], words: str) -> None:
    message = refused(body)

    first = body.__code__.co_firstlineno
    assert int(message.removeprefix(f"{__file__}:").partition(":")[0]) in {first + 1, first + 2}
    assert words in message


@pytest.mark.parametrize("value", [random.random, lambda: datetime.now(UTC).isoformat()])
def test_a_body_that_builds_something_else_each_time_is_found_out(value: Callable[[], Any]) -> None:
    def body() -> None:
        take(value())

    assert "builds something else each time: step 1 is take" in refused(body)


def test_a_body_without_steps_and_one_that_raises_are_refused() -> None:
    def nothing() -> None: ...

    def broken() -> None:
        fetch("a")
        raise KeyError("x")

    assert "has no steps" in refused(nothing)
    assert f"{__file__}:{broken.__code__.co_firstlineno + 2}: the body of w raised KeyError: 'x'" in refused(broken)


def test_a_body_that_catches_the_refusal_does_not_pass_for_built() -> None:
    def body(n: int) -> None:
        try:
            take(n + 1)
        except Exception:  # noqa: BLE001 - that is the point
            take(1)

    assert "to calculate with it" in refused(body)


def test_a_default_of_the_wrong_type_and_a_forgotten_return_are_found_out() -> None:
    def odd_default(n: int = "x") -> None:  # type: ignore[assignment]
        take(n)

    def forgotten(n: int) -> int:  # type: ignore[return]
        take(n)

    def handed_back(n: int) -> int:
        take(n)
        return n

    assert "the default of n of w does not fit" in refused(odd_default)
    assert "returns nothing, and its signature says -> int" in refused(forgotten)
    assert "returns one of its parameters" in refused(handed_back)


def test_a_handle_of_another_workflow_is_refused() -> None:
    kept: list[Any] = []

    def one() -> None:
        kept.append(fetch("a"))

    def other() -> None:
        take(kept[0])

    built(one)
    assert "of another workflow" in refused(other)


def test_a_handle_can_be_looked_at_and_copied() -> None:
    seen: list[Any] = []

    def body(n: Any) -> None:
        seen.append((n, copy.deepcopy(n), repr(n.a[0])))
        take(n)

    built(body)
    handle, copied, text_ = seen[0]
    assert copied is handle
    assert text_ == "<n.a[0], known when the flow runs>"


async def async_body() -> None: ...


def generator_body() -> Iterator[int]:
    yield 1


def positional(n: int, /) -> None: ...


def star(*n: int) -> None: ...


def keywords(**n: int) -> None: ...


@pytest.mark.parametrize(
    ("fn", "words"),
    [
        (async_body, "is an async def"),
        (generator_body, "is a generator"),
        (positional, "without / and *"),
        (star, "without / and *"),
        (keywords, "without / and *"),
        (lambda: None, "a lambda has no name"),
        (fetch, "is a task already"),
        (3, "@workflow takes a function"),
    ],
)
def test_what_can_be_no_workflow_is_refused_at_the_decorator(fn: Any, words: str) -> None:
    with pytest.raises(ModuleProblem, match=r"^\S+:") as raised:
        workflow(fn)
    assert words in str(raised.value)


def test_a_name_is_given_once() -> None:
    def one() -> None: ...

    def two() -> None: ...

    workflow(name="twice")(one)
    with pytest.raises(ModuleProblem, match="two workflows are called"):
        workflow(name="twice")(two)


# Outside


def test_outside_of_a_body_a_call_says_what_to_write() -> None:
    def body() -> None:
        fetch("a")

    made = workflow(name="outside")(body)

    with pytest.raises(NotInWorkflow, match=r"await body.run\(…\)"):
        made()
    with pytest.raises(NotInWorkflow, match=r"await fetch.fn\(…\)"):
        fetch("a")


def test_a_workflow_inside_a_workflow_comes_later() -> None:
    def inner() -> None:
        fetch("a")

    made = workflow(name="inner")(inner)

    def outer() -> None:
        made()

    assert "a workflow inside a workflow" in refused(outer)


def test_an_order_has_plain_json_and_what_does_not_fit_is_refused_with_its_path() -> None:
    def body(since: date, pages: list[Page], top: int = 3) -> None:
        take([since, pages, top])

    made = workflow(name="ordered")(body)

    order = made._order((date(2026, 1, 2),), {"pages": [Page("u")]})
    assert order.parameters == {"since": "2026-01-02", "pages": [{"url": "u", "score": 0}]}
    with pytest.raises(Invalid) as raised:
        made._order(("yesterday", [{"score": "x"}]), {"top": "many"})
    assert {error.path for error in raised.value.errors} >= {"since", "top"}
    with pytest.raises(TypeError, match="missing a required argument: 'pages'"):
        made._order((date(2026, 1, 2),), {})


def test_options_belong_to_one_start_only_and_a_time_has_a_zone() -> None:
    def body() -> None:
        fetch("a")

    made = workflow(name="optional")(body)
    at = datetime(2026, 1, 2, tzinfo=UTC)

    assert made.options(priority=-5, key="k", at=at)._order((), {}).options == {
        "priority": -5,
        "idempotencyKey": "k",
        "runAt": "2026-01-02T00:00:00+00:00",
    }
    assert made._order((), {}).options == {}
    with pytest.raises(ValueError, match="zone"):
        made.options(at=datetime(2026, 1, 2))  # noqa: DTZ001 - that is the point


def test_references_are_read_as_they_are_written() -> None:
    reference = Reference("task", "fetch", ("links", 0))

    assert list(references([{"a": reference.to_json()}, {"$task": 3}, {"$task": "x", "more": 1}])) == [reference]
    assert str(reference) == "fetch.links[0]"


# How many flows at once


def test_max_flows_is_a_part_of_the_definition_and_of_what_tells_it_from_others() -> None:
    @workflow(max_flows=3, name="at_most_three")
    def three() -> None:
        fetch(str(0))

    @workflow(max_flows=0, name="at_most_none")
    def none() -> None:
        fetch(str(0))

    assert three.definition.to_json()["maxFlows"] == 3
    assert none.definition.to_json()["maxFlows"] == 0
    assert three.definition.hash != replace(three.definition, max_flows=4).hash != replace(three.definition, max_flows=None).hash


@pytest.mark.parametrize("given", [-1, 1.5, True, "3", 2**31])
def test_a_max_flows_that_is_no_number_of_flows_is_refused(given: Any) -> None:
    with pytest.raises(ModuleProblem, match="a whole number from 0 on is needed"):
        workflow(max_flows=given, name="never_made")(lambda: None)


def test_a_workflow_whose_name_would_be_a_pattern_may_not_have_max_flows() -> None:
    with pytest.raises(ModuleProblem, match="is a pattern"):
        workflow(max_flows=1, name="every*")(lambda: None)
