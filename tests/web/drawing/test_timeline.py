"""When tasks waited and ran, as bars and as a table: pure."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flower.core.picture import Past, Row
from flower.web.drawing.table import lines
from flower.web.drawing.timeline import LEFT, WIDTH, draw, stretches
from tests.web.drawing.look import render
from tests.web.drawing.made import MORNING, a_past, a_row, at

NOW = 100.0


def told(row: Row, past: Past | None = None) -> list[tuple[str, float, float]]:
    """Return kind, begin and end of each stretch, in seconds after the registration."""
    return [(item.kind.value, (item.start - MORNING).total_seconds(), (item.end - MORNING).total_seconds()) for item in stretches(row, past, at(NOW))]


WAITS: dict[str, Any] = {"status": "wait", "attempt": 0, "started_at": None, "finished_at": None}


@pytest.mark.parametrize(
    ("changes", "past", "stretches"),
    [
        ({}, a_past(), [("slot", 0, 10), ("running", 10, 30)]),
        ({}, a_past(parents=4), [("dependencies", 0, 4), ("slot", 4, 10), ("running", 10, 30)]),
        ({}, None, [("slot", 0, 10), ("running", 10, 30)]),
        ({"run_after": at(7)}, a_past(parents=4), [("dependencies", 0, 4), ("time", 4, 7), ("slot", 7, 10), ("running", 10, 30)]),
        ({"run_after": at(2), "limited": True}, a_past(parents=4), [("dependencies", 0, 4), ("limit", 4, 10), ("running", 10, 30)]),
        # A parent ran again after this task did: it cannot have waited for that.
        ({}, a_past(parents=80), [("dependencies", 0, 10), ("running", 10, 30)]),
        ({"status": "running", "finished_at": None}, a_past(), [("slot", 0, 10), ("running", 10, NOW)]),
        ({"status": "suspend", "finished_at": None, "suspended_at": at(40)}, a_past(), [("slot", 0, 10), ("running", 10, 40)]),
        (
            {},
            a_past(attempts=[(2, 3), (5, 6)]),
            [("slot", 0, 2), ("attempt", 2, 3), ("time", 3, 5), ("attempt", 5, 6), ("time", 6, 10), ("running", 10, 30)],
        ),
        (WAITS | {"gate": "dependencies"}, a_past(parents=4), [("dependencies", 0, NOW)]),
        (WAITS | {"gate": "slot"}, a_past(parents=4), [("dependencies", 0, 4), ("slot", 4, NOW)]),
        (WAITS | {"gate": "time", "run_after": at(500)}, a_past(parents=4), [("dependencies", 0, 4), ("time", 4, NOW)]),
        (WAITS | {"gate": "pause", "run_after": at(20)}, a_past(), [("time", 0, 20), ("pause", 20, NOW)]),
        (WAITS | {"gate": "odd"}, a_past(), [("slot", 0, NOW)]),
        (WAITS | {"gate": "time", "run_after": at(200)}, a_past(attempts=[(2, 3)]), [("slot", 0, 2), ("attempt", 2, 3), ("time", 3, NOW)]),
        (WAITS | {"status": "ignore", "finished_at": at(50)}, a_past(parents=50), [("dependencies", 0, 50)]),
        (WAITS | {"registered_at": None}, a_past(), []),
        ({"registered_at": None}, a_past(), [("running", 10, 30)]),
        ({"finished_at": at(5)}, a_past(), [("slot", 0, 10)]),
        ({"started_at": at(0), "finished_at": at(0)}, a_past(), [("running", 0, 0)]),
        (WAITS | {"status": "7"}, a_past(), [("dependencies", 0, NOW)]),
    ],
)
def test_a_bar_says_what_a_task_waited_for_and_when_it_ran(
    changes: dict[str, Any], past: Past | None, stretches: list[tuple[str, float, float]]
) -> None:
    assert told(a_row(**changes), past) == stretches


moments = (
    st.none()
    | st.floats(-1e9, 1e9).map(at)
    | st.sampled_from([datetime.min.replace(tzinfo=MORNING.tzinfo), datetime.max.replace(tzinfo=MORNING.tzinfo)])
)
rows = st.builds(
    a_row,
    st.integers(1, 99),
    status=st.sampled_from(["wait", "running", "suspend", "finish", "ignore", "7"]),
    gate=st.sampled_from([None, "dependencies", "time", "slot", "odd"]),
    registered_at=moments,
    started_at=moments,
    finished_at=moments,
    suspended_at=moments,
    run_after=moments,
)


@given(st.lists(rows, max_size=5), st.sampled_from([0, 1, 4, 64, 10**9]), st.floats(), st.floats(0, 1e6))
def test_whatever_times_a_hand_wrote_all_bars_are_inside_and_can_be_seen(made: list[Row], zoom: int, begin: float, parents: float) -> None:
    timeline = draw(made, [a_past(int(row.seq), parents, [(1, 2)]) for row in made], at(NOW), zoom=zoom, at=begin)

    for bar in timeline.bars:
        for segment in bar.segments:
            assert segment.x >= LEFT - 0.1
            assert segment.width >= 2
            assert segment.x + segment.width <= WIDTH - 9.8
    assert len(timeline.ticks) <= 10
    assert all(LEFT - 1 <= tick.x <= WIDTH for tick in timeline.ticks)


def test_the_axis_has_round_ticks_and_words() -> None:
    timeline = draw([a_row(finished_at=at(190))], [], at(1000))

    assert [tick.label for tick in timeline.ticks] == ["0", "30 s", "1 min", "1 min 30 s", "2 min", "2 min 30 s", "3 min"]
    assert timeline.bars[0].label == "step-1, finish, waited for a slot: 10.0 s, ran: 3 min"
    assert timeline.now is None


def test_what_only_waits_for_its_parents_does_not_make_a_flow_that_stands_still_longer() -> None:
    weeks = at(3_000_000)
    stopped, waits = a_row(1, status="suspend", finished_at=None, suspended_at=at(40)), a_row(2, **WAITS | {"gate": "dependencies"})

    timeline = draw([stopped, waits], [], weeks)

    assert timeline.label == "2 tasks over 40.0 s"
    assert [segment.width for segment in timeline.bars[1].segments] == [WIDTH - LEFT - 10]


def test_it_is_zoomed_by_links_about_the_middle_of_what_is_seen() -> None:
    row = a_row(status="running", finished_at=None)
    whole = draw([row], [], at(NOW), query={"view": "timeline"})
    part = draw([row], [], at(NOW), query={"view": "timeline"}, zoom=4, at=50)

    assert [link.href for link in whole.zooms][:3] == ["?view=timeline&zoom=1&at=0", "?view=timeline&zoom=2&at=25", "?view=timeline&zoom=4&at=37.5"]
    assert [link.label for link in part.zooms if link.current] == ["4×"]
    assert (whole.earlier.href, whole.later.href) == (None, None)
    assert (part.earlier.href, part.later.href) == ("?view=timeline&zoom=4&at=37.5", "?view=timeline&zoom=4&at=62.5")
    assert (whole.now, part.now) == (WIDTH - 10, None)
    assert [tick.label for tick in part.ticks] == ["50 s", "55 s", "1 min", "1 min 5 s", "1 min 10 s", "1 min 15 s"]


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", "x" * 256])
def test_the_template_of_the_timeline_writes_names_as_text(name: str) -> None:
    timeline = draw([a_row(3, name=name, status="running", finished_at=None)], [a_past(3)], at(NOW), selected=Decimal(3))

    page = ET.fromstring(f"<page>{render('_timeline.html', timeline)}</page>")

    (bar,) = [element for element in page.iter("a") if element.get("id") == "bar-3"]
    assert (bar.get("href"), bar.get("class"), bar.get("aria-current")) == ("?task=3", "row running selected", "true")
    assert bar.findtext("g/title") == f"{name} · running"
    assert not [element for element in page.iter() if element.tag in {"script", "style"} or "style" in element.attrib]


def test_the_table_says_how_each_task_is_in_words() -> None:
    made = [
        a_row(1, error=None),
        a_row(2, status="suspend", outcome="failed", finished_at=None, suspended_at=at(40), attempt=3, tries=3, attempts=3, error="ValueError: <b>"),
        a_row(3, status="running", finished_at=None, progress={"done": 1200, "total": 5000}),
        a_row("NaN", **WAITS, progress={"done": 10**400, "total": "x"}),
    ]

    shown = lines(made, selected=Decimal(2))
    table = ET.fromstring(render("_tasks.html", shown))

    assert [(line.id, line.mark.symbol, line.mark.word, line.took) for line in shown] == [
        ("task-1", "✓", "finish", "20.0 s"),
        ("task-2", "✕", "failed", "30.0 s"),
        ("task-3", "▶", "running", ""),
        ("task-NaN", "○", "wait", ""),
    ]
    assert [line.attempts for line in shown] == ["1", "3 (3 of 3 used up)", "1", ""]
    assert [(line.share, line.progress) for line in shown] == [(None, ""), (None, ""), (24, "1,200 of 5,000"), (None, "")]
    assert [row.get("id") for row in table.iter("tr")] == [None, "task-1", "task-2", "task-3", "task-NaN"]
    assert [row.get("aria-current") for row in table.iter("tr")] == [None, None, "true", None, None]
    assert [span.text for span in table.iter("span") if span.get("class") == "failing"] == ["ValueError: <b>"]
    assert next((time.get("datetime"), time.text) for time in table.iter("time")) == ("2026-11-24T08:30:10Z", "2026-11-24 08:30:10 UTC")
