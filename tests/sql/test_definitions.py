"""Random graphs, written by Python, over the shape of HTTP and by SQL: the same rows, the same order of execution as a model. Random edits: valid, or refused whole."""

from __future__ import annotations

import json
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flower.core.definition import Definition
from flower.core.model import Program
from flower.database.pool import Connection, Pool
from flower.database.store import Store
from flower.sdk.task import Task
from flower.sdk.workflow import Workflow
from tests.sql.engine import Engine

MANY = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
pytestmark = pytest.mark.timeout(180)

# Of each step: the steps before it that it takes a result of, and those that it only comes after.
Graph = list[tuple[list[int], list[int]]]


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    steps = draw(st.integers(1, 8))
    return [
        (
            sorted(draw(st.sets(st.integers(1, n - 1), max_size=3))) if n > 1 else [],
            sorted(draw(st.sets(st.integers(1, n - 1), max_size=2))) if n > 1 else [],
        )
        for n in range(1, steps + 1)
    ]


async def node(got: list[Any] | None = None) -> int:
    return len(got or [])


NODE: Task[..., Any, Any] = Task(node, "Node", "here:1", {})


def by_python(graph: Graph) -> Definition:
    def body() -> None:
        made: list[Any] = []
        for takes, after in graph:
            step = NODE.options(name=f"n{len(made) + 1}", after=[made[n - 1] for n in after])
            made.append(step([made[n - 1] for n in takes]))

    return Workflow(body, "python", "here:1", {}).definition


def in_rows(graph: Graph) -> list[dict[str, Any]]:
    return [
        {
            "seq": number,
            "name": f"n{number}",
            "program": "Node",
            "dependsOn": sorted({*takes, *after}),
            "parameters": {"got": [{"$task": f"n{n}"} for n in takes]},
        }
        for number, (takes, after) in enumerate(graph, 1)
    ]


def expected_order(graph: Graph) -> list[int]:
    """Return the order in which one slot runs the steps: what may run and is deepest, then what comes first."""
    depths: list[int] = []
    for takes, after in graph:
        depths.append(max((depths[n - 1] + 1 for n in {*takes, *after}), default=0))
    done: list[int] = []
    while len(done) < len(graph):
        ready = [n for n in range(1, len(graph) + 1) if n not in done and {*graph[n - 1][0], *graph[n - 1][1]} <= set(done)]
        done.append(min(ready, key=lambda n: (-depths[n - 1], n)))
    return done


async def compiled(connection: Connection, workflow: str) -> list[tuple[Any, ...]]:
    rows = await connection.fetch(
        "SELECT s.* FROM kr_step s JOIN ms_workflow w USING (task_id, revision) WHERE s.task_id = $1 ORDER BY s.task_exec_seq", workflow
    )
    return [tuple(value for name, value in row.items() if name not in {"task_id", "revision", "place"}) for row in rows]


@MANY
@given(graph=graphs())
async def test_whichever_way_a_graph_is_written_it_is_the_same_and_runs_in_the_order_of_the_model(
    pool: Pool, connection: Connection, graph: Graph
) -> None:
    await connection.execute("TRUNCATE ms_task_definition; TRUNCATE kr_task_stat; DELETE FROM kr_worker")
    workflows = Store(pool).workflows
    await workflows.define(by_python(graph), origin="test", code=True)
    definition = json.dumps({"workflow": "http", "steps": in_rows(graph)})
    await connection.execute("SELECT kr_define($1, NULL, 'http', true)", definition)
    async with connection.transaction():
        for step in reversed(in_rows(graph)):
            await connection.execute(
                "INSERT INTO ms_task_definition (task_id, task_seq, program, name, depends_on, parameters) VALUES ('sql', $1, $2, $3, $4, $5)",
                step["seq"],
                step["program"],
                step["name"],
                step["dependsOn"],
                json.dumps(step["parameters"]),
            )

    python, http, sql = [await compiled(connection, workflow) for workflow in ("python", "http", "sql")]
    assert python == http == sql

    engine = await Engine(pool).enroll(Program("Node", ("got",)))
    for workflow in ("python", "sql"):
        await connection.fetchval("SELECT flower_register($1)", workflow)
        ran = []
        while claims := await engine.claim(1):
            (claim,) = claims
            takes = graph[int(claim.seq) - 1][0]
            assert json.loads(claim.parameters) == {"got": [{"from": n} for n in takes]}
            ran.append(int(claim.seq))
            await engine.finish(claim, value=json.dumps({"from": int(claim.seq)}))
        assert ran == expected_order(graph)


