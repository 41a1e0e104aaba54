"""No more at once than the limits say, of flows and of tasks, whatever happens to the processes: by a ledger outside of the database."""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from flower.database.pool import Connection
from tests.engine.living import until
from tests.engine.processes import SHORT, Process
from tests.faults.ledger import VARIABLE, Entry, Ledger

PROCESSES, SLOTS, FLOWS, KILLS = 8, 3, 60, 10

# Which fault found something is not drawn again: the seed is part of the test.
DICE = random.Random(7)

MODULE = """
import asyncio, os, random
from pathlib import Path
from flower import context, task
from tests.faults.ledger import VARIABLE, Ledger

ledger = Ledger(Path(os.environ[VARIABLE]))

@task
async def note(tenant: int = 0) -> None:
    me = context()
    with ledger.noting(me.flow_id, int(me.seq), me.attempt):
        await asyncio.sleep(random.uniform(0.02, 0.12))
"""


class Crew:
    """Processes on the database at *url*, whose tasks write into *ledger*."""

    def __init__(self, folder: Path, url: str, ledger: Path) -> None:
        self._folder, self._url, self._settings = folder, url, SHORT | {VARIABLE: str(ledger)}
        (folder / "noting.py").write_text(MODULE)
        self.processes: list[Process] = []

    def add(self) -> None:
        arguments = ("--no-http", "--concurrency", "4")
        self.processes.append(Process(self._folder, self._url, *arguments, module="noting.py", settings=self._settings))

    def kill_one(self) -> None:
        """Kill one that runs, and start another."""
        DICE.choice([process for process in self.processes if process.is_running]).send(signal.SIGKILL)
        self.add()


@contextmanager
def crew(folder: Path, url: str, ledger: Path) -> Iterator[Crew]:
    made = Crew(folder, url, ledger)
    try:
        for _ in range(PROCESSES):
            made.add()
        yield made
    finally:
        for process in made.processes:
            process.kill()


def most_at_once(entries: Iterable[Entry], of: Callable[[Entry], object] = lambda entry: entry.flow) -> int:
    """Return how many flows (or what *of* says) were in progress at once, each from the first entry about it to its last."""
    times: dict[object, list[float]] = {}
    for entry in entries:
        times.setdefault(of(entry), []).append(entry.at)
    events = sorted([(min(at), 1) for at in times.values()] + [(max(at), -1) for at in times.values()])
    most = now = 0
    for _, step in events:
        now += step
        most = max(most, now)
    return most


async def _storm(folder: Path, url: str, ledger: Ledger, connection: Connection) -> None:
    """Run what is there in eight processes, of which one after the other is killed, until all of it has ended."""
    with crew(folder, url, ledger.path) as those:
        for process in those.processes[:PROCESSES]:
            await process.begun()
        for _ in range(KILLS):
            await asyncio.sleep(DICE.uniform(0.1, 0.6))
            those.kill_one()

        # what was lost with three workers is tried again
        async def all_ended() -> bool:
            await connection.execute("UPDATE kr_task_stat SET exec_status = 0 WHERE exec_status = 2")
            return bool(await connection.fetchval("SELECT count(*) = 0 FROM kr_task_stat WHERE exec_status <> 3"))

        await until(all_ended, seconds=60)


@pytest.mark.timeout(120)
async def test_8_processes_that_are_killed_at_random_never_have_more_flows_at_once_and_leave_nothing_stuck(
    tmp_path: Path, database_url: str, connection: Connection
) -> None:
    ledger = Ledger(tmp_path / "ledger")
    await connection.execute("""
        INSERT INTO ms_task_definition (task_id, task_seq, program) SELECT 'noted', n, 'note' FROM generate_series(1, 3) n;
    """)
    await connection.execute("INSERT INTO ms_limit (name, slots) VALUES ('workflow:noted', $1)", SLOTS)
    await connection.execute(
        """SELECT flower_register('noted', '{}', jsonb_build_object('unique', jsonb_build_object('key', 'k' || n % 10, 'policy', 'queue')))
            FROM generate_series(1, $1::integer) n""",
        FLOWS,
    )
    await _storm(tmp_path, database_url, ledger, connection)

    entries = ledger.entries()
    assert len({entry.flow for entry in entries}) == FLOWS
    assert most_at_once(entries) == SLOTS, "never more, and all places are used"
    by_key = await connection.fetch("SELECT unique_key, array_agg(task_flow_id) AS flows FROM kr_flow_stat GROUP BY 1")
    assert {most_at_once(entry for entry in entries if entry.flow in row["flows"]) for row in by_key} == {1}
    assert await connection.fetchval("SELECT count(*) FROM kr_flow_inside WHERE kr_goes_on(task_flow_id)") == 0


@pytest.mark.timeout(120)
async def test_8_processes_that_are_killed_at_random_never_run_more_tasks_of_a_limit_at_once_and_leave_nothing_stuck(
    tmp_path: Path, database_url: str, connection: Connection
) -> None:
    ledger = Ledger(tmp_path / "ledger")
    await connection.execute("""
        INSERT INTO ms_limit (name, slots) VALUES ('api', 5), ('tenant:*', 2);
        INSERT INTO ms_task_definition (task_id, task_seq, program, depends_on, limits) SELECT 'noted', n, 'note', '{}', ARRAY['api', 'tenant:{tenant}'] FROM generate_series(1, 3) n;
    """)
    await connection.execute("SELECT flower_register('noted', jsonb_build_object('tenant', n % 7)) FROM generate_series(1, $1::integer) n", FLOWS)
    await _storm(tmp_path, database_url, ledger, connection)

    def attempt(entry: Entry) -> object:
        return entry.flow, entry.seq, entry.attempt

    entries = ledger.entries()
    assert len({(entry.flow, entry.seq) for entry in entries}) == FLOWS * 3
    assert most_at_once(entries, attempt) == 5, "never more, and all places are used"
    by_key = await connection.fetch("SELECT limits[2] AS name, array_agg(task_flow_id) AS flows FROM kr_task_stat GROUP BY 1")
    assert len(by_key) == 7
    assert max(most_at_once([entry for entry in entries if entry.flow in row["flows"]], attempt) for row in by_key) == 2
