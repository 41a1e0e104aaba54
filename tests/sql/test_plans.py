"""How PostgreSQL carries out the cycle with 50,000 tasks waiting and 50,000 finished: analysed, never analysed, and full of dead entries.

And how it carries out lists of 50,000 flows.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import asyncpg
import pytest

from flower.core.model import Outcome
from flower.core.status import Status
from flower.database.pool import Connection, Pool, connect
from flower.database.store.flows import Flows
from flower.testing.databases import Databases
from tests.sql.drawn import Drawn, draw
from tests.sql.engine import Engine

MANY = 50_000
pytestmark = pytest.mark.timeout(120)


class OnePool(Pool):
    """A pool of one session, which is never given back."""

    def __init__(self, url: str, connection: Connection) -> None:
        super().__init__(url, role="test")
        self.connection = connection

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[Connection]:
        yield self.connection


class Plans:
    """A session that does what an engine's does, and hears how each statement inside the cycle was carried out."""

    def __init__(self, pool: OnePool) -> None:
        self.url, self.connection, self.engine = pool.url, pool.connection, Engine(pool)
        self.seen: list[dict[str, Any]] = []

    async def begin(self) -> None:
        """Let PostgreSQL say each plan that is carried out from now on in this session."""
        await self.connection.execute("""
            LOAD 'auto_explain';
            SET auto_explain.log_min_duration = 0; SET auto_explain.log_nested_statements = on; SET auto_explain.log_analyze = on;
            SET auto_explain.log_buffers = on; SET auto_explain.log_timing = off; SET auto_explain.log_format = 'json';
            SET auto_explain.log_level = notice; SET client_min_messages = notice;
        """)
        self.connection.add_log_listener(self._hear)

    def _hear(self, _: object, message: asyncpg.PostgresLogMessage) -> None:
        _, begins, text = str(message.message).partition("plan:")
        if begins:
            self.seen.append(json.loads(text))

    async def turns(self, count: int, slots: int = 100) -> None:
        """Send *count* turns, each recording what the one before claimed, and keep the plans of the last two: one of parents, one of their children."""
        done: list[Outcome] = []
        for turn in range(count):
            if turn == count - 2:
                self.seen.clear()
            answer = await self.engine.turn(done, slots=slots, look=True)
            done = [Outcome(claim, Status.FINISH, value="null") for claim in answer.claimed]
            assert len(done) == slots
        await self.connection.execute("SELECT 1")

    def scans(self, words: str = "") -> Iterator[dict[str, Any]]:
        """Every scan that read anything, in statements that contain *words*."""
        for plan in self.seen:
            if words in plan["Query Text"]:
                yield from (node for node in nodes(plan["Plan"]) if "Scan" in node["Node Type"] and node.get("Actual Loops", 0) > 0)

    def indexes(self, words: str) -> set[str]:
        return {node["Index Name"] for node in self.scans(words) if "Index Name" in node}


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for below in plan.get("Plans", ()):
        yield from nodes(below)


def read(plan: dict[str, Any]) -> int:
    return int(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])


CLAIM = "q.gate = 'slot' AND q.crashes < 2"
RECORD = "WITH held AS MATERIALIZED"
RELEASE = "JOIN kr_task_edge e ON e.task_flow_id || '' = w.f"
LOOK = "JOIN kr_task_edge e ON e.task_flow_id || '' = one.f"
SETTLE = "WITH mine AS MATERIALIZED"
TABLES = {"kr_task_stat", "kr_task_edge"}