EDITS = st.lists(
    st.one_of(
        st.tuples(st.just("depends"), st.integers(1, 5), st.lists(st.integers(1, 6), max_size=3)),
        st.tuples(st.just("delete"), st.integers(1, 5), st.just([])),
        st.tuples(st.just("refer"), st.integers(1, 5), st.lists(st.integers(1, 6), min_size=1, max_size=1)),
        st.tuples(st.just("insert"), st.integers(1, 6), st.lists(st.integers(1, 6), max_size=2)),
    ),
    min_size=1,
    max_size=4,
)
STATEMENTS = {
    "depends": "UPDATE ms_task_definition SET depends_on = $2::numeric[] WHERE task_id = 'w' AND task_seq = $1",
    "delete": "DELETE FROM ms_task_definition WHERE task_id = 'w' AND task_seq = $1 AND $2::numeric[] IS NOT NULL",
    "refer": "UPDATE ms_task_definition SET parameters = jsonb_build_object('got', jsonb_build_object('$task', 'n' || ($2::numeric[])[1])) WHERE task_id = 'w' AND task_seq = $1",
    "insert": "INSERT INTO ms_task_definition (task_id, task_seq, name, program, depends_on) VALUES ('w', $1, 'n' || $1::numeric, 'Node', $2::numeric[]) ON CONFLICT DO NOTHING",
}


def is_valid(rows: list[asyncpg.Record]) -> bool:
    parents = {int(row["task_seq"]): {int(n) for n in row["depends_on"]} for row in rows}
    if any(not above <= parents.keys() for above in parents.values()):
        return False
    before: dict[int, set[int]] = {}
    while len(before) < len(parents):
        ready = [n for n, above in parents.items() if n not in before and above <= before.keys()]
        if not ready:
            return False
        before |= {n: parents[n].union(*(before[above] for above in parents[n])) for n in ready}
    wanted = {int(row["task_seq"]): int(row["source"][1:]) for row in rows if row["source"]}
    return all(source in before[n] for n, source in wanted.items())


@MANY
@given(edits=EDITS)
async def test_a_transaction_of_random_edits_is_refused_or_leaves_a_valid_graph(
    connection: Connection, edits: list[tuple[str, int, list[int]]]
) -> None:
    await connection.execute("TRUNCATE ms_task_definition")
    await connection.execute(
        """INSERT INTO ms_task_definition (task_id, task_seq, name, program, depends_on)
           SELECT 'w', n, 'n' || n, 'Node', CASE n WHEN 1 THEN '{}' ELSE ARRAY[n - 1] END FROM generate_series(1, 5) n"""
    )
    select = "SELECT task_seq, depends_on, parameters #>> '{got,$task}' AS source FROM ms_task_definition WHERE task_id = 'w' ORDER BY 1"
    before = await connection.fetch(select)
    transaction = connection.transaction()
    await transaction.start()
    for kind, seq, others in edits:
        await connection.execute(STATEMENTS[kind], seq, others)
    meant = await connection.fetch(select)
    valid = is_valid(meant)

    if valid:
        await transaction.commit()
    else:
        with pytest.raises(asyncpg.PostgresError) as raised:
            await transaction.commit()
        assert raised.value.sqlstate == "FL422"

    assert await connection.fetch(select) == (meant if valid else before)
    if valid and meant:
        assert len(await compiled(connection, "w")) == len(meant)
