"""What the graph of a flow looks like: pure, so without a database and a browser."""

from __future__ import annotations

import re
from decimal import Decimal
from itertools import combinations
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flower.core.picture import FoldedBy, Missing
from flower.web.drawing.graph import BOX_HEIGHT, BOX_WIDTH, Graph, draw
from flower.web.drawing.marks import SHARES, fit
from tests.web.drawing.look import render
from tests.web.drawing.made import a_fold, a_node, a_picture

NASTY = "</title><script>alert(1)</script>\"' onload=x"


@st.composite
def graphs(draw_: st.DrawFn, *, circles: bool = False) -> tuple[int, list[tuple[int, int]]]:
    count = draw_(st.integers(1, 40))
    ends = st.tuples(st.integers(0, count - 1), st.integers(0, count - 1))
    edges = draw_(st.lists(ends, max_size=60))
    if not circles:
        edges = [(min(edge), max(edge)) for edge in edges]
    return count, sorted({edge for edge in edges if edge[0] != edge[1]})


def numbers(path: str) -> list[float]:
    return [float(number) for number in re.findall(r"-?[\d.]+", path)]


def assert_that_all_of_it_can_be_seen(graph: Graph) -> None:
    for box in graph.boxes:
        assert 0 <= box.x <= graph.width - BOX_WIDTH
        assert 4 <= box.y <= graph.height - BOX_HEIGHT
    for one, other in combinations(graph.boxes, 2):
        assert abs(one.x - other.x) >= BOX_WIDTH + 8 or abs(one.y - other.y) >= BOX_HEIGHT + 8, (one.id, other.id)
    for line in graph.lines:
        assert all(0 <= x <= graph.width for x in numbers(line.d)[::2])


@given(graphs(circles=True))
def test_of_any_graph_all_is_drawn_inside_and_apart_and_always_the_same(made: tuple[int, list[tuple[int, int]]]) -> None:
    count, edges = made
    picture = a_picture([a_node(n) for n in range(count)], edges)

    graph = draw(picture)

    assert_that_all_of_it_can_be_seen(graph)
    assert [box.id for box in graph.boxes] == [f"node-{n}" for n in range(count)]
    assert sorted(line.id for line in graph.lines) == sorted(f"edge-node-{parent}-node-{child}" for parent, child in edges)
    assert draw(picture) == graph


@given(graphs())
def test_without_a_circle_every_line_leads_from_a_parent_on_to_its_child(made: tuple[int, list[tuple[int, int]]]) -> None:
    count, edges = made
    graph = draw(a_picture([a_node(n) for n in range(count)], edges))
    boxes = {box.id: box for box in graph.boxes}

    for (parent, child), line in zip(sorted(edges), sorted(graph.lines, key=lambda line: [*map(int, re.findall(r"\d+", line.id))]), strict=True):
        one, other = boxes[f"node-{parent}"], boxes[f"node-{child}"]
        sideways = other.x >= one.x + BOX_WIDTH
        begin, end = numbers(line.d)[:2], numbers(line.d)[-2:]
        across = ([one.x + BOX_WIDTH, one.y + BOX_HEIGHT / 2], [other.x, other.y + BOX_HEIGHT / 2])
        down = ([one.x + BOX_WIDTH / 2, one.y + BOX_HEIGHT], [other.x + BOX_WIDTH / 2, other.y])
        assert (begin, end) in (across, down)
        assert sideways or other.y >= one.y + BOX_HEIGHT
        assert line.classes == "edge"


@given(graphs(), st.sampled_from(["wait", "running", "finish"]))
def test_a_change_of_status_moves_nothing(made: tuple[int, list[tuple[int, int]]], status: str) -> None:
    count, edges = made

    before = draw(a_picture([a_node(n, status="wait") for n in range(count)], edges))
    after = draw(a_picture([a_node(n, status=status, attempt=3) for n in range(count)], edges), selected=Decimal(0))

    assert [(box.id, box.x, box.y) for box in before.boxes] == [(box.id, box.x, box.y) for box in after.boxes]
    assert before.lines == after.lines


def test_few_layers_go_to_the_right_and_many_go_down() -> None:
    short, long = (draw(a_picture([a_node(n) for n in range(count)], [(n, n + 1) for n in range(count - 1)])) for count in (3, 20))

    assert ({box.y for box in short.boxes}, short.width) == ({12}, 692)
    assert ({box.x for box in long.boxes}, long.width) == ({12}, 204)


def test_a_long_edge_passes_beside_what_lies_between() -> None:
    graph = draw(a_picture([a_node(n) for n in range(3)], [(0, 1), (1, 2), (0, 2)]))
    middle = graph.boxes[1]
    (line,) = [line for line in graph.lines if line.id == "edge-node-0-node-2"]

    ((x, y),) = [(float(x), float(y)) for x, y in re.findall(r"L(\S+?) (\S+?)(?=C)", line.d)]

    assert x == middle.x + BOX_WIDTH
    assert not middle.y - 4 <= y <= middle.y + BOX_HEIGHT + 4