@pytest.fixture(scope="module")
async def crowded(databases: Databases) -> AsyncIterator[str]:
    """A database with 50,000 tasks finished and 50,000 waiting at slots, in flows of a task and its child; never analysed."""
    url = await databases.make()
    connection = await connect(url, role="test")
    # As flower_register and the cycle leave them; written at once, as that is quicker.
    await connection.execute(f"""
        ALTER TABLE kr_task_stat SET (autovacuum_enabled = off);
        ALTER TABLE kr_task_edge SET (autovacuum_enabled = off);
        INSERT INTO kr_worker (worker_id, host, pid, version, slots, programs, lease_until) VALUES (gen_random_uuid(), '', 1, '', 1, '{{Ok}}', 'infinity');
        INSERT INTO kr_task_edge (task_flow_id, parent_seq, task_exec_seq, by_hand) SELECT 'flow-' || f, 1, 2, false FROM generate_series(1, {MANY}) f;
        INSERT INTO kr_task_stat (task_flow_id, task_exec_seq, depends_task_exec_seq, task_id, task_seq, exec_status, parameters, registered_ts, name, program,
                rank, gate, waits_seq)
            SELECT 'flow-' || f, s, CASE s WHEN 1 THEN -1 ELSE 1 END, 'w', s, CASE WHEN f <= {MANY // 2} THEN 3 ELSE 0 END, '{{}}',
                now() - interval '1 day' + f * interval '1 ms', 'Ok', 'Ok', 1 - s, CASE s WHEN 1 THEN 'slot' ELSE 'dependencies' END, CASE s WHEN 2 THEN 1 END
            FROM generate_series(1, {MANY}) f, generate_series(1, 2) s;
        DELETE FROM kr_recount;
    """)
    await connection.close()
    yield url
    await databases.drop(url)


@pytest.fixture
async def plans(databases: Databases, crowded: str) -> AsyncIterator[Plans]:
    url = await databases.copy(crowded)
    connection = await connect(url, role="test")
    yield Plans(OnePool(url, connection))
    await connection.close()
    await databases.drop(url)


def assert_that_every_plan_is_by_index(plans: Plans, claim: str = "kr_task_claimable") -> None:
    assert not [node["Relation Name"] for node in plans.scans() if node["Node Type"] == "Seq Scan" and node["Relation Name"] in TABLES]
    assert plans.indexes(CLAIM) == {claim}
    assert plans.indexes(RECORD) == {"kr_task_stat_pkey"}
    assert plans.indexes(RELEASE) == {"kr_task_edge_children", "kr_task_stat_pkey"}
    assert plans.indexes(SETTLE) >= {"kr_task_edge_pkey", "kr_task_stat_pkey"}
    assert plans.indexes(SETTLE) <= {
        "kr_task_edge_pkey",
        "kr_task_stat_pkey",
        "ms_pause_pkey",
        "ms_pause_of_limits",
        "kr_worker_pkey",
        "ms_limit_of_workflows",
    }
    assert not [node for node in plans.scans() if node.get("Rows Removed by Filter", 0) * node["Actual Loops"] > 1_000]


def assert_that_turns_read_little(plans: Plans, *, pages: int) -> None:
    """Two turns of 100 tasks read at most *pages*, the claims among them a few each; reading all of an index would be thousands."""
    turns = sum(read(plan["Plan"]) for plan in plans.seen if "FROM kr_cycle($1" in plan["Query Text"])
    claims = sum(read(plan["Plan"]) for plan in plans.seen if CLAIM in plan["Query Text"])
    assert 0 < turns < pages
    assert 0 < claims < 1_500


@pytest.mark.parametrize("analysed", [True, False])
async def test_the_cycle_reads_by_index_what_it_needs_with_50_000_waiting(plans: Plans, analysed: bool) -> None:
    if analysed:
        await plans.connection.execute("VACUUM ANALYZE")
    await plans.engine.enroll("Ok")
    await plans.engine.look()
    await plans.begin()

    await plans.turns(8)

    assert_that_every_plan_is_by_index(plans)
    assert_that_turns_read_little(plans, pages=20_000)


@pytest.mark.parametrize("analysed", [True, False])
async def test_beside_pauses_of_every_kind_the_cycle_reads_by_index_as_ever(plans: Plans, analysed: bool) -> None:
    await plans.connection.execute("""
        INSERT INTO ms_pause (kind, task_id, until_ts) VALUES ('workflow', 'x', NULL), ('program', 'x', NULL), ('limit', 'x', NULL), ('limit', 'x:*', 'infinity');
        INSERT INTO ms_pause (kind, task_id) SELECT 'flow', 'suspended-' || g FROM generate_series(1, 300) g;
    """)
    if analysed:
        await plans.connection.execute("VACUUM ANALYZE")
    await plans.engine.enroll("Ok")
    await plans.engine.look()
    await plans.begin()

    await plans.turns(8)

    assert_that_every_plan_is_by_index(plans)
    assert_that_turns_read_little(plans, pages=20_000)


