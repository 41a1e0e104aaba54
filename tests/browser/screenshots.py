"""Makes the pictures of the page in docs/images, from a demo that runs: `make screenshots`."""

from __future__ import annotations

import asyncio
import json
import tempfile
from pathlib import Path

from playwright.async_api import Page, ViewportSize, async_playwright

from tests.browser.conftest import CHROMIUM
from tests.terminal import Terminal, serving

IMAGES = Path(__file__).parents[2] / "docs" / "images"
_SIZE = ViewportSize(width=1280, height=800)


def main() -> None:
    """Serve the demo, start its flows, and look."""
    if CHROMIUM is None:
        raise SystemExit("no Chromium on the PATH: apt-get install chromium")
    with tempfile.TemporaryDirectory(prefix="flower-", dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "shop.py").write_text(Path(__file__).with_name("demo.py").read_text())
        with serving(folder, "shop.py") as terminal:
            asyncio.run(look(terminal, CHROMIUM))


async def look(terminal: Terminal, chromium: str) -> None:
    """Take one picture after the other, each when what it is about can be seen."""
    IMAGES.mkdir(exist_ok=True)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        context = await browser.new_context(base_url=f"http://localhost:{terminal.port}", viewport=_SIZE, locale="en-GB", timezone_id="Europe/Paris")
        page = await context.new_page()
        for day in range(1, 9):
            start(terminal, "ledger", day=f"2026-11-{day:02}")
        failed = start(terminal, "sales", day="2026-11-13")
        start(terminal, "ledger", day="2026-11-13")
        await asyncio.sleep(6)
        start(terminal, "pictures")
        running = start(terminal, "sales")
        await asyncio.sleep(5)
        await taken(page, "/", "overview")
        await taken(page, f"/flows/{failed}", "failed")
        await taken(page, f"/flows/{running}?view=timeline", "timeline")
        await taken(page, "/flows", "flows")
        await taken(page, "/workflows/sales?show=start", "start")
        control(terminal)
        for _ in range(3):
            start(terminal, "sales")
        await taken(page, "/limits", "limits")
        await taken(page, "/schedules", "schedules")
        await page.emulate_media(color_scheme="dark")
        await taken(page, f"/flows/{running}", "dark")
        await page.set_viewport_size({"width": 390, "height": 800})
        await taken(page, f"/flows/{failed}", "phone")
        await browser.close()


async def taken(page: Page, address: str, name: str) -> None:
    """Look at *address* and keep it as *name*."""
    await page.goto(address)
    await page.wait_for_timeout(400)
    await page.screenshot(path=IMAGES / f"{name}.png")


def control(terminal: Terminal) -> None:
    """Set limits, pause something, and have workflows start by the clock."""
    for statement in (
        "INSERT INTO ms_limit (name, slots, rate) VALUES ('vendor', 4, '10/min'), ('tenant:*', 2, NULL), ('closed', 0, NULL), ('workflow:sales', 1, NULL)",
        """SELECT flower_pause('{"program": "thumbnail", "reason": "the disk is being changed", "until": "2999-01-01T00:00:00Z", "by": "anna"}')""",
        """SELECT flower_schedule('nightly', '{"workflow": "sales", "cron": "30 2 * * *", "zone": "America/New_York"}')""",
        """SELECT flower_schedule('pulse', '{"workflow": "ledger", "every": "15m"}'), flower_pause_schedule('pulse', '{"reason": "stocktaking"}')""",
        "SELECT flower_fire('pulse')",
    ):
        terminal.query(statement)


def start(terminal: Terminal, workflow: str, **parameters: str) -> str:
    """Return the id of a new flow."""
    given = json.dumps(parameters).replace("'", "''")
    return terminal.query(f"SELECT flower_register('{workflow}', '{given}')").strip()


if __name__ == "__main__":
    main()
