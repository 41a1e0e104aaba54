"""The policy of a task: whether there is another attempt, and when."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flower import Backoff, task
from flower.core.errors import ModuleProblem
from flower.sdk.retry import Policy, backoff_of


@given(st.integers(1, 10**9), st.floats(0, 1), st.floats(0, 100), st.floats(1, 1e6), st.floats(0, 1e4), st.floats(0, 1))
def test_a_pause_is_never_longer_than_the_longest_and_its_jitter(
    tries: int, spread: float, first: float, factor: float, longest: float, jitter: float
) -> None:
    delay = Backoff(first, factor, longest, jitter).delay(tries, spread)

    assert 0 <= delay <= longest * (1 + jitter)


def test_pauses_double_up_to_the_longest() -> None:
    assert [Backoff(jitter=0).delay(tries, 0.5) for tries in (1, 2, 3, 9, 10, 1_000_000)] == [1, 2, 4, 256, 300, 300]
    assert [backoff_of(400).delay(tries, 0.5) for tries in (1, 2)] == [400, 400]


class Busy(Exception): ...


class VeryBusy(Busy): ...


@pytest.mark.parametrize(
    ("policy", "error", "tries", "again"),
    [
        (Policy(), ValueError(), 1, False),
        (Policy(attempts=2), ValueError(), 1, True),
        (Policy(attempts=2), ValueError(), 2, False),
        (Policy(attempts=2), SystemExit(), 1, False),
        (Policy(attempts=2, retry_on=(OSError,)), ValueError(), 1, False),
        (Policy(attempts=2, retry_on=(OSError,)), TimeoutError(), 1, True),
        (Policy(attempts=2, give_up_on=(Busy,)), VeryBusy(), 1, False),
        (Policy(attempts=2, retry_on=("Busy",)), VeryBusy(), 1, True),
        (Policy(attempts=2, retry_on=(f"{__name__}.Busy",)), VeryBusy(), 1, True),
        (Policy(attempts=2, retry_on=("elsewhere.Busy",)), VeryBusy(), 1, False),
        (Policy(attempts=2, give_up_on=("Exception",)), ValueError(), 1, False),
    ],
)
def test_another_attempt_is_made_for_what_is_worth_one_while_there_are_some_left(
    policy: Policy, error: BaseException, tries: int, again: bool
) -> None:
    assert (policy.next_delay(error, tries, random.random()) is not None) is again


def test_a_step_overrides_what_the_function_says_and_no_more() -> None:
    policy = Policy(attempts=3, timeout=5, give_up_on=(ValueError,))

    made = policy.overridden({"attempts": 1, "backoff": 7, "retryOn": ["OSError"], "onLost": "suspend"})

    assert made == Policy(1, Backoff(first=7), ("OSError",), (ValueError,), 5, "suspend")
    assert policy.overridden({"backoff": {"first": 1, "jitter": 0}}).backoff == Backoff(jitter=0)


def test_only_what_is_not_as_usual_is_announced() -> None:
    assert Policy().to_json() is None
    assert Policy(attempts=3, retry_on=(Busy, OSError)).to_json() == {"attempts": 3, "retryOn": [f"{__name__}.Busy", "OSError"]}


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"attempts": 0}, "whole number from 1"),
        ({"attempts": True}, "whole number from 1"),
        ({"timeout": 0}, "above 0"),
        ({"timeout": float("nan")}, "above 0"),
        ({"backoff": -1}, "makes no sense"),
        ({"backoff": Backoff}, "seconds or a Backoff"),
        ({"retry_on": ValueError("x")}, "classes of exceptions"),
        ({"on_lost": "restart"}, "'retry' or 'suspend'"),
        ({"retries": 3}, "retries"),
    ],
)
def test_options_that_make_no_sense_are_refused_with_file_and_line(options: dict[str, Any], told: str) -> None:
    with pytest.raises(ModuleProblem, match=rf"test_retry\.py:\d+: the options of odd are wrong.*{told}"):

        @task(**options)
        async def odd() -> None: ...
