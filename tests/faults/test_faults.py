"""The short set: seven faults that every change must survive. All of them, at the real pace: `make faults`."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator

import pytest

from flower.database.cluster import Cluster
from tests.faults.faults import FAULTS
from tests.faults.field import SHORT, field, server
from tests.faults.report import Result

# Real processes and a real load on a busy machine.
pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
async def cluster() -> AsyncIterator[Cluster]:
    async with server() as cluster:
        yield cluster


@pytest.mark.parametrize("name", ["zombie", "sigterm", "crash", "commit", "deaf", "hostile", "kill"])
async def test_nothing_is_lost_and_nothing_finishes_twice(cluster: Cluster, name: str) -> None:
    seed = random.randrange(10**6)
    async with field(cluster, SHORT, seed) as place:
        await FAULTS[name].act(place)
        result = Result(FAULTS[name], await place.verdict(), place.notes, seed)

    assert not result.shortfalls, f"seed {seed}"
    assert result.verdict.tasks > 500