@pytest.mark.parametrize("analysed", [True, False])
async def test_where_workers_differ_the_claim_takes_one_index_scan_per_program(plans: Plans, analysed: bool) -> None:
    if analysed:
        await plans.connection.execute("VACUUM ANALYZE")
    await plans.connection.execute("""
        INSERT INTO kr_worker (worker_id, host, pid, version, slots, programs, lease_until) VALUES (gen_random_uuid(), '', 1, '', 1, '{Rare}', 'infinity')
    """)
    await plans.engine.enroll("Ok", "Other")
    await plans.engine.look()
    await plans.begin()

    await plans.turns(8)

    assert_that_every_plan_is_by_index(plans, claim="kr_task_by_program")
    assert_that_turns_read_little(plans, pages=20_000)


async def test_full_of_dead_entries_the_cycle_reads_no_more_than_without(plans: Plans) -> None:
    await plans.connection.execute("VACUUM ANALYZE")
    await plans.engine.enroll("Ok")
    await plans.engine.look()
    other = await connect(plans.url, role="test")
    transaction = other.transaction(isolation="repeatable_read", readonly=True)
    await transaction.start()
    await other.fetchval("SELECT count(*) FROM kr_task_stat")
    try:
        done: list[Outcome] = []
        for _ in range(40):
            answer = await plans.engine.turn(done, slots=500)
            done = [Outcome(claim, Status.FINISH, value="null") for claim in answer.claimed]
        assert len(done) == 500
        await plans.engine.turn(done)
        await plans.begin()

        await plans.turns(3)

        assert_that_every_plan_is_by_index(plans)
        assert_that_turns_read_little(plans, pages=20_000)
    finally:
        await transaction.rollback()
        await other.close()


@pytest.mark.parametrize("analysed", [True, False])
async def test_a_look_at_500_of_10_000_children_of_one_task_does_not_read_all_edges_for_each(plans: Plans, analysed: bool) -> None:
    await plans.connection.execute("""
        TRUNCATE kr_task_stat;
        INSERT INTO kr_task_stat (task_flow_id, task_exec_seq, depends_task_exec_seq, task_id, task_seq, exec_status, parameters, program)
            SELECT 'f', g, CASE g WHEN 1 THEN -1 ELSE 1 END, 'by_hand', 1, CASE g WHEN 1 THEN 3 ELSE 0 END, '{}', 'Ok' FROM generate_series(1, 10000) g
    """)
    if analysed:
        await plans.connection.execute("VACUUM ANALYZE")
    await plans.engine.enroll("Ok")
    await plans.engine.turn(look=True)
    await plans.begin()

    await plans.turns(2)

    assert plans.indexes(LOOK) & {"kr_task_edge_children", "kr_task_edge_pkey"} == {"kr_task_edge_children"}
    assert_that_turns_read_little(plans, pages=60_000)


async def test_a_look_at_20_000_flows_that_a_hand_wrote_reads_each_flow_by_its_key(plans: Plans) -> None:
    await plans.connection.execute("""
        TRUNCATE kr_task_stat;
        INSERT INTO kr_task_stat (task_flow_id, task_exec_seq, depends_task_exec_seq, task_id, task_seq, exec_status, parameters, program)
            SELECT 'f' || g, 1, -1, 'by_hand', 1, 0, '{}', 'Ok' FROM generate_series(1, 20000) g
    """)
    await plans.engine.enroll("Ok")
    for _ in range(8):
        await plans.engine.turn(look=True)
    await plans.begin()

    await plans.turns(2)

    flows = [node for node in plans.scans(LOOK) if node.get("Relation Name") == "kr_flow_stat"]
    assert {node["Index Name"] for node in flows if "Index Name" in node} == {"kr_flow_stat_pkey"}
    assert sum(node["Actual Rows"] * node["Actual Loops"] for node in flows) < 5_000


async def big_flow(connection: Connection) -> None:
    """One task, 9,998 children of it, 20 of which failed, and their one child: all of it in 80,000 rows of small flows."""
    fetches = [Drawn(n, 1, "fetch", 2 if n % 500 == 0 else 3, "failed" if n % 500 == 0 else None) for n in range(2, 10_000)]
    await draw(
        connection,
        "big",
        [Drawn(1), *fetches, Drawn(10_000, 2, "sum", 0)],
        [(1, n) for n in range(2, 10_000)] + [(n, 10_000) for n in range(2, 10_000)],
    )


