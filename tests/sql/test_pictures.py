"""The picture of a flow, folded by PostgreSQL, held against the rows that it is made of."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal

import pytest

from flower.core.picture import Fold, FoldedBy, Missing, Node, Picture
from flower.core.status import status_word
from flower.database.pool import Connection, Pool
from flower.database.store import Store
from tests.sql.drawn import Drawn, draw
from tests.sql.engine import edge, write

Edges = list[tuple[int, int]]


def node_of(picture: Picture, task: Drawn) -> str:
    """Return the key of what stands for *task* in *picture*: itself, or the fold that it fits into."""
    own = [node.key for node in picture.nodes if isinstance(node, Node) and node.seq == task.seq]
    highest = min(node.depth for node in picture.nodes if node.key not in {"before", "after"})

    def fits(fold: Fold) -> bool:
        match fold.by:
            case FoldedBy.ALIKE:
                return (fold.depth, fold.program) == (task.depth, task.program)
            case FoldedBy.DEPTH:
                return fold.depth == task.depth
            case FoldedBy.BEFORE:
                return task.depth < highest
        return task.depth >= fold.depth

    (key,) = own or [node.key for node in picture.nodes if isinstance(node, Fold) and fits(node)]
    return key


def assert_that_it_shows_the_flow(picture: Picture, tasks: Sequence[Drawn], edges: Edges) -> None:
    of = {task.seq: node_of(picture, task) for task in tasks}
    members = {node.key: [task for task in tasks if of[task.seq] == node.key] for node in picture.nodes}
    assert set(members) == set(of.values())
    for node in picture.nodes:
        assert node.seq == min(task.seq for task in members[node.key])
        assert node.depth == min(task.depth for task in members[node.key])
        words = Counter(status_word(Decimal(task.status)) for task in members[node.key])
        if isinstance(node, Fold):
            words["wait"] += words.pop("7", 0)  # what no status means stands still, like what waits
            assert node.counts == {word: words[word] for word in ("wait", "running", "suspend", "finish", "ignore")}
            assert node.faults == sum(task.status == 2 and task.outcome == "failed" for task in members[node.key])
        else:
            assert {node.status: 1} == words
    drawn = Counter((found.parent, found.child) for found in picture.edges)
    assert set(drawn.values()) <= {1}
    assert set(drawn) == {(of[parent], of[child]) for parent, child in edges if parent in of and of[parent] != of[child]}
    absent = [(of[child], parent) for parent, child in edges if parent not in of]
    assert {(found.child, found.count, found.seq) for found in picture.missing} == {
        (child, sum(key == child for key, _ in absent), min(parent for key, parent in absent if key == child)) for child, _ in absent
    }
    assert len(picture.nodes) <= 152


def random_flow(dice: random.Random, count: int, depths: int, programs: int) -> tuple[list[Drawn], Edges]:
    states = [(3, None), (3, None), (0, None), (1, None), (2, "failed"), (2, "approval"), (9, "skipped"), (7, None)]
    tasks = []
    for seq in range(1, count + 1):
        status, outcome = dice.choice(states)
        tasks.append(Drawn(seq, dice.randrange(depths), f"p{dice.randrange(programs)}", status, outcome))
    edges = {(dice.randint(1, count + count // 20), dice.randint(1, count)) for _ in range(2 * count)}
    return tasks, sorted(edges)


@pytest.mark.parametrize(
    ("count", "depths", "programs"),
    [(1, 1, 1), (80, 5, 3), (81, 5, 3), (81, 1, 81), (300, 20, 2), (300, 100, 3), (400, 3, 100), (2000, 200, 1), (2000, 12, 300), (3000, 300, 30)],
)
async def test_its_counts_add_up_and_its_edges_are_those_of_the_tasks(
    connection: Connection, pool: Pool, count: int, depths: int, programs: int
) -> None:
    dice = random.Random(count * depths + programs)
    tasks, edges = random_flow(dice, count, depths, programs)
    await draw(connection, "f", tasks, edges)

    for focus in (None, Decimal(dice.randint(1, count)), Decimal(count + 7)):
        picture = await Store(pool).pictures.of("f", focus)

        assert_that_it_shows_the_flow(picture, tasks, edges)
        failed = [task.seq for task in tasks if task.outcome == "failed"]
        assert picture.focus == (focus if focus and focus <= count else min(failed, default=1))
        assert [node for node in picture.nodes if isinstance(node, Node) and node.seq == picture.focus]


async def test_of_1000_alike_those_that_failed_and_the_one_in_focus_stand_alone(connection: Connection, pool: Pool) -> None:
    fetches = [Drawn(n + 2, 1, "fetch", 2 if n % 100 == 50 else 3, "failed" if n % 100 == 50 else None, f"fetch[{n}]") for n in range(1000)]
    tasks = [Drawn(1, 0, "list", name="list"), *fetches, Drawn(1002, 2, "sum", 0, name="sum")]
    await draw(connection, "f", tasks, [(1, n) for n in range(2, 1002)] + [(n, 1002) for n in range(2, 1002)])

    picture = await Store(pool).pictures.of("f", Decimal(900))

    assert [node.seq for node in picture.nodes if isinstance(node, Node)] == [1, 52, 152, 252, 352, 452, 900, 1002]
    (fold,) = [node for node in picture.nodes if isinstance(node, Fold)]
    assert (fold.by, fold.name, fold.size, fold.faults) == (FoldedBy.ALIKE, "fetch[0…999]", 994, 5)
    assert len(picture.edges) == 2 * 7


async def test_of_a_long_chain_the_depths_around_the_focus_are_shown_and_the_rest_is_one_node_at_either_end(
    connection: Connection, pool: Pool
) -> None:
    tasks = [Drawn(n, n - 1, status=3 if n < 500 else 0) for n in range(1, 1001)]
    await draw(connection, "f", tasks, [(n, n + 1) for n in range(1, 1000)])

    async def seqs(focus: int) -> list[object]:
        picture = await Store(pool).pictures.of("f", Decimal(focus))
        assert_that_it_shows_the_flow(picture, tasks, [(n, n + 1) for n in range(1, 1000)])
        return [(node.key, node.size) if isinstance(node, Fold) else int(node.seq) for node in picture.nodes]

    assert await seqs(500) == [("before", 491), *range(492, 509), ("after", 492)]
    assert await seqs(3) == [*range(1, 18), ("after", 983)]
    assert await seqs(1000) == [("before", 983), *range(984, 1001)]


async def test_its_nodes_stay_the_same_while_tasks_go_on(connection: Connection, pool: Pool) -> None:
    tasks, edges = random_flow(random.Random(7), 2000, 10, 300)
    await draw(connection, "f", [Drawn(task.seq, task.depth, task.program, 0) for task in tasks], edges)
    before = await Store(pool).pictures.of("f")
    await connection.execute("SET session_replication_role = replica; UPDATE kr_task_stat SET exec_status = 3 WHERE task_exec_seq > 1")

    after = await Store(pool).pictures.of("f")

    assert ([node.key for node in after.nodes], after.edges) == ([node.key for node in before.nodes], before.edges)


async def test_rows_by_hand_may_go_in_a_circle_lack_their_parents_and_have_odd_seqs(connection: Connection, pool: Pool) -> None:
    await write(connection, "odd", 1.5, after=3)
    await write(connection, "odd", 2, after=1.5, status=7)
    await write(connection, "odd", 3, after=2, program=None)
    await write(connection, "odd", "NaN", after=77)
    await edge(connection, "odd", 78, "NaN")

    picture = await Store(pool).pictures.of("odd")

    assert {(found.parent, found.child) for found in picture.edges} == {("task-3", "task-1.5"), ("task-1.5", "task-2"), ("task-2", "task-3")}
    assert picture.missing == (Missing("task-NaN", 2, Decimal(77)),)
    assert [node.status for node in picture.nodes if isinstance(node, Node)] == ["wait", "7", "wait", "wait"]


async def test_of_no_flow_it_is_empty(pool: Pool) -> None:
    assert await Store(pool).pictures.of("none") == Picture(None, (), ())


@pytest.mark.parametrize(
    ("names", "program", "name"),
    [
        (("fetch[0]", "fetch[9]", "fetch[0]", "fetch[10]"), "fetch", "fetch[0…10]"),
        (("fetch[0]", "load[1]", "fetch[0]", "fetch[10]"), "fetch", "fetch"),
        (("a[0]", "a[b]", "a[0]", "b[1]"), "fetch", "fetch"),
        (("Ok", "Ok", "Ok", "Ok"), "Ok", "Ok"),
        (("Ok", "Ok-9", "Ok", "Ok-8"), "Ok", "Ok"),
        (("a", "z", "b", "y"), None, None),
    ],
)
def test_a_fold_is_called_what_all_in_it_are_called(names: tuple[str, str, str, str], program: str | None, name: str | None) -> None:
    assert Fold("fold-1", FoldedBy.ALIKE, Decimal(1), program, 0, {}, 0, names).name == name
