"""What a person does with psql: each line of the table "by hand", and rows in any form, order and transaction."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID, uuid4

import asyncpg
import pytest

from flower.core.model import Claim
from flower.database.pool import Connection
from tests.sql.engine import Engine, edge, gates, put, row, seqs, statuses, write


async def failed(engine: Engine, connection: Connection, flow: str, seq: object = 1) -> Claim:
    """A task of *flow* that ran and failed."""
    await write(connection, flow, seq)
    claim = await engine.one()
    await engine.fail(claim)
    return claim


async def attempts(connection: Connection, flow: str, seq: object = 1) -> list[tuple[int, int, str | None]]:
    rows = await connection.fetch(
        "SELECT attempt, exec_status, outcome FROM kr_task_attempt WHERE task_flow_id = $1 AND task_exec_seq = $2 ORDER BY attempt",
        flow,
        Decimal(str(seq)),
    )
    return [(found["attempt"], int(found["exec_status"]), found["outcome"]) for found in rows]


# -> 0


async def test_a_failed_task_set_to_0_runs_again_and_keeps_its_ended_attempt(engine: Engine, connection: Connection) -> None:
    await failed(engine, connection, "f")
    await connection.execute("UPDATE kr_task_stat SET run_after = 'infinity'")

    await put(connection, "f", 1, 0)

    task = await row(connection, "f", 1)
    assert (task["error"], task["outcome"], task["run_after"], task["claim_id"], task["suspended_ts"]) == (None, None, None, None, None)
    again = await engine.one()
    assert again.attempt == 2
    assert await attempts(connection, "f") == [(1, 2, "failed")]
    (kept,) = await connection.fetch("SELECT error FROM kr_task_attempt")
    assert json.loads(kept["error"])["message"] == "it broke"


async def test_a_finished_task_set_to_0_runs_again_without_its_old_result(engine: Engine, connection: Connection) -> None:
    await write(connection, "f", 1)
    await engine.finish(await engine.one(), value='"first"')

    await put(connection, "f", 1, 0)

    task = await row(connection, "f", 1)
    assert (task["result"], task["finished_ts"], task["started_ts"]) == (None, None, None)
    assert (await engine.one()).attempt == 2
    (kept,) = await connection.fetch("SELECT * FROM kr_task_attempt")
    assert (kept["attempt"], int(kept["exec_status"]), kept["result"]) == (1, 3, '"first"')


async def test_a_running_task_set_to_0_is_taken_from_its_worker_and_the_late_result_is_refused(engine: Engine, connection: Connection) -> None:
    await write(connection, "f", 1)
    first = await engine.one()

    await put(connection, "f", 1, 0)
    second = await engine.one()
    answer = await engine.finish(first, value='"late"')

    assert answer.refused == (first.claim_id,)
    assert second.attempt == 2
    assert (await row(connection, "f", 1))["claim_id"] == second.claim_id
    await engine.finish(second, value='"good"')
    assert (await row(connection, "f", 1))["result"] == "good"


async def test_an_ignored_task_set_to_0_runs(engine: Engine, connection: Connection) -> None:
    await write(connection, "f", 1, status=9)
    assert await engine.claim() == []

    await put(connection, "f", 1, 0)

    assert (await engine.one()).attempt == 1
    assert await attempts(connection, "f") == []


async def test_a_task_set_back_to_0_starts_with_all_its_tries_and_no_crashes(engine: Engine, connection: Connection) -> None:
    await failed(engine, connection, "f")
    await connection.execute("UPDATE kr_task_stat SET tries = 4, crashes = 2")

    await put(connection, "f", 1, 0)

    task = await row(connection, "f", 1)
    assert (task["tries"], task["crashes"], task["attempt"]) == (0, 0, 1)


async def test_dependents_that_wait_block_again_and_those_that_ran_or_run_stay(engine: Engine, connection: Connection) -> None:
    await write(connection, "f", 1)
    for seq in (2, 3, 4):
        await write(connection, "f", seq, 1)
    await write(connection, "f", 5, 4)
    await engine.finish(await engine.one())
    ran, runs = await engine.claim(2)
    await engine.finish(ran)
    assert (seqs([ran, runs]), await gates(connection, "f")) == ([2, 3], {1: None, 2: None, 3: None, 4: "slot", 5: "dependencies 4"})

    await put(connection, "f", 1, 0)
    await engine.look()

    assert await gates(connection, "f") == {1: "slot", 2: None, 3: None, 4: "dependencies 1", 5: "dependencies 4"}
    assert await statuses(connection, "f") == {1: 0, 2: 3, 3: 1, 4: 0, 5: 0}
    assert [seq for _, seq in await engine.run_all()] == [1, 4, 5]


# -> 9, -> 3


@pytest.mark.parametrize("status", [9, 3])
async def test_a_waiting_task_that_is_skipped_or_handed_in_releases_its_dependents(engine: Engine, connection: Connection, status: int) -> None:
    await write(connection, "f", 1, program="Nobody")
    await write(connection, "f", 2, 1)
    await engine.look()

    await put(connection, "f", 1, status)

    assert seqs(await engine.claim()) == [2]
    task = await row(connection, "f", 1)
    assert (task["outcome"], task["attempt"], task["finished_ts"] is None) == ("skipped" if status == 9 else None, 0, False)


@pytest.mark.parametrize("status", [9, 3])
async def test_a_failed_task_that_is_skipped_or_handed_in_releases_its_dependents(engine: Engine, connection: Connection, status: int) -> None:
    await write(connection, "f", 2, 1)
    await failed(engine, connection, "f")

    await put(connection, "f", 1, status)

    assert seqs(await engine.claim()) == [2]
    assert (await row(connection, "f", 1))["error"] is None


@pytest.mark.parametrize("status", [9, 3, 2, 0, 7])
async def test_a_running_task_taken_by_hand_rings_flower_stop_and_its_late_result_is_refused(
    engine: Engine, connection: Connection, other: Connection, status: int
) -> None:
    rung: list[str] = []
    await write(connection, "f", 1)
    await write(connection, "f", 2, 1)
    claim = await engine.one()
    await other.add_listener("flower_stop", lambda *_: rung.append("stop"))

    await put(connection, "f", 1, status)

    await other.fetchval("SELECT 1")
    assert rung == ["stop"]
    assert await engine.store.workers.gone([claim]) == {claim.claim_id}
    assert (await engine.finish(claim, value='"late"')).refused == (claim.claim_id,)
    task = await row(connection, "f", 1)
    assert (task["exec_status"], task["result"], task["worker_id"]) == (status, None, None)
    assert [kept[:2] for kept in await attempts(connection, "f")] == [(1, status)]
    assert seqs(await engine.claim()) == {9: [2], 3: [2], 2: [], 0: [1], 7: []}[status]


async def test_a_task_handed_in_has_the_result_as_written_else_null(engine: Engine, connection: Connection) -> None:
    await write(connection, "f", 1)
    await write(connection, "f", 2)

    await connection.execute("""UPDATE kr_task_stat SET exec_status = 3, result = '{"a": 1}' WHERE task_exec_seq = 1""")
    await put(connection, "f", 2, 3)

    assert [(await row(connection, "f", seq))["result"] for seq in (1, 2)] == [{"a": 1}, None]


async def test_outcome_and_error_written_together_with_the_status_stay(engine: Engine, connection: Connection) -> None:
    await write(connection, "f", 1)

    await connection.execute("UPDATE kr_task_stat SET exec_status = 9, outcome = 'cancelled'")

    assert (await row(connection, "f", 1))["outcome"] == "cancelled"


# 0/1 -> 2, 3 <-> 9


async def test_a_waiting_task_set_to_2_is_not_claimed_and_its_dependents_wait(engine: Engine, connection: Connection) -> None:
    await write(connection, "f", 1)
    await write(connection, "f", 2, 1)
    await engine.look()

    await put(connection, "f", 1, 2)

    assert await engine.claim() == []
    assert (await row(connection, "f", 1))["suspended_ts"] is not None
    assert await gates(connection, "f") == {1: None, 2: "dependencies 1"}
    await put(connection, "f", 1, 0)
    assert [seq for _, seq in await engine.run_all()] == [1, 2]


@pytest.mark.parametrize(("before", "after"), [(3, 9), (9, 3)])
async def test_between_3_and_9_nothing_else_happens(engine: Engine, connection: Connection, before: int, after: int) -> None:
    await write(connection, "f", 1, status=before)
    await write(connection, "f", 2, 1)
    await engine.finish(await engine.one())

    await put(connection, "f", 1, after)

    assert await engine.claim() == []
    assert await statuses(connection, "f") == {1: after, 2: 3}


# -> 1, other numbers


async def test_a_row_set_to_1_by_hand_goes_back_to_0_in_one_sweep(engine: Engine, connection: Connection) -> None:
    await write(connection, "f", 1, program="Nobody")
    await engine.look()
    await put(connection, "f", 1, 1)
    assert await engine.claim() == []
    await connection.execute("UPDATE kr_task_stat SET program = 'Ok'")

    assert (await engine.store.workers.sweep()).taken_back == 1

    task = await row(connection, "f", 1)
    assert (task["exec_status"], task["crashes"]) == (0, 0)
    assert (await engine.one()).attempt == 1


async def test_a_running_row_whose_claim_a_hand_took_away_goes_back_in_one_sweep(engine: Engine, connection: Connection) -> None:
    await write(connection, "f", 1)
    (claim,) = await engine.claim()
    await connection.execute("UPDATE kr_task_stat SET claim_id = NULL")

    await engine.store.workers.sweep()
    assert (await engine.finish(claim)).refused == (claim.claim_id,)

    (again,) = await engine.claim()
    await engine.finish(again)
    task = await row(connection, "f", 1)
    assert (task["exec_status"], task["crashes"]) == (3, 0)


async def test_a_row_inserted_at_1_goes_back_to_0_in_one_sweep_and_blocks_its_dependents_until_then(engine: Engine, connection: Connection) -> None:
    await write(connection, "f", 1, status=1)
    await write(connection, "f", 2, 1)
    assert await engine.claim() == []

    await engine.store.workers.sweep()

    assert [seq for _, seq in await engine.run_all()] == [1, 2]


@pytest.mark.parametrize("status", ["7", "-1", "0.5", "NaN", "1e30"])
async def test_any_other_number_stands_still_until_it_is_set_to_0(engine: Engine, connection: Connection, status: str) -> None:
    await write(connection, "f", 1, status=status)
    await write(connection, "f", 2, 1)
    await write(connection, "g", 1)

    assert [flow for flow, _ in await engine.run_all()] == ["g"]
    assert (await gates(connection, "f"))[2] == "dependencies 1"

    await put(connection, "f", 1, 0)
    assert [seq for _, seq in await engine.run_all()] == [1, 2]


# Other columns


async def test_a_changed_priority_counts_at_the_next_claim(engine: Engine, connection: Connection) -> None:
    for flow in ("a", "b", "c"):
        await write(connection, flow, 1)
    await engine.look()

    await connection.execute("UPDATE kr_task_stat SET task_priority = -1 WHERE task_flow_id = 'c'")

    assert [claim.flow_id for claim in await engine.claim(2)] == ["c", "a"]


async def test_a_later_run_after_holds_a_task_back_and_an_earlier_one_lets_it_go(engine: Engine, connection: Connection) -> None:
    await write(connection, "f", 1)
    await engine.look()

    await connection.execute("UPDATE kr_task_stat SET run_after = clock_timestamp() + interval '1 hour'")
    assert await engine.claim() == []
    assert (await gates(connection, "f"))[1] == "time"
    assert 3_590 < ((await engine.turn(look=True)).sleep_seconds or 0) <= 3_600

    await connection.execute("UPDATE kr_task_stat SET run_after = NULL")
    assert seqs(await engine.claim()) == [1]


async def test_changed_parameters_and_program_count_at_the_next_start(engine: Engine, connection: Connection) -> None:
    await write(connection, "f", 1, program="Nobody")
    await engine.look()
    assert (await gates(connection, "f"))[1] == "program Nobody"

    await connection.execute("""UPDATE kr_task_stat SET parameters = '{"a": 2}', program = 'Ok'""")

    claim = await engine.one()
    assert (claim.program, claim.parameters) == ("Ok", '{"a": 2}')


async def test_changed_limits_hold_a_task_back_or_let_it_go(engine: Engine, connection: Connection) -> None:
    await connection.execute("INSERT INTO ms_limit VALUES ('none', 0)")
    await write(connection, "f", 1)
    await engine.look()

    await connection.execute("UPDATE kr_task_stat SET limits = '{none}'")
    assert await engine.claim() == []
    assert (await gates(connection, "f"))[1] == "limit none"

    await connection.execute("UPDATE kr_task_stat SET limits = NULL")
    assert seqs(await engine.claim()) == [1]


async def test_a_changed_depends_task_exec_seq_moves_the_edge(engine: Engine, connection: Connection) -> None:
    await write(connection, "f", 1, status=2)
    await write(connection, "f", 2, status=3)
    await write(connection, "f", 3, 1)
    await engine.look()
    assert (await gates(connection, "f"))[3] == "dependencies 1"

    await connection.execute("UPDATE kr_task_stat SET depends_task_exec_seq = 2 WHERE task_exec_seq = 3")
    await engine.look()
    assert (await gates(connection, "f"))[3] == "slot"

    await connection.execute("UPDATE kr_task_stat SET depends_task_exec_seq = 1 WHERE task_exec_seq = 3")
    await engine.look()
    assert (await gates(connection, "f"))[3] == "dependencies 1"

    await connection.execute("UPDATE kr_task_stat SET depends_task_exec_seq = -1 WHERE task_exec_seq = 3")
    assert seqs(await engine.claim()) == [3]


async def test_what_changes_while_a_task_runs_leaves_its_claim_alone(engine: Engine, connection: Connection) -> None:
    await write(connection, "f", 1)
    claim = await engine.one()

    await connection.execute(
        "UPDATE kr_task_stat SET task_priority = 3, run_after = 'infinity', program = 'Other', limits = '{x}', parameters = '[]'"
    )

    assert (await engine.finish(claim)).refused == ()
    assert await statuses(connection, "f") == {1: 3}


@pytest.mark.parametrize("change", ["task_flow_id = 'g'", "task_exec_seq = 2", "task_exec_seq = 2, exec_status = 3"])
async def test_a_key_may_not_be_changed_and_a_sentence_says_so(engine: Engine, connection: Connection, change: str) -> None:
    await write(connection, "f", 1)

    with pytest.raises(asyncpg.IntegrityConstraintViolationError, match="task_flow_id and task_exec_seq may not be changed"):
        await connection.execute(f"UPDATE kr_task_stat SET {change}")

    assert seqs(await engine.claim()) == [1]


# Rows in any order and transaction


async def test_a_parent_that_is_not_there_blocks_and_counts_when_it_comes(engine: Engine, connection: Connection) -> None:
    await write(connection, "f", 2, 1)
    assert await engine.claim() == []
    assert await gates(connection, "f") == {2: "dependencies 1"}

    await write(connection, "f", 1)

    assert [seq for _, seq in await engine.run_all()] == [1, 2]


async def test_a_parent_inserted_finished_releases_its_child(engine: Engine, connection: Connection) -> None:
    await write(connection, "f", 2, 1)
    await engine.look()

    await write(connection, "f", 1, status=3)

    assert seqs(await engine.claim()) == [2]


@pytest.mark.parametrize("first", ["parent", "child"])
async def test_parent_and_child_in_two_transactions_committed_in_either_order(
    engine: Engine, connection: Connection, other: Connection, first: str
) -> None:
    parents, children = connection.transaction(), other.transaction()
    await parents.start()
    await children.start()
    await write(connection, "f", 1)
    await write(other, "f", 2, 1)
    await engine.look()

    for commit in (parents, children) if first == "parent" else (children, parents):
        await commit.commit()
        await engine.look()

    assert await gates(connection, "f") == {1: "slot", 2: "dependencies 1"}
    assert [seq for _, seq in await engine.run_all()] == [1, 2]


@pytest.mark.parametrize("first", ["status", "edge"])
@pytest.mark.parametrize("status", [3, 0])
async def test_a_parent_changes_in_one_transaction_and_its_edge_comes_in_another_committed_in_either_order(
    engine: Engine, connection: Connection, other: Connection, first: str, status: int
) -> None:
    await write(connection, "f", 1, status=2 if status == 3 else 3)
    await write(connection, "f", 2, program="Nobody")
    await engine.look()
    change, insert = connection.transaction(), other.transaction()
    await change.start()
    await insert.start()
    await put(connection, "f", 1, status)
    await edge(other, "f", 1, 2)
    await engine.look()

    for commit in (change, insert) if first == "status" else (insert, change):
        await commit.commit()
        await engine.look()

    assert (await gates(connection, "f"))[2] == {3: "program Nobody", 0: "dependencies 1"}[status]


@pytest.mark.parametrize("first", ["engine", "edge"])
async def test_an_edge_that_comes_while_its_parent_ends_is_not_lost(engine: Engine, connection: Connection, other: Connection, first: str) -> None:
    await write(connection, "f", 1)
    claim = await engine.one()
    await write(connection, "f", 2, program="Nobody")
    await engine.look()
    insert = other.transaction()
    await insert.start()
    await edge(other, "f", 1, 2)

    if first == "engine":
        await engine.finish(claim)
        await insert.commit()
    else:
        await insert.commit()
        await engine.finish(claim)
    await engine.look()

    assert (await gates(connection, "f"))[2] == "program Nobody"


async def test_deleting_a_done_row_changes_nothing(engine: Engine, connection: Connection) -> None:
    await write(connection, "f", 1, status=3)
    await write(connection, "f", 2, status=1)
    await write(connection, "f", 3, 1)
    await edge(connection, "f", 2, 3)
    await engine.look()

    await connection.execute("DELETE FROM kr_task_stat WHERE task_exec_seq = 1")
    await engine.look()
    assert (await gates(connection, "f"))[3] == "dependencies 2"
    await put(connection, "f", 2, 3)

    assert seqs(await engine.claim()) == [3]


async def test_deleting_an_unfinished_row_leaves_its_dependents_blocked_until_it_comes_back(engine: Engine, connection: Connection) -> None:
    await write(connection, "f", 1)
    await write(connection, "f", 2, 1)
    await engine.look()

    await connection.execute("DELETE FROM kr_task_stat WHERE task_exec_seq = 1")

    assert await engine.claim() == []
    assert await gates(connection, "f") == {2: "dependencies 1"}
    await write(connection, "f", 1)
    assert [seq for _, seq in await engine.run_all()] == [1, 2]


async def test_deleting_a_running_row_rings_flower_stop_and_its_late_result_is_refused(
    engine: Engine, connection: Connection, other: Connection
) -> None:
    rung: list[str] = []
    await write(connection, "f", 1)
    claim = await engine.one()
    await other.add_listener("flower_stop", lambda *_: rung.append("stop"))

    await connection.execute("DELETE FROM kr_task_stat")

    await other.fetchval("SELECT 1")
    assert rung == ["stop"]
    assert (await engine.finish(claim)).refused == (claim.claim_id,)


async def test_deleting_the_rows_of_a_flow_takes_edges_attempts_and_the_flow_itself(engine: Engine, connection: Connection) -> None:
    await failed(engine, connection, "f")
    await put(connection, "f", 1, 0)
    await write(connection, "f", 2, 1)
    await write(connection, "g", 1)
    await engine.look()

    await connection.execute("DELETE FROM kr_task_stat WHERE task_flow_id = 'f'")
    await engine.look()

    for table in ("kr_task_edge", "kr_task_attempt", "kr_flow_stat"):
        left = {found[0] for found in await connection.fetch(f"SELECT task_flow_id FROM {table}")}
        assert left <= {"g", "f"} - ({"f"} if table != "kr_task_edge" else set())
    assert [found["flow_id"] for found in await connection.fetch("SELECT flow_id FROM flower_flows")] == ["g"]


async def test_truncate_cleans_up_and_the_next_rows_run(engine: Engine, connection: Connection) -> None:
    await write(connection, "f", 1)
    await write(connection, "f", 2, 1)
    claim = await engine.one()

    await connection.execute("TRUNCATE kr_task_stat")

    assert (await engine.finish(claim)).refused == (claim.claim_id,)
    assert [await connection.fetchval(f"SELECT count(*) FROM {table}") for table in ("kr_task_edge", "kr_flow_stat", "kr_recount")] == [0, 0, 0]
    await write(connection, "f", 1)
    await write(connection, "f", 2, 1)
    assert [seq for _, seq in await engine.run_all()] == [1, 2]


# Circles


async def circle(connection: Connection, flow: str, seq: object) -> str:
    task = await row(connection, flow, seq)
    assert (task["exec_status"], task["outcome"], task["error"]["type"]) == (2, "invalid", "Circle")
    return str(task["error"]["message"])


async def test_a_row_that_depends_on_itself_stops_itself_with_a_message_and_nothing_else(engine: Engine, connection: Connection) -> None:
    await write(connection, "f", 1, 1)
    await write(connection, "f", 2)
    await write(connection, "g", 1)

    assert sorted(await engine.run_all()) == [("f", 2), ("g", 1)]

    assert "task 1 waits for task 1" in await circle(connection, "f", 1)


async def test_a_circle_stops_one_row_and_runs_when_an_edge_is_gone(engine: Engine, connection: Connection) -> None:
    await write(connection, "f", 1, 3)
    await write(connection, "f", 2, 1)
    await write(connection, "f", 3, 2)
    await write(connection, "f", 4)

    assert await engine.run_all() == [("f", 4)]
    assert await statuses(connection, "f") == {1: 2, 2: 0, 3: 0, 4: 3}
    await circle(connection, "f", 1)

    await connection.execute("DELETE FROM kr_task_edge WHERE task_exec_seq = 1")
    await put(connection, "f", 1, 0)
    assert [seq for _, seq in await engine.run_all()] == [1, 2, 3]


async def test_of_several_circles_in_one_flow_each_stops_its_lowest_row(engine: Engine, connection: Connection) -> None:
    async with connection.transaction():
        for seq, after in ((1, 1), (2, 2), (3, 5), (4, 3), (5, 4), (6, 7), (7, 6), (8, 7)):
            await write(connection, "f", seq, after)
        await edge(connection, "f", 5, 6)

    await engine.look()

    assert await statuses(connection, "f") == {1: 2, 2: 2, 3: 2, 4: 0, 5: 0, 6: 2, 7: 0, 8: 0}


async def test_a_circle_closed_later_by_an_inserted_edge_stops_one_row(engine: Engine, connection: Connection) -> None:
    await write(connection, "f", 1, program="Nobody")
    await write(connection, "f", 2, 1)
    await write(connection, "f", 3, 2)
    await engine.look()

    await edge(connection, "f", 3, 1)
    await engine.look()

    assert await statuses(connection, "f") == {1: 2, 2: 0, 3: 0}
    await circle(connection, "f", 1)


async def test_a_circle_of_edges_inserted_together_stops_one_row(engine: Engine, connection: Connection) -> None:
    for seq in (1, 2, 3):
        await write(connection, "f", seq, program="Nobody")
    await engine.look()

    async with connection.transaction():
        for parent, child in ((1, 2), (2, 3), (3, 1)):
            await edge(connection, "f", parent, child)
    await engine.look()

    assert sorted((await statuses(connection, "f")).values()) == [0, 0, 2]


async def test_a_circle_closed_behind_a_parent_that_still_runs_is_found(engine: Engine, connection: Connection) -> None:
    await write(connection, "f", 1)
    claim = await engine.one()
    await write(connection, "f", 2, 4)
    await write(connection, "f", 3, 1)
    await write(connection, "f", 4, 3)
    await engine.look()

    await edge(connection, "f", 2, 3)
    await engine.look()
    await engine.finish(claim)
    await engine.look()

    assert await statuses(connection, "f") == {1: 3, 2: 2, 3: 0, 4: 0}
    assert "task 2 waits for task 4" in await circle(connection, "f", 2)


async def test_a_circle_closed_while_one_of_it_runs_is_found_when_that_one_is_tried_again(engine: Engine, connection: Connection) -> None:
    await write(connection, "f", 2, 3)
    await write(connection, "f", 3)
    claim = await engine.one()
    await edge(connection, "f", 2, 3)
    await engine.look()
    assert await statuses(connection, "f") == {2: 0, 3: 1}

    await engine.fail(claim, retry_after=0)
    await engine.look()

    assert sorted((await statuses(connection, "f")).values()) == [0, 2]


# Edges


async def test_edges_inserted_and_deleted_by_hand_count(engine: Engine, connection: Connection) -> None:
    await write(connection, "f", 1, status=2)
    await write(connection, "f", 2, status=2)
    await write(connection, "f", 3)
    await engine.look()

    await edge(connection, "f", 1, 3)
    await edge(connection, "f", 2, 3)
    await engine.look()
    assert (await gates(connection, "f"))[3] == "dependencies 1"

    await connection.execute("DELETE FROM kr_task_edge WHERE parent_seq = 1")
    await engine.look()
    assert (await gates(connection, "f"))[3] == "dependencies 2"

    await connection.execute("UPDATE kr_task_edge SET counts = '{2}'")
    await engine.look()
    assert (await gates(connection, "f"))[3] == "slot"

    await connection.execute("UPDATE kr_task_edge SET parent_seq = 8")
    await engine.look()
    assert (await gates(connection, "f"))[3] == "dependencies 8"


async def test_an_edge_to_a_task_that_has_started_changes_nothing(engine: Engine, connection: Connection) -> None:
    await write(connection, "f", 1, status=2)
    await write(connection, "f", 2)
    claim = await engine.one()

    await edge(connection, "f", 1, 2)
    await engine.look()
    await engine.finish(claim)

    assert await statuses(connection, "f") == {1: 2, 2: 3}


# Ways in


async def test_an_upsert_by_a_user_is_a_change_by_hand(engine: Engine, connection: Connection) -> None:
    await failed(engine, connection, "f")
    upsert = """
        INSERT INTO kr_task_stat (task_flow_id, task_exec_seq, depends_task_exec_seq, task_id, task_seq, exec_status, parameters, program)
        VALUES ('f', $1, -1, 'by_hand', 1, 0, '{"a": 5}', 'Ok')
        ON CONFLICT (task_flow_id, task_exec_seq) DO UPDATE SET exec_status = excluded.exec_status, parameters = excluded.parameters
    """

    await connection.execute(upsert, 1)
    await connection.execute(upsert, 2)

    claims = await engine.claim()
    assert [(claim.seq, claim.attempt, claim.parameters) for claim in claims] == [(1, 2, '{"a": 5}'), (2, 1, '{"a": 5}')]


async def test_a_users_own_trigger_may_finish_a_task(engine: Engine, connection: Connection) -> None:
    await connection.execute("""
        CREATE TABLE approval (flow text, seq numeric);
        CREATE FUNCTION approved() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            UPDATE kr_task_stat SET exec_status = 3, result = '"approved"' WHERE task_flow_id = NEW.flow AND task_exec_seq = NEW.seq;
            RETURN NULL;
        END $$;
        CREATE TRIGGER approved AFTER INSERT ON approval FOR EACH ROW EXECUTE FUNCTION approved();
    """)
    await write(connection, "f", 1, status=2)
    await write(connection, "f", 2, 1)
    await engine.look()

    await connection.execute("INSERT INTO approval VALUES ('f', 1)")

    assert seqs(await engine.claim()) == [2]
    assert (await row(connection, "f", 1))["result"] == "approved"


async def test_a_users_trigger_on_the_tasks_may_change_another_row_while_the_engine_records(engine: Engine, connection: Connection) -> None:
    await connection.execute("""
        CREATE FUNCTION cascade() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            UPDATE kr_task_stat SET exec_status = 9 WHERE task_flow_id = NEW.task_flow_id AND task_exec_seq = NEW.task_exec_seq + 1 AND exec_status = 0;
            RETURN NULL;
        END $$;
        CREATE TRIGGER cascade AFTER UPDATE ON kr_task_stat FOR EACH ROW WHEN (NEW.exec_status = 3 AND OLD.exec_status = 1) EXECUTE FUNCTION cascade();
    """)
    await write(connection, "f", 1)
    await write(connection, "f", 2, 1)
    await write(connection, "f", 3, 2)

    order = await engine.run_all()

    assert [seq for _, seq in order] == [1, 3]
    assert await statuses(connection, "f") == {1: 3, 2: 9, 3: 3}
    assert (await row(connection, "f", 2))["outcome"] == "skipped"


async def test_a_role_that_may_only_insert_and_update_the_two_tables_can_use_them(engine: Engine, connection: Connection, other: Connection) -> None:
    role = f"flower_clerk_{uuid4().hex[:8]}"
    await connection.execute(f"""
        CREATE ROLE {role};
        GRANT SELECT, INSERT, UPDATE ON kr_task_stat, ms_task_definition TO {role};
    """)
    await other.execute(f"SET ROLE {role}")
    try:
        await other.execute("INSERT INTO ms_task_definition (task_id, task_seq, program) VALUES ('w', 1, 'Ok'), ('w', 2, 'Ok')")
        for seq in (1, 2):
            await write(other, "f", seq, seq - 1 or -1, program=None, task_id="w", task_seq=Decimal(seq))
        claim = await engine.one()
        await put(other, "f", 1, 9)
        assert (await engine.finish(claim)).refused
        assert await engine.run_all() == [("f", 2)]
        await put(other, "f", 2, 0)
        assert await engine.run_all() == [("f", 2)]
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await other.execute("DELETE FROM kr_recount")
    finally:
        await other.execute("RESET ROLE")
        await connection.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")


async def test_an_empty_search_path_does_not_matter_to_any_trigger(engine: Engine, connection: Connection) -> None:
    await connection.execute("""
        SET search_path = '';
        INSERT INTO public.ms_task_definition (task_id, task_seq, program) VALUES ('w', 1, 'Ok');
        INSERT INTO public.kr_task_stat (task_flow_id, task_exec_seq, depends_task_exec_seq, task_id, task_seq, exec_status, parameters)
            VALUES ('f', 1, -1, 'w', 1, 2, '{}'), ('f', 2, 1, 'w', 1, 0, '{}'), ('f', 3, 2, 'w', 1, 0, '{}');
        UPDATE public.kr_task_stat SET exec_status = 3 WHERE task_exec_seq = 1;
        UPDATE public.kr_task_stat SET depends_task_exec_seq = 1 WHERE task_exec_seq = 3;
        INSERT INTO public.kr_task_edge (task_flow_id, parent_seq, task_exec_seq) VALUES ('f', 1, 2) ON CONFLICT DO NOTHING;
        DELETE FROM public.kr_task_stat WHERE task_exec_seq = 1;
        INSERT INTO public.ms_limit VALUES ('a', 1);
        INSERT INTO public.ms_pause (task_id) VALUES ('z');
        SET search_path = public;
    """)

    assert sorted(await engine.run_all()) == [("f", 2), ("f", 3)]


async def test_rows_that_came_without_triggers_are_found_and_run_in_their_order(engine: Engine, connection: Connection) -> None:
    await connection.execute("""
        INSERT INTO ms_task_definition (task_id, task_seq, program, name, limits) VALUES ('w', 1, 'Ok', 'first', NULL), ('w', 2, 'Ok', 'second', '{a}');
        SET session_replication_role = replica;
        INSERT INTO kr_task_stat (task_flow_id, task_exec_seq, depends_task_exec_seq, task_id, task_seq, exec_status, parameters)
            VALUES ('f', 2, 1, 'w', 2, 0, '{}'), ('f', 1, -1, 'w', 1, 0, '{}');
        SET session_replication_role = DEFAULT;
    """)

    assert [seq for _, seq in await engine.run_all()] == [1, 2]

    task = await row(connection, "f", 2)
    assert (task["name"], task["program"], task["limits"], task["registered_ts"] is None) == ("second", "Ok", ["a"], False)
    assert [found["flow_id"] for found in await connection.fetch("SELECT flow_id FROM flower_flows")] == ["f"]


async def test_an_edge_deleted_by_hand_does_not_come_back(engine: Engine, connection: Connection) -> None:
    await write(connection, "f", 1, status=2)
    await write(connection, "f", 2, 1)
    await connection.execute("DELETE FROM kr_task_edge")
    await put(connection, "f", 2, 2)
    await put(connection, "f", 2, 0)

    assert seqs(await engine.claim()) == [2]


async def test_copy_with_a_column_list_is_like_an_insert(engine: Engine, connection: Connection) -> None:
    columns = ["task_flow_id", "task_exec_seq", "depends_task_exec_seq", "task_id", "task_seq", "exec_status", "parameters", "program"]
    records = [("f", Decimal(seq), Decimal(seq - 1 or -1), "by_hand", Decimal(1), Decimal(0), "{}", "Ok") for seq in (3, 2, 1)]

    await connection.copy_records_to_table("kr_task_stat", records=records, columns=columns)

    assert [seq for _, seq in await engine.run_all()] == [1, 2, 3]
    assert (await row(connection, "f", 1))["registered_ts"] is not None


# Odd values


@pytest.mark.parametrize("parameters", ["[]", "null", "7", '"text"', '{"a": {"b": [1, {"c": null}]}}', r'{"nul": "\u0000"}', '{"n": 1e400}'])
async def test_parameters_of_any_form_are_claimed_as_they_stand(engine: Engine, connection: Connection, parameters: str) -> None:
    await write(connection, "f", 1, parameters=parameters)

    claim = await engine.one()

    assert claim.parameters == parameters
    await engine.finish(claim)


async def test_a_row_whose_program_is_written_keeps_it_also_without_a_definition_or_a_name(engine: Engine, connection: Connection) -> None:
    await write(connection, "f", 1, limits=["a"])

    task = await row(connection, "f", 1)

    assert (task["program"], task["name"], task["limits"]) == ("Ok", "Ok", ["a"])


async def test_a_row_without_a_program_whose_step_is_gone_stops_itself_with_a_message_and_nothing_else(
    engine: Engine, connection: Connection
) -> None:
    await write(connection, "f", 1, program=None)
    await write(connection, "f", 2)

    assert await engine.run_all() == [("f", 2)]

    task = await row(connection, "f", 1)
    assert (task["exec_status"], task["outcome"], task["error"]["type"]) == (2, "invalid", "StepGone")
    await connection.execute("INSERT INTO ms_task_definition (task_id, task_seq, program) VALUES ('by_hand', 1, 'Ok')")
    await put(connection, "f", 1, 0)
    assert await engine.run_all() == [("f", 1)]


ODD_TIMES = ["infinity", "-infinity", "20000-01-01", "294276-12-31 23:59:59", "4713-01-01 BC"]


@pytest.mark.parametrize("column", ["registered_ts", "started_ts", "finished_ts", "suspended_ts", "run_after"])
async def test_no_time_that_a_hand_can_write_breaks_a_cycle(engine: Engine, connection: Connection, column: str) -> None:
    for time in ODD_TIMES:
        await write(connection, time, 1)
        await connection.execute(f"UPDATE kr_task_stat SET {column} = '{time}' WHERE task_flow_id = '{time}'")
        await connection.execute(
            f"""INSERT INTO kr_task_stat (task_flow_id, task_exec_seq, depends_task_exec_seq, task_id, task_seq, exec_status, parameters, program, {column})
                VALUES ('{time}', 2, -1, 'by_hand', 1, 0, '{{}}', 'Ok', '{time}')"""
        )
    await write(connection, "f", 1)

    ran = {flow for flow, _ in await engine.run_all()}

    assert ran == {"f", "-infinity", "4713-01-01 BC"} | (set() if column == "run_after" else set(ODD_TIMES))
    assert (await engine.store.workers.probe(engine.worker_id, "")).work is False
    await engine.store.workers.sweep()
    for time in ODD_TIMES:
        assert len(await engine.store.flows.tasks(time)) == 2
        await engine.store.flows.get(time)
        await engine.store.flows.why(time)


async def test_no_number_that_a_hand_can_write_breaks_a_cycle(engine: Engine, connection: Connection) -> None:
    together = datetime.now(UTC) - timedelta(hours=1)
    for seq in ("NaN", "Infinity", "-Infinity", "1.5", "-3", "1e100", "0"):
        await write(connection, "f", seq, registered_ts=together)
        await write(connection, "g", seq, "NaN", registered_ts=together, task_seq=Decimal(seq))
    await write(connection, "h", "NaN", "NaN", registered_ts=together)

    order = await engine.run_all()

    assert {str(seq) for flow, seq in order if flow == "f"} == {"NaN", "Infinity", "-Infinity", "1.5", "-3", "1E+100", "0"}
    assert len([flow for flow, _ in order if flow == "g"]) == 0
    errors = await connection.fetch("SELECT task_flow_id, task_exec_seq FROM kr_task_stat WHERE exec_status = 2")
    assert {(found[0], str(found[1])) for found in errors} == {("g", "NaN"), ("h", "NaN")}
    for flow in ("f", "g", "h"):
        await engine.store.flows.get(flow)
        await engine.store.flows.tasks(flow)
        await engine.store.flows.why(flow)


@pytest.mark.parametrize("limits", ["{NULL}", "{}", "{{a,b}}", "{a,a}", "{a,NULL}"])
async def test_odd_limits_do_not_hold_a_task_for_ever(engine: Engine, connection: Connection, limits: str) -> None:
    await connection.execute("INSERT INTO ms_limit VALUES ('a', 1), ('b', 1)")
    await connection.execute(
        f"""INSERT INTO kr_task_stat (task_flow_id, task_exec_seq, depends_task_exec_seq, task_id, task_seq, exec_status, parameters, program, limits)
            SELECT 'f', g, -1, 'by_hand', 1, 0, '{{}}', 'Ok', '{limits}' FROM generate_series(1, 3) g"""
    )

    assert [seq for _, seq in await engine.run_all()] == [1, 2, 3]
    assert await connection.fetchval("SELECT count(*) FROM kr_recount") == 0


@pytest.mark.timeout(60)
async def test_50_000_rows_in_one_statement_stay_below_five_seconds_and_all_end(engine: Engine, connection: Connection) -> None:
    began = datetime.now(UTC)
    await connection.execute("""
        INSERT INTO kr_task_stat (task_flow_id, task_exec_seq, depends_task_exec_seq, task_id, task_seq, exec_status, parameters, program)
        SELECT 'f' || g / 10, g % 10 + 1, CASE WHEN g % 10 = 0 THEN -1 ELSE g % 10 END, 'by_hand', 1, 2, '{}', 'Ok' FROM generate_series(0, 49999) g
    """)
    inserted = datetime.now(UTC)
    await connection.execute("UPDATE kr_task_stat SET exec_status = 0")
    updated = datetime.now(UTC)

    assert max(inserted - began, updated - inserted) < timedelta(seconds=5)
    engine.slots = 1_000
    assert len(await engine.run_all()) == 50_000
    assert await connection.fetchval("SELECT count(*) FROM kr_task_stat WHERE exec_status = 3") == 50_000


async def test_the_seeds_positional_inserts_run_unchanged(engine: Engine, connection: Connection) -> None:
    await connection.execute("DELETE FROM ms_task_definition")
    await connection.execute("""
        INSERT INTO ms_task_definition VALUES ('example', 1, 'Ok', 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
        INSERT INTO ms_task_definition VALUES ('example', 2, 'Ok', 0, 'SLEEP_TIME_SECOND', '3', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
        INSERT INTO kr_task_stat VALUES ('by-hand', 1, -1, 'example', 1, 0, 0, '{}', now(), NULL, NULL, NULL);
        INSERT INTO kr_task_stat VALUES ('by-hand', 2, 1, 'example', 2, 0, 0, '{"SLEEP_TIME_SECOND": "3"}', NULL, NULL, NULL, NULL);
    """)
    flow = await connection.fetchval("SELECT flower_register('example')")

    order = await engine.run_all()

    assert sorted(order) == sorted([("by-hand", Decimal(1)), ("by-hand", Decimal(2)), (flow, Decimal(1)), (flow, Decimal(2))])
    assert (await row(connection, flow, 2))["parameters"] == '{"SLEEP_TIME_SECOND": "3"}'
    assert isinstance((await engine.store.flows.tasks(flow))[0].worker, UUID | None)


@pytest.mark.timeout(60)
async def test_a_hand_written_chain_of_1_500_in_mixed_numbers_and_a_circle_at_its_end_keep_no_cycle_busy_for_long(
    engine: Engine, connection: Connection
) -> None:
    await write(connection, "g", 1)
    await connection.execute("""
        SELECT setseed(0.5);
        CREATE TABLE place AS SELECT row_number() OVER (ORDER BY random())::integer AS n, g AS seq FROM generate_series(1, 1500) g;
        INSERT INTO kr_task_stat (task_flow_id, task_exec_seq, depends_task_exec_seq, task_id, task_seq, exec_status, parameters, program)
            SELECT 'f', p.seq, coalesce(b.seq, -1), 'by_hand', 1, 0, '{}', 'Ok' FROM place p LEFT JOIN place b ON b.n = p.n - 1;
        INSERT INTO kr_task_edge (task_flow_id, parent_seq, task_exec_seq)
            SELECT 'f', p.seq, b.seq FROM place p, place b WHERE p.n = 1500 AND b.n = 1000;
    """)
    longest, claimed = timedelta(), 0
    for _ in range(1_000):
        began = datetime.now(UTC)
        answer = await engine.turn(slots=10, look=True)
        longest, claimed = max(longest, datetime.now(UTC) - began), claimed + len(answer.claimed)
        if answer.sleep_seconds is None:
            break

    assert (claimed, longest < timedelta(seconds=3)) == (2, True)
    assert await connection.fetchval("SELECT count(*) FROM kr_task_stat WHERE exec_status = 2") == 1