@pytest.mark.parametrize("analysed", [True, False])
async def test_what_the_page_of_a_flow_of_10_000_tasks_reads_is_read_by_index_and_once(plans: Plans, analysed: bool) -> None:
    if analysed:  # when all flows were small
        await plans.connection.execute("VACUUM ANALYZE")
    await big_flow(plans.connection)
    store = plans.engine.store
    await plans.begin()

    for _ in range(6):  # as often as it takes to have a plan for all values
        plans.seen.clear()
        picture = await store.pictures.of("big")
        rows = [await store.tasks.rows("big", status=status, limit=100) for status in (None, "failed", "running")]
        pasts = await store.tasks.pasts("big", [*(row.seq for row in rows[0].items[1:]), Decimal(10_000)])
        await store.tasks.find("big", "sum", parents=20)
        await store.tasks.attempts("big", rows[0].items[0].seq)
        await plans.connection.execute("SELECT 1")

    assert (len(picture.nodes), len(rows[0].items), len(rows[1].items), len(pasts)) == (8, 100, 19, 100)
    assert len(plans.seen) > 6
    assert not [node["Relation Name"] for node in plans.scans() if node["Node Type"] == "Seq Scan" and node["Relation Name"] in TABLES]
    # The rows of the flow are scanned once per question, never once for each of its tasks.
    for node in plans.scans():
        assert node["Actual Loops"] * (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) <= 50_000, node
    for plan in plans.seen:
        assert all(node.get("Rows Removed by Join Filter", 0) * node.get("Actual Loops", 0) <= 50_000 for node in nodes(plan["Plan"]))
        # The last task has 9,998 parents, each of which is found by its key.
        assert read(plan["Plan"]) < (50_000 if "parents_ended" in plan["Query Text"] else 5_000), plan["Query Text"]


@pytest.mark.parametrize("analysed", [True, False])
async def test_what_a_page_asks_again_and_again_reads_little_beside_50_000_flows(plans: Plans, analysed: bool) -> None:
    await plans.connection.execute(f"""
        INSERT INTO kr_flow_stat (task_flow_id, task_id, registered_ts)
            SELECT 'flow-' || f, CASE WHEN f % 2 = 0 THEN 'w' ELSE 'v' END, now() - interval '1 day' + f * interval '1 ms' FROM generate_series(1, {MANY}) f;
        INSERT INTO kr_flow_stat (task_flow_id, task_id) SELECT 'large-' || f, 'large' FROM generate_series(1, 10) f;
        INSERT INTO kr_task_stat (task_flow_id, task_exec_seq, depends_task_exec_seq, task_id, task_seq, exec_status, parameters, registered_ts, name, program, gate)
            SELECT 'large-' || f, s, -1, 'large', s, 3, '{{}}', now(), 'Ok', 'Ok', 'slot' FROM generate_series(1, 10) f, generate_series(1, 5000) s;
        INSERT INTO kr_minute SELECT date_trunc('minute', now()) - m * interval '1 minute', gen_random_uuid(), 1, 0, 0 FROM generate_series(0, 1439) m, generate_series(1, 20) w;
    """)
    if analysed:
        await plans.connection.execute("VACUUM ANALYZE")
    await plans.engine.enroll("Ok")
    await plans.turns(2)
    store = plans.engine.store
    pages = {}
    await plans.begin()

    for name, ask in {
        "open": store.overview.open(),
        "lag": store.overview.lag(),
        "throughput": store.overview.throughput(),
        "workers": store.workers.list(),
        "noticed": store.workers.noticed(),
        "histories": store.workflows.histories(["v", "w", "large"]),
    }.items():
        plans.seen.clear()
        await ask
        await plans.connection.execute("SELECT 1")
        assert not [
            node for node in plans.scans() if node["Node Type"] == "Seq Scan" and node["Relation Name"] in {*TABLES, "kr_flow_stat", "kr_minute"}
        ], name
        assert not [node for node in plans.scans() if node.get("Rows Removed by Filter", 0) * node["Actual Loops"] > 1_000], name
        pages[name] = max(read(plan["Plan"]) for plan in plans.seen if plan["Query Text"] != "SELECT 1")

    assert pages["lag"] < 500
    assert max(pages["workers"], pages["noticed"]) < 500
    assert pages["throughput"] < 3_000
    # Of 10,000 tasks at the gate slot each may lie on a page of its own, as may 10,000 rows of flows; and of a hundred flows a few each.
    assert pages["open"] < 40_000
    assert pages["histories"] < 3_000


