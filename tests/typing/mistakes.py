"""Mistakes that mypy and pyright must both find, each on a line that is marked so. Read by the type checkers only, never run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from flower import signal, start, task, wait_for, workflow


@dataclass
class Page:
    url: str
    score: float


@task
async def fetch(url: str, retries: int = 1) -> Page:
    return Page(url, retries)


@task
def summarise(pages: list[Page], top: int = 10) -> str:
    return f"{len(pages)} {top}"


@workflow
def digest(urls: Sequence[str], top: int = 3) -> str:
    page = fetch(urls[0])
    fetch(3)  # wrong
    fetch("a", retires=1)  # wrong
    fetch()  # wrong
    summarise(page)  # wrong
    summarise([page], top=page.score)  # wrong
    page.scroe  # wrong
    fetch.options(nmae="a")("a")  # wrong
    fetch.options(name=3)("a")  # wrong
    return page  # wrong


@workflow
def unnamed() -> int:
    return fetch("a")  # wrong


@workflow
def waits(url: str) -> Page:
    wait_for()  # wrong
    wait_for(3)  # wrong
    wait_for("a", kye=url)  # wrong
    wait_for("a", timeout="soon")  # wrong
    wait_for("a", result=Page).scroe  # wrong
    summarise(wait_for("a", result=Page))  # wrong
    wait_for.options(nmae="b")("a")  # wrong
    return wait_for("a", timeout=1, result=Page, default=None)  # wrong


async def outside() -> None:
    await signal()  # wrong
    await signal("a", kye=1)  # wrong
    await digest.start()  # wrong
    await digest.start(["a"], top="x")  # wrong
    (await digest.run(["a"])).score  # wrong
    flow = await digest.start(["a"])
    result: int = await flow.result()  # wrong
    await fetch("a")  # wrong
    page = await fetch.fn(3)  # wrong
    digest.options(prority=1)  # wrong
    await start(digest)  # wrong
    print(result, page)
