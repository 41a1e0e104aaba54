"""The workflows that are looked at. Tasks wait for a file beside this one, so that a test decides when they go on."""

from __future__ import annotations

import asyncio
from datetime import date
from enum import Enum
from pathlib import Path

from flower import Suspend, context, task, workflow

HERE = Path(__file__).parent


class Colour(Enum):
    """What may be chosen."""

    RED = "red"
    BLUE = "blue"


async def until(name: str) -> None:
    """Wait until a test lets go."""
    while not (HERE / name).exists():
        await asyncio.sleep(0.02)


@task
async def fetch(url: str) -> dict[str, str]:
    """Wait for `fetch`."""
    print("fetching", url)
    await until("fetch")
    return {"url": url}


@task
async def load(page: dict[str, str], day: date = date(2026, 11, 24)) -> int:
    """Fail until `load` is there."""
    print("loading", page["url"])
    if not (HERE / "load").exists():
        raise ValueError(f"column 'size' of {page['url']} does not add up for {day}")
    return 42


@task
async def approve(total: int) -> bool:
    """Ask a person."""
    raise Suspend(f"is {total} plausible?")


@task
async def publish(total: int, ok: bool = False) -> str:
    """End well."""
    context().progress(1, 2)
    return f"published {total}: {ok}"


@workflow
def digest(url: str, top: int = 5, colour: Colour = Colour.RED, tags: list[str] = ("a", "b"), loud: bool = False) -> dict[str, str]:  # type: ignore[assignment]
    """One task, which waits."""
    return fetch(url)


@workflow
def sales(url: str = "https://example.org/sales") -> str:
    """Three tasks, of which the second fails."""
    return publish(load(fetch(url)))


@workflow
def orders(total: int = 7) -> str:
    """One that waits for a person."""
    return publish(total, approve(total))