@pytest.fixture(scope="module")
async def long_history(databases: Databases) -> AsyncIterator[str]:
    """A database with 50,000 flows of two tasks, ten behind each other in each state older than all others, which finished; never analysed."""
    url = await databases.make()
    connection = await connect(url, role="test")
    await connection.execute(f"""
        SET session_replication_role = replica;
        ALTER TABLE kr_task_stat SET (autovacuum_enabled = off);
        ALTER TABLE kr_flow_stat SET (autovacuum_enabled = off);
        INSERT INTO kr_flow_stat (task_flow_id, task_id, registered_ts)
            SELECT 'flow-' || f, CASE WHEN f BETWEEN 11 AND 20 THEN 'rare' ELSE 'w' END, timestamptz '2026-01-01 00:00Z' + f * interval '1 s' FROM generate_series(1, {MANY}) f;
        INSERT INTO kr_task_stat (task_flow_id, task_exec_seq, depends_task_exec_seq, task_id, task_seq, exec_status, parameters, name, program, gate, outcome, error)
            SELECT 'flow-' || f, s, -1, 'w', s, CASE WHEN s = 2 THEN 3 WHEN f <= 10 THEN 0 WHEN f <= 20 THEN 1 WHEN f <= 30 THEN 2 WHEN f <= 40 THEN 9 ELSE 3 END, '{{"a": 1}}', 'Ok', 'Ok',
                CASE WHEN s = 1 AND f <= 10 THEN 'slot' END, CASE WHEN s = 1 AND f BETWEEN 21 AND 30 THEN 'failed' END, CASE WHEN f = 25 AND s = 1 THEN '{{"type": "Busy"}}'::jsonb END
            FROM generate_series(1, {MANY}) f, generate_series(1, 2) s;
    """)
    await connection.close()
    yield url
    await databases.drop(url)


@pytest.mark.parametrize("analysed", [True, False])
@pytest.mark.parametrize(
    ("wanted", "found", "most"),
    [
        ({}, 10, 200),
        ({"status": "finish"}, 10, 200),
        ({"status": "wait"}, 10, 100),
        ({"status": "running"}, 10, 100),
        ({"outcome": "failed"}, 10, 100),
        ({"outcome": "failed", "text": "busy"}, 1, 100),
        ({"workflow": "rare"}, 10, 100),
        ({"workflow": "w", "status": "ignore"}, 0, 2_200),
        ({"status": "ignore"}, 0, 2_200),
        ({"outcome": "skipped"}, 0, 2_200),
        ({"text": "nothing"}, 0, 2_200),
        ({"text": "flow-7"}, 1, 2_200),
        ({"since": datetime(2026, 1, 1, 1, tzinfo=UTC), "until": datetime(2026, 1, 1, 2, tzinfo=UTC)}, 10, 200),
        ({"status": "ignore", "until": datetime(2026, 1, 1, 2, tzinfo=UTC)}, 0, 2_200),
    ],
)
async def test_a_part_of_a_list_reads_by_index_no_more_flows_than_its_bound(
    databases: Databases, long_history: str, analysed: bool, wanted: dict[str, Any], found: int, most: int
) -> None:
    url = await databases.copy(long_history)
    connection = await connect(url, role="test")
    if analysed:
        await connection.execute("VACUUM ANALYZE")
    pool = OnePool(url, connection)
    plans = Plans(pool)
    await plans.begin()

    page = await Flows(pool, most_flows=1_000, patience=timedelta(minutes=1)).list(**wanted, limit=10)
    await connection.execute("SELECT 1")
    read = {"kr_flow_stat": 0.0, "kr_task_stat": 0.0}
    for node in plans.scans():
        if node.get("Relation Name") in read:
            assert node["Node Type"] != "Seq Scan", node
            read[node["Relation Name"]] += (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]
    await connection.close()
    await databases.drop(url)

    assert len(page.items) == found
    assert max(read.values()) <= most, read


