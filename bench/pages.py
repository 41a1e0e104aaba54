"""How long the server takes for the first page of each kind of list of flows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from http.client import HTTPConnection
from statistics import median
from time import perf_counter

from bench.report import Figure

_TIMES = 20
_PATIENCE_SECONDS = 3.0
_LISTS = {
    "the newest": "",
    "of one workflow": "?workflow=one",
    "running (none is)": "?status=running",
    "failed (none is)": "?status=failed",
    "waiting (the oldest)": "?status=wait",
    "finished": "?status=finish",
}


async def measure(port: int | None, flows: int) -> AsyncIterator[Figure]:
    """Yield the time of each list, asked of the process at *port* whose database has *flows* flows."""
    for what, query in _LISTS.items():
        taken, status = await asyncio.to_thread(_ask, port, query)
        refused = "" if status == 200 else f"; answered {status}"
        note = f"GET /api/flows{query}, {flows:,} flows; median of {len(taken)}, worst {max(taken):.0f} ms{refused}"
        yield Figure(f"list of flows: {what}", median(taken), "ms", "page", note=note)


def _ask(port: int | None, query: str) -> tuple[list[float], int]:
    asking = HTTPConnection("127.0.0.1", port, timeout=30)
    taken: list[float] = []
    status = 200
    # Slow is said once; it need not be waited for twenty times.
    while len(taken) < _TIMES and sum(taken) < _PATIENCE_SECONDS * 1000 and status == 200:
        began = perf_counter()
        asking.request("GET", f"/api/flows{query}")
        answer = asking.getresponse()
        answer.read()
        status = answer.status
        taken.append((perf_counter() - began) * 1000)
    asking.close()
    return taken, status
