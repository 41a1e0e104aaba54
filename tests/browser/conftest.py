"""A real Chromium that looks at a real `serve`. Where no Chromium is found these tests are skipped, and say so."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, BrowserContext, Page, async_playwright, expect

from flower.database.pool import Connection
from tests.browser.site import Site
from tests.engine.processes import SHORT, Process

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

expect.set_options(timeout=10_000)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.timeout(90))
            if CHROMIUM is None:
                item.add_marker(pytest.mark.skip(reason="no Chromium on the PATH (apt-get install chromium): the page was not looked at"))


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        await browser.close()


@pytest.fixture
async def site(tmp_path: Path, database_url: str, connection: Connection) -> AsyncIterator[Site]:
    """A Flower that serves the workflows of tests/browser/app.py, on a database of this test's own."""
    (tmp_path / "shop.py").write_text(Path(__file__).with_name("app.py").read_text())
    process = Process(tmp_path, database_url, "--port", "0", module="shop.py", settings=SHORT)
    site = Site(process, connection, database_url, tmp_path)
    try:
        await process.begun()
        yield site
    finally:
        site.process.kill()


@pytest.fixture
async def context(browser: Browser, site: Site) -> AsyncIterator[BrowserContext]:
    context = await browser.new_context(base_url=site.url, viewport={"width": 1280, "height": 900}, locale="en-GB", timezone_id="Europe/Paris")
    yield context
    await context.close()


@pytest.fixture
async def page(context: BrowserContext) -> AsyncIterator[Page]:
    """A page on which nothing goes wrong: no error of a script, nothing that the policy had to refuse."""
    page = await context.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on(
        "console", lambda message: wrong.append(message.text) if message.type == "error" and "Failed to load resource" not in message.text else None
    )
    yield page
    assert wrong == []