@pytest.mark.parametrize("analysed", [True, False])
async def test_whether_a_flow_with_a_unique_key_goes_on_is_found_without_reading_history(plans: Plans, analysed: bool) -> None:
    await plans.connection.execute("""
        INSERT INTO kr_flow_stat (task_flow_id, task_id, unique_key) SELECT 'flow-' || f, 'w', 'k' FROM generate_series(1, 25000) f;
        INSERT INTO kr_flow_inside (task_flow_id, name) SELECT 'flow-' || f, 'workflow:w' FROM generate_series(1, 25000) f;
    """)
    if analysed:
        await plans.connection.execute("VACUUM ANALYZE")
    await plans.connection.execute("SELECT kr_unfinished_with_key('w', 'k')")  # the first call reads the catalogue, too
    await plans.begin()

    assert await plans.connection.fetchval("SELECT kr_unfinished_with_key('w', 'k')") is None
    await plans.connection.execute("SELECT 1")

    total = sum(read(plan["Plan"]) for plan in plans.seen if "SELECT kr_unfinished_with_key" in plan["Query Text"])
    assert 0 < total < 300
    assert not [
        node for node in plans.scans() if node["Node Type"] == "Seq Scan" and node["Relation Name"] in {*TABLES, "kr_flow_stat", "kr_flow_inside"}
    ]


@pytest.mark.parametrize("analysed", [True, False])
async def test_50_000_steps_that_wait_for_signals_cost_others_and_an_idle_probe_nothing_and_each_is_found_by_its_door(
    plans: Plans, analysed: bool
) -> None:
    await plans.connection.execute(f"""
        INSERT INTO kr_task_stat (task_flow_id, task_exec_seq, depends_task_exec_seq, task_id, task_seq, exec_status, parameters, registered_ts, name, program,
                gate, waits_for, waits_since, waits_until)
            SELECT 'wait-' || f, 1, -1, 'v', 1, 0, json_build_object('name', 'go', 'key', f % 40000), now() - interval '2 days', 'W', 'WaitForSignal',
                'signal', 'go' || E'\\n' || f % 40000, now() - interval '1 day', CASE WHEN f % 2 = 0 THEN now() + interval '1 day' END FROM generate_series(1, {MANY}) f;
        INSERT INTO kr_signal (name, key, payload, stage) SELECT 'other', f::text, '1', 'kept' FROM generate_series(1, {MANY}) f;
    """)
    if analysed:
        await plans.connection.execute("VACUUM ANALYZE")
    read_by_index = {*TABLES, "kr_signal"}
    await plans.engine.enroll("Ok")
    await plans.engine.look()
    await plans.engine.store.workers.probe(plans.engine.worker_id, "")  # planned, which reads the catalogue
    await plans.begin()

    await plans.engine.store.workers.probe(plans.engine.worker_id, "")
    await plans.connection.execute("SELECT 1")
    assert not [node["Relation Name"] for node in plans.scans() if node["Node Type"] == "Seq Scan" and node["Relation Name"] in read_by_index]
    assert 0 < sum(read(plan["Plan"]) for plan in plans.seen if "kr_probe" in plan["Query Text"]) < 500

    await plans.turns(8)
    assert_that_every_plan_is_by_index(plans)
    assert_that_turns_read_little(plans, pages=20_000)

    await plans.connection.execute("SELECT flower_signal('go', f::text) FROM generate_series(1, 10) f")
    plans.seen.clear()
    await plans.engine.turn(look=True)
    await plans.connection.execute("SELECT 1")
    assert not [node["Relation Name"] for node in plans.scans() if node["Node Type"] == "Seq Scan" and node["Relation Name"] in read_by_index]
    assert sum(read(plan["Plan"]) for plan in plans.seen if "FROM kr_cycle($1" in plan["Query Text"]) < 3_000
    assert await plans.connection.fetchval("SELECT count(*) FROM kr_task_stat WHERE exec_status = 3 AND task_id = 'v'") == 20
