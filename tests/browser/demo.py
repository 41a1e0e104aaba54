"""A small shop's workflows, as a workload to make pictures of: most of it ends well, one thing fails, one waits for a person."""

from __future__ import annotations

import asyncio
import random
from datetime import date

from flower import Suspend, context, task, workflow

REGIONS = ["north", "south", "east", "west", "islands"]


@task(attempts=3, backoff=0.5)
async def fetch(region: str, day: date) -> dict[str, int]:
    """Fetch the sales of one region."""
    print(f"asking {region} for {day}")
    await asyncio.sleep(random.uniform(0.2, 1.2))
    if region == "south" and context().attempt == 1:
        raise ConnectionError(f"{region} did not answer")
    return {"orders": random.randint(10, 900)}


@task
async def clean(sales: dict[str, int]) -> dict[str, int]:
    """Drop what is counted twice."""
    await asyncio.sleep(random.uniform(0.1, 0.6))
    return sales


@task
async def load(sales: list[dict[str, int]], day: date) -> int:
    """Write the sales of all regions."""
    print(f"{len(sales)} regions for {day}")
    await asyncio.sleep(0.4)
    if day.day == 13:
        raise ValueError(f"the sum of {len(sales)} regions does not agree with the ledger of {day}")
    return sum(region["orders"] for region in sales)


@task
async def report(total: int, day: date) -> str:
    """Write the report, part by part."""
    for part in range(1, 21):
        context().progress(part, 20)
        print(f"part {part} of 20")
        await asyncio.sleep(0.5)
    return f"{day}: {total} orders"


@task
async def approve(total: int) -> bool:
    """Ask whether it may go out."""
    raise Suspend(f"{total} orders: may the report go out?")


@task
async def send(text: str, ok: bool) -> None:
    """Send the report."""
    await asyncio.sleep(0.2)


@task
async def thumbnail(picture: int) -> int:
    """Make one picture small."""
    await asyncio.sleep(random.uniform(0.01, 0.4))
    return picture


@task
async def gallery(pictures: list[int]) -> int:
    """Put them together."""
    return len(pictures)


@workflow
def sales(day: date = date(2026, 11, 24), regions: list[str] = REGIONS, note: str = "") -> int:
    """Fetch, clean and load the sales of all regions, report and ask."""
    total = load([clean(fetch(region, day)) for region in REGIONS], day)
    send(report(total, day), approve(total))
    return total


@workflow
def pictures(many: int = 400) -> int:
    """Make four hundred pictures small."""
    return gallery([thumbnail(number) for number in range(400)])


@workflow
def ledger(day: date = date(2026, 11, 24)) -> int:
    """One region, quickly."""
    return load([clean(fetch("north", day))], day)
