"""Everything that product.md shows, as it should be written: mypy and pyright must find nothing here. Never run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, assert_type

from flower import Flow, context, signal, signal_sync, start, task, wait_for, workflow


@dataclass
class Page:
    url: str
    score: float


@task
async def fetch(url: str, retries: int = 1) -> Page:
    return Page(url, context().attempt + retries)


@task(name="sum-up")
def summarise(pages: list[Page], top: int = 10) -> Page:
    return pages[top]


@task
async def publish(report: Page, score: float = 0) -> None:
    print(report, score)


@workflow
def digest(urls: Sequence[str] = ("https://example.org",), top: int = 5) -> Page:
    home = fetch.options(name="home")(urls[0])
    assert_type(home, Page)
    report = summarise([home, *[fetch(url, retries=2) for url in ("a", "b")]], top=top)
    publish.options(after=[home])(report, report.score)
    return report


@workflow
def waits(url: str) -> Page:
    page = fetch(url)
    assert_type(wait_for("reviewed"), Any)
    assert_type(wait_for("reviewed", key=page.url, timeout=60, default=None), Any)
    reviewed = wait_for("reviewed", key=("a", 3)[1], result=Page)
    assert_type(reviewed, Page)
    late = wait_for.options(name="late", after=[reviewed])("late", timeout=60, result=Page, default=None)
    assert_type(late, Page | None)
    publish(reviewed, reviewed.score)
    return summarise([reviewed])


@workflow(name="news/nothing")
def nothing() -> None:
    fetch("a")


async def outside() -> None:
    assert_type(await fetch.fn("a"), Page)
    assert_type(summarise.fn([]), Page)
    flow = await digest.start(["a"], top=3)
    assert_type(flow, Flow[Page])
    assert_type(await flow.result(timeout=60), Page)
    assert_type(await digest.options(priority=-5, key="k").run(), Page)
    assert_type(digest.run_sync(), Page)
    assert_type(await nothing.run(), None)
    await signal("reviewed", key=7, payload=Page("a", 1), idempotency_key="once")
    signal_sync("reviewed")
    by_name = await start("digest", {"urls": ["a"]}, priority=3)
    print(await by_name.result())
