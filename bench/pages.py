"""How long the server takes for each page, and for each kind of list of flows, beside a million flows that finished.

What a list seeks is older than those, and the flow that is shown has ten thousand tasks.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from statistics import median
from time import perf_counter
from urllib.parse import urlencode

from bench.ground import Ground, session
from bench.report import Figure
from bench.served import serving
from bench.workflows import statement
from flower.database.pool import Connection

_TIMES = 20
_PATIENCE_SECONDS = 3.0
_BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
_APART = timedelta(seconds=20)

_LISTS: dict[str, dict[str, object]] = {
    "the newest": {},
    "finished": {"status": "finish"},
    "ignored (none is)": {"status": "ignore"},
    "skipped (none is)": {"outcome": "skipped"},
    "of a workflow with one": {"workflow": "rare"},
    "running (100)": {"status": "running"},
    "waiting (the 5 oldest)": {"status": "wait"},
    "failed (the 10,000 oldest)": {"outcome": "failed"},
    "failed, with a text that none has": {"outcome": "failed", "text": "no such thing"},
    "with a text that none has": {"text": "no such thing"},
    "with a text that each hundredth has": {"text": '"top": 77'},
    "of an hour deep in the past": {"since": _BEGIN + timedelta(hours=30), "until": _BEGIN + timedelta(hours=31)},
    "ignored (none is), up to a day in the past": {"status": "ignore", "until": _BEGIN + timedelta(days=3)},
}
_LISTS_BESIDE_MANY: dict[str, dict[str, object]] = {
    "waiting (the 100,000 oldest)": {"status": "wait"},
    "failed (110,000, all old)": {"outcome": "failed"},
    "suspended (110,000, all old)": {"status": "suspend"},
}


_FAN = 10_000
_PAGES = {
    "overview": "/",
    "flows": "/flows",
    "flows, failed": "/flows?status=failed",
    "flows, with a text that none has": "/flows?text=no+such+thing",
    "a flow of 10,000 tasks as a graph": "/flows/fan",
    "a flow of 10,000 tasks as a timeline": "/flows/fan?view=timeline",
    "a flow of 10,000 tasks as a table": "/flows/fan?view=table",
    "a flow of 10,000 tasks, its last one": f"/flows/fan?task={_FAN}",
    "a flow of two tasks": "/flows/{oldest}",
    "workflows": "/workflows",
    "a workflow with a million flows": "/workflows/usual",
    "workers": "/workers",
}
# Beside 100 limits, one of them with 20,000 flows that wait for it, 100 pauses, and 100 schedules with 500 flows each.
_WAIT_AT_A_LIMIT = 20_000
_CONTROL_PAGES = {
    "limits": "/limits",
    "schedules": "/schedules",
    "a schedule": "/schedules/schedule-00042",
    "a workflow with schedules": "/workflows/usual",
}


async def measure(ground: Ground) -> AsyncIterator[Figure]:
    """Yield the time of each list and of each page, each time with the longest of them."""
    many = 100_000 if ground.is_quick else 1_000_000
    figures = []
    async with ground.database("pages") as url, session(url) as connection:
        await _fill(connection, many)
        oldest = await connection.fetchval("SELECT min(task_flow_id) FROM kr_flow_stat")
        # Other work fits beside it: the worker knows none of these programs.
        async with serving("bench.tasks", database=url, folder=ground.folder, http=True) as served:
            for what, wanted in (_LISTS | {"by the beginning of an id": {"text": oldest[:13]}}).items():
                figures.append(await _figure(served.port, what, wanted, many))
                yield figures[-1]
            pages = [await _page(served.port, what, path.format(oldest=oldest), many) for what, path in _PAGES.items()]
            for figure in pages:
                yield figure
            await _add(connection, 100_000, "waiting", _BEGIN - timedelta(days=2000), 0, "program")
            await _add(connection, 100_000, "failing", _BEGIN - timedelta(days=2000), 2, outcome="failed")
            await connection.execute("VACUUM ANALYZE")
            for what, wanted in _LISTS_BESIDE_MANY.items():
                figures.append(await _figure(served.port, what, wanted, many))
                yield figures[-1]
            await _add(connection, _WAIT_AT_A_LIMIT, "queued", _BEGIN - timedelta(days=3000), 0, "limit")
            async with connection.transaction():
                await connection.execute("SET LOCAL session_replication_role = replica")
                await connection.execute(statement("control"), _WAIT_AT_A_LIMIT)
            await connection.execute("VACUUM ANALYZE")
            for what, path in _CONTROL_PAGES.items():
                pages.append(await _page(served.port, what, path, many))
                yield pages[-1]
    slowest = max(figures, key=lambda figure: figure.value)
    yield Figure("list of flows: the slowest of these", slowest.value, "ms", "page", note=slowest.what.removeprefix("list of flows: "))
    slowest = max(pages, key=lambda figure: figure.value)
    yield Figure("page: the slowest of these", slowest.value, "ms", "page", note=slowest.what.removeprefix("page: "))


async def _fill(connection: Connection, many: int) -> None:
    await connection.execute("""
        INSERT INTO kr_worker (worker_id, host, pid, version, slots, programs, beat_ts, lease_until)
            VALUES ('00000000-0000-0000-0000-000000000001', 'elsewhere', 1, '', 100, '{none}', 'infinity', 'infinity')
    """)
    for part in range(10):
        await _add(connection, many // 10, "usual", _BEGIN + part * many // 10 * _APART, 3)
    await _add(connection, 1, "rare", _BEGIN - timedelta(days=1000), 3)
    await _add(connection, 5, "waiting", _BEGIN - timedelta(days=900), 0, "program")
    await _add(connection, 10_000, "failing", _BEGIN - timedelta(days=800), 2, outcome="failed")
    await _add(connection, 100, "running", _BEGIN - timedelta(days=1), 1)
    async with connection.transaction():
        await connection.execute("SET LOCAL session_replication_role = replica")
        await connection.execute(statement("fan"), _FAN)
    await connection.execute("INSERT INTO ms_task_definition (task_id, task_seq, program) VALUES ('usual', 1, 'absent'), ('usual', 2, 'absent')")
    await connection.execute("VACUUM ANALYZE")
    await connection.execute("CHECKPOINT")


async def _add(
    connection: Connection, count: int, workflow: str, begin: datetime, status: int, gate: str | None = None, outcome: str | None = None
) -> None:
    async with connection.transaction():
        await connection.execute("SET LOCAL session_replication_role = replica")
        await connection.execute(statement("history"), count, workflow, begin, _APART, status, gate, outcome)


async def _figure(port: int | None, what: str, wanted: Mapping[str, object], flows: int) -> Figure:
    query = "?" + urlencode({name: value.isoformat() if isinstance(value, datetime) else value for name, value in wanted.items()}) if wanted else ""
    taken, text = await asyncio.to_thread(_ask, port, f"/api/flows{query}")
    found = len(json.loads(text)["items"])
    note = f"GET /api/flows{query} beside {flows:,} flows; {found} found; {_spread(taken)}"
    return Figure(f"list of flows: {what}", median(taken), "ms", "page", note=note)


async def _page(port: int | None, what: str, path: str, flows: int) -> Figure:
    taken, text = await asyncio.to_thread(_ask, port, path)
    return Figure(
        f"page: {what}", median(taken), "ms", "page", note=f"GET {path} beside {flows:,} flows; {len(text) / 1000:.0f} kB; {_spread(taken)}"
    )


def _spread(taken: list[float]) -> str:
    return f"median of {len(taken)}, worst {max(taken):.0f} ms"


def _ask(port: int | None, path: str) -> tuple[list[float], bytes]:
    """Return how long each answer took, in milliseconds, and what it was. Raises RuntimeError if it is not 200."""
    asking = HTTPConnection("127.0.0.1", port, timeout=30)
    taken: list[float] = []
    text = b""
    # Slow is said once; it need not be waited for twenty times.
    while len(taken) < _TIMES and sum(taken) < _PATIENCE_SECONDS * 1000:
        began = perf_counter()
        asking.request("GET", path, headers={"Accept": "text/html, application/json"})
        answer = asking.getresponse()
        text = answer.read()
        taken.append((perf_counter() - began) * 1000)
        if answer.status != 200:
            raise RuntimeError(f"GET {path} answered {answer.status}: {text[:500]!r}")
    asking.close()
    return taken, text
