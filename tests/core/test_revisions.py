"""What changed from one revision of a workflow to another."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from flower.core.revisions import Change, Difference, Revision, StepChange, difference, shown_steps, shown_takes

FETCH = {"seq": 1, "name": "fetch", "program": "fetch", "priority": 0, "place": "app.py:3", "parameters": {"url": "x", "api_key": "canary"}}
PUBLISH = {"seq": 2, "name": "publish", "program": "publish", "priority": 0, "parameters": {}}


def a_revision(number: int, *steps: dict[str, Any], takes: Any = None, result: Any = None, timeout: float | None = None) -> Revision:
    return Revision("w", number, datetime(2026, 11, 24, tzinfo=UTC), "flower", "http", steps, takes, result, timeout, is_current=True)


def test_a_revision_and_itself_do_not_differ() -> None:
    one = a_revision(1, FETCH, PUBLISH, takes={"n": {"default": 1}}, result={"$task": "publish"}, timeout=3)

    assert difference(one, one) == Difference("w", 1, 1, (), (), moved=0)


def test_steps_are_added_removed_and_changed_field_by_field() -> None:
    slower = {**FETCH, "attempts": 3, "priority": 5, "parameters": {"url": "y", "top": 5, "api_key": "canary"}}
    check = {"seq": 3, "name": "check", "program": "check", "parameters": {"least": 2}}

    found = difference(a_revision(1, FETCH, PUBLISH), a_revision(2, slower, check))

    assert (found.old, found.new, found.whole, found.moved) == (1, 2, (), 0)
    fetch, added, gone = found.steps
    assert (fetch.name, fetch.kind) == ("fetch", "changed")
    assert set(fetch.changes) == {
        Change("attempts", "added", None, 3),
        Change("priority", "changed", 0, 5),
        Change("parameters.url", "changed", "x", "y"),
        Change("parameters.top", "added", None, 5),
    }
    assert added == StepChange(
        "check",
        "added",
        (Change("seq", "added", None, 3), Change("program", "added", None, "check"), Change("parameters.least", "added", None, 2)),
    )
    assert (gone.name, gone.kind, {change.kind for change in gone.changes}) == ("publish", "removed", {"removed"})


def test_a_secret_that_changed_is_a_change_and_stays_secret() -> None:
    found = difference(a_revision(1, FETCH), a_revision(2, {**FETCH, "parameters": {"url": "x", "api_key": "another canary"}}))

    assert found.steps == (StepChange("fetch", "changed", (Change("parameters.api_key", "changed", "***", "***"),)),)


def test_what_holds_for_the_whole_is_compared_too() -> None:
    old = a_revision(1, FETCH, takes={"n": {"default": 1}, "token": {"schema": {"type": "string"}, "default": "canary"}}, timeout=3)
    new = a_revision(2, FETCH, takes={"n": {"default": 2}, "token": {"schema": {"type": "string"}, "default": "other"}}, result={"$task": "fetch"})

    hidden = {"schema": {"type": "string"}, "default": "***"}
    assert difference(old, new).whole == (
        Change("parameters.n", "changed", {"default": 1}, {"default": 2}),
        Change("parameters.token", "changed", hidden, hidden),
        Change("result", "added", None, {"$task": "fetch"}),
        Change("timeout", "removed", 3, None),
    )


def test_a_step_that_only_stands_elsewhere_in_its_file_has_moved() -> None:
    found = difference(a_revision(1, FETCH, PUBLISH), a_revision(2, {**FETCH, "place": "app.py:30"}, PUBLISH))

    assert (found.steps, found.moved) == ((), 1)


def test_no_secret_is_shown() -> None:
    shown = (shown_steps(a_revision(1, FETCH)), shown_takes({"token": {"default": "canary"}, "odd": 1}), shown_takes(None))

    assert "canary" not in str(shown)
    assert shown[1:] == ({"token": {"default": "***"}, "odd": 1}, None)