def test_many_crossing_edges_take_bounded_time() -> None:
    edges = [(n, m) for n in range(75) for m in range(75, 150)] + [(n, n + 1) for n in range(75, 149)]

    graph = draw(a_picture([a_node(n) for n in range(150)], edges))

    assert len(graph.lines) == len(edges)
    assert_that_all_of_it_can_be_seen(graph)


def test_a_box_tells_how_its_task_is_by_symbol_class_and_words() -> None:
    states = [("finish", None), ("suspend", "failed"), ("suspend", "approval"), ("running", None), ("wait", None), ("ignore", "skipped"), ("7", None)]
    graph = draw(a_picture([a_node(n, "x", status, outcome, attempt=2) for n, (status, outcome) in enumerate(states)]), selected=Decimal(1))

    assert [box.symbol for box in graph.boxes] == ["✓", "✕", "‖", "▶", "○", "⤼", "?"]
    assert [box.classes for box in graph.boxes][:3] == ["node finish", "node failed selected", "node suspend"]
    assert [box.label for box in graph.boxes][:3] == ["x, finish · attempt 2", "x, failed · attempt 2", "x, approval · attempt 2"]
    assert [box.current for box in graph.boxes] == [False, True, False, False, False, False, False]
    assert graph.boxes[1].href == "?task=1"


def test_a_fold_shows_how_many_and_in_which_proportion_and_leads_to_the_table() -> None:
    folds = [
        a_fold(2, faults=5, suspend=5, finish=9000, running=995),
        a_fold(1, FoldedBy.BEFORE, finish=1200),
        a_fold(9, FoldedBy.DEPTH, None, wait=3),
    ]
    graph = draw(a_picture(folds), query={"theme": "dark"})

    first, before, many = graph.boxes
    assert (first.id, first.name, first.detail) == ("fold-2", "fetch", "×10,000 · 5 failed")
    assert first.label == "fetch: 10,000 tasks, 5 failed, 995 running, 9,000 finish"
    assert first.href == "?theme=dark&view=table&program=fetch&status=suspend"
    assert [share.classes.split()[1] for share in first.shares] == ["failed", "running", "finish"]
    assert {share.classes.split()[1] for share in first.shares} <= set(SHARES)
    assert sum(share.width for share in first.shares) == pytest.approx(160, abs=0.5)
    assert min(share.width for share in first.shares) >= 3
    assert (before.id, before.name, before.detail) == ("fold-before", "1,200 tasks before", "1,200 finish")
    assert (many.title, many.detail) == ("different programs: 3 tasks, 3 wait", "×3 wait")


def test_a_circle_and_a_parent_that_does_not_exist_are_drawn_as_such() -> None:
    nodes = [a_node(1), a_node(2), a_node(3)]
    graph = draw(a_picture(nodes, [(0, 1), (1, 2), (2, 0)], [Missing("task-3", 2, Decimal(77))]))

    assert {line.id: line.classes for line in graph.lines} == {
        "edge-node-1-node-2": "edge",
        "edge-node-2-node-3": "edge",
        "edge-node-3-node-1": "edge back",
        "edge-missing-task-3-node-3": "edge missing",
    }
    assert [(box.label, box.href) for box in graph.boxes[3:]] == [("task 77 and 1 more, which does not exist", None)]
    assert_that_all_of_it_can_be_seen(graph)


@pytest.mark.parametrize(
    ("text", "shown"), [("short", "short"), ("x" * 20, "x" * 20), ("x" * 21, "x" * 19 + "…"), ("花" * 10, "花" * 10), ("花" * 11, "花" * 9 + "…")]
)
def test_a_name_is_cut_to_its_room(text: str, shown: str) -> None:
    assert fit(text, 20) == shown


@pytest.mark.parametrize("name", [NASTY, "x" * 256, "花" * 256, "a\nb", "&amp;"])
def test_the_template_writes_what_a_name_says_as_text_and_nothing_inline(name: str) -> None:
    graph = draw(a_picture([a_node(1, name), a_fold(2, finish=3)], [(0, 1)], [Missing("task-1", 1, Decimal(9))]), selected=Decimal(1))

    svg = ET.fromstring(render("_graph.html", graph))

    ids = [element.get("id") for element in svg.iter() if element.get("id")]
    assert len(ids) == len(set(ids))
    assert {"node-1", "fold-2", "missing-task-1", "edge-node-1-fold-2"} <= set(ids)
    assert {name for element in svg.iter() for name in element.attrib}.isdisjoint({"style", "onload", "onclick"})
    assert not [element for element in svg.iter() if element.tag in {"script", "style", "foreignObject"}]
    (box,) = [element for element in svg.iter("a") if element.get("id") == "node-1"]
    assert (box.get("aria-current"), box.findtext("title")) == ("true", f"{name} · finish")


def test_an_empty_picture_is_an_empty_graph() -> None:
    assert ET.fromstring(render("_graph.html", draw(a_picture([])))).findall("a") == []
