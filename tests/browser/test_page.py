"""What people do on the page, in a real browser."""

from __future__ import annotations

import signal
import time
from typing import Literal
from urllib.parse import quote

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, expect

from tests.browser.hostile import CORPUS, FLOW, hostile
from tests.browser.site import Site


async def test_a_flow_is_started_from_the_form_and_followed_to_its_end_without_a_reload(page: Page, site: Site) -> None:
    await page.goto("/workflows")
    await page.get_by_role("link", name="digest", exact=True).click()
    await page.get_by_role("link", name="Start", exact=True).click()
    assert await page.get_by_label("colour").input_value() == '"red"'
    assert await page.get_by_label("tags").input_value() == '["a", "b"]'

    # what is wrong is said at the field
    await page.get_by_role("button", name="Start").click()
    await expect(page.locator("[data-path='parameters.url'] + .wrong")).to_be_visible()
    await page.get_by_label("url").fill("https://example.org")
    await page.get_by_label("top").fill("7")
    await page.get_by_label("tags").fill("[1,")
    await page.get_by_role("button", name="Start").click()
    await expect(page.locator("[data-path='parameters.tags'] + .wrong")).to_contain_text("no JSON")
    await page.get_by_label("tags").fill('["x"]')
    await page.get_by_role("button", name="Start").click()

    await page.wait_for_url("**/flows/*")
    await page.evaluate("window.isTheSame = true")
    await expect(page.locator("h1 .mark")).to_have_text("▶ running")
    await expect(page.locator("#logs")).to_contain_text("fetching https://example.org")
    site.let("fetch")
    await expect(page.locator("h1 .mark")).to_have_text("✓ finish")
    await expect(page.locator("#result")).to_contain_text('"url": "https://example.org"')
    assert await page.evaluate("window.isTheSame")
    flow = page.url.rsplit("/", 1)[1]
    given = await site.connection.fetchval("SELECT parameters::text FROM kr_flow_stat WHERE task_flow_id = $1", flow)
    assert '"top": 7' in given


async def test_what_failed_is_found_in_two_clicks_read_and_rerun_with_its_plan(page: Page, site: Site) -> None:
    site.let("fetch")
    await site.start("sales")
    await page.goto("/")
    await page.get_by_role("link", name="ValueError: column 'size'").click()

    await expect(page.locator("#error")).to_contain_text("column 'size' of https://example.org/sales does not add up for 2026-11-24")
    await expect(page.locator("#error .where")).to_contain_text("in load")
    await expect(page.locator("#traceback")).to_contain_text("raise ValueError")
    await expect(page.locator("#logs")).to_contain_text("loading https://example.org/sales")
    site.let("load")
    await page.get_by_role("link", name="Rerun from here…").click()
    dialog = page.get_by_role("dialog")
    await expect(dialog).to_contain_text("Runs again: 2 tasks")
    await expect(dialog).to_contain_text("Kept and reused: 1 result")
    await dialog.get_by_label("Reason").fill("the vendor mended it")
    await dialog.get_by_role("button", name="Run 2 tasks again").click()

    await expect(page.locator("h1 .mark")).to_have_text("✓ finish")
    await expect(page.locator("#deeds")).to_contain_text("the vendor mended it")
    await page.goto("/")
    await expect(page.locator("#calm")).to_be_visible()


async def test_another_plan_is_shown_when_another_is_asked_for_and_carried_out(page: Page, site: Site) -> None:
    site.let("fetch")
    site.let("load")
    flow = await site.start("sales")
    await page.goto(f"/flows/{flow}?task=2")
    await expect(page.locator("h1 .mark")).to_have_text("✓ finish")
    await page.get_by_role("link", name="Rerun from here…").click()
    dialog = page.get_by_role("dialog")
    await expect(dialog).to_contain_text("Runs again: 2 tasks")
    await dialog.get_by_label("What").select_option("whole")
    await expect(dialog).to_contain_text("Runs again: 3 tasks")
    await dialog.get_by_label("What").select_option("only")
    await expect(dialog).to_contain_text("Runs again: 1 task")
    await dialog.get_by_role("button", name="Run 1 task again").click()

    await expect(page.locator("#deeds")).to_contain_text("rerun task 2")
    await expect(page.locator("h1 .mark")).to_have_text("✓ finish")
    attempts = await site.connection.fetch("SELECT name, attempt FROM flower_tasks WHERE flow_id = $1 ORDER BY seq", flow)
    assert [tuple(row) for row in attempts] == [("fetch", 1), ("load", 2), ("publish", 1)]


async def test_a_task_is_skipped_after_its_consequences_were_shown(page: Page, site: Site) -> None:
    site.let("fetch")
    flow = await site.start("orders")
    await page.goto(f"/flows/{flow}")
    await expect(page.locator("#task h2")).to_have_text("‖ approval approve")

    await page.get_by_role("link", name="Skip…").click()
    dialog = page.get_by_role("dialog")
    await expect(dialog).to_contain_text("Runs next: publish")
    await page.keyboard.press("Escape")
    await expect(dialog).not_to_be_visible()
    assert not await site.is_over(flow)
    await page.get_by_role("link", name="Skip…").click()
    await dialog.get_by_role("button", name="Skip the task").click()

    await expect(page.locator("h1 .mark")).to_have_text("✓ finish")


async def test_a_result_is_handed_in_by_a_form_of_its_type(page: Page, site: Site) -> None:
    flow = await site.start("orders")
    await page.goto(f"/flows/{flow}")
    await expect(page.locator("#task h2")).to_have_text("‖ approval approve")
    await page.get_by_role("link", name="Hand in the result…").click()
    dialog = page.get_by_role("dialog")
    assert await dialog.get_by_label("Result").evaluate("field => field.tagName") == "SELECT"
    await dialog.get_by_role("button", name="Hand in").click()
    await expect(dialog.locator("[data-key='result'] + .wrong")).to_be_visible()

    await dialog.get_by_label("Result").select_option("yes")
    await dialog.get_by_role("button", name="Hand in").click()

    await expect(page.locator("h1 .mark")).to_have_text("✓ finish")
    assert await site.connection.fetchval("SELECT result FROM flower_tasks WHERE name = 'publish'") == '"published 7: True"'


async def test_many_are_rerun_from_the_list_after_the_count_and_the_plan(page: Page, site: Site) -> None:
    site.let("fetch")
    for _ in range(3):
        await site.start("sales")
    await page.goto("/flows?status=failed")
    await expect(page.locator("#rows tr")).to_have_count(3)
    site.let("load")
    await page.get_by_role("link", name="Rerun all like this…").click()
    dialog = page.get_by_role("dialog")
    await expect(dialog.locator("h1")).to_have_text("Run 3 flows again?")
    await expect(dialog.locator("li").first).to_contain_text("2 tasks, from load")
    await dialog.get_by_role("button", name="Run 3 flows again").click()

    await expect(dialog).not_to_be_visible()
    await expect(page.locator("#rows tr")).to_have_count(0)
    await page.goto("/flows?status=finish")
    await expect(page.locator("#rows tr")).to_have_count(3)


async def test_flows_are_filtered_and_paged_and_the_address_holds_it_all(page: Page, site: Site) -> None:
    site.let("fetch")
    site.let("load")
    for number in range(60):
        await site.start("digest", url=f"https://example.org/{number}")
    await site.start("orders")
    await page.goto("/flows")
    await expect(page.locator("#rows tr")).to_have_count(50)
    await page.get_by_role("link", name="Older").click()
    await expect(page.locator("#rows tr")).to_have_count(11)
    await page.get_by_role("link", name="Newest").click()
    await expect(page.locator("#rows tr")).to_have_count(50)

    await page.get_by_label("Status").select_option("approval")
    await expect(page.locator("#rows tr")).to_have_count(1)
    assert page.url.endswith("/flows?status=approval")
    await page.get_by_role("link", name="Clear").click()
    await expect(page.locator("#rows tr")).to_have_count(50)
    assert await page.get_by_label("Status").input_value() == ""
    await page.get_by_label("Text").fill("example.org/42")
    await page.keyboard.press("Enter")
    await expect(page.locator("#rows tr")).to_have_count(1)
    await page.reload()
    await expect(page.locator("#rows tr")).to_have_count(1)
    assert await page.get_by_label("Text").input_value() == "example.org/42"
    await page.go_back()
    await expect(page.locator("#rows tr")).to_have_count(50)
    assert await page.get_by_label("Text").input_value() == ""

    # times are the reader's: Paris is an hour ahead of the UTC that the address has
    await page.get_by_label("Since").fill("2020-01-01T12:00:00")
    await page.get_by_label("Until").fill("2020-01-01T13:30:00")
    await page.get_by_role("button", name="Look").click()
    await expect(page.locator("#rows tr")).to_have_count(0)
    assert "since=2020-01-01T11%3A00%3A00.000Z&until=2020-01-01T12%3A30%3A00.000Z" in page.url
    await page.reload()
    assert await page.get_by_label("Since").input_value() == "2020-01-01T12:00"
    await page.get_by_label("Until").fill("")
    await page.get_by_role("button", name="Look").click()
    await expect(page.locator("#rows tr")).to_have_count(50)


async def test_new_flows_appear_in_the_list_by_themselves_and_soon(page: Page, site: Site) -> None:
    await page.goto("/flows")
    await expect(page.locator(".empty")).to_be_visible()
    await page.wait_for_timeout(500)  # the stream is open by now

    flow = await site.start("digest", url="x")
    began = time.perf_counter()
    await page.locator(f"[id='flow-{flow}']").wait_for()

    assert time.perf_counter() - began < 0.3 + 0.2  # a fifth for the machine, and for Playwright's own look
    await expect(page.locator(f"[id='flow-{flow}'] .mark")).to_have_text("▶ running")
    chosen = page.get_by_label(f"Choose flow {flow}")
    await chosen.check()
    site.let("fetch")
    await expect(page.locator(f"[id='flow-{flow}'] .mark")).to_have_text("✓ finish")
    assert await chosen.is_checked()


async def test_nothing_moves_when_rows_change(page: Page, site: Site) -> None:
    flows = [await site.start("digest", url="x") for _ in range(5)]
    sales = await site.start("sales")
    for address in ("/flows", f"/flows/{sales}", "/"):
        await page.goto(address)
        await expect(page.locator(".mark.running").first).to_be_visible()
        await page.wait_for_timeout(500)
        await page.evaluate(
            """window.moved = 0; new PerformanceObserver(
                list => list.getEntries().forEach(entry => moved += entry.value)).observe({type: "layout-shift"})"""
        )
        await site.connection.execute('UPDATE kr_task_stat SET progress = \'{"done": 3, "total": 10}\' WHERE exec_status = 1')
        await page.wait_for_timeout(500)
        if address == "/flows":
            await site.connection.execute("UPDATE kr_task_stat SET exec_status = 9 WHERE task_flow_id = $1", flows[0])
            await expect(page.locator(f"[id='flow-{flows[0]}'] .mark")).to_have_text("✓ finish")
        await page.wait_for_timeout(1200)  # durations count on
        assert await page.evaluate("window.moved") < 0.001, address


async def test_a_first_page_is_small(page: Page, site: Site) -> None:
    for _ in range(60):
        await site.start("digest", url="https://example.org/with/a/path/as/long/as/usual")
    sizes: dict[str, int] = {}
    page.on("response", lambda response: sizes.update({response.url: int(response.headers.get("content-length", 0))}))
    await page.goto("/")
    files = sum(size for url, size in sizes.items() if "/static/" in url)
    large = {}
    for address in await everywhere(site):
        await page.goto(address)
        if files + sizes[page.url] > 100_000:
            large[address] = files + sizes[page.url]
    assert (large, files > 20_000) == ({}, True)


async def test_all_of_it_works_by_keyboard(page: Page, site: Site) -> None:
    site.let("fetch")
    await site.start("sales")
    await page.goto("/")
    await page.keyboard.press("Tab")
    assert await focused(page) == "Skip to the content"
    await page.keyboard.press("Enter")
    await page.keyboard.press("Tab")
    assert (await focused(page)).startswith("ValueError")
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/flows/*")
    await tab_to(page, "Rerun from here…")
    site.let("load")
    await page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    await expect(dialog).to_be_visible()
    await tab_to(page, "Run 2 tasks again")
    await page.keyboard.press("Enter")

    await expect(page.locator("h1 .mark")).to_have_text("✓ finish")


async def focused(page: Page) -> str:
    return str(await page.evaluate("document.activeElement.textContent.trim()"))


async def tab_to(page: Page, name: str) -> None:
    for _ in range(60):
        if await focused(page) == name:
            return
        await page.keyboard.press("Tab")
    raise AssertionError(f"{name} is not reached by Tab")


async def test_without_javascript_all_of_it_can_be_read(browser: Browser, site: Site) -> None:
    site.let("fetch")
    flow = await site.start("sales")
    await site.stops(flow)
    async with await browser.new_context(base_url=site.url, java_script_enabled=False) as context:
        page = await context.new_page()
        await page.goto("/")
        await page.get_by_role("link", name="ValueError: column 'size'").click()
        await expect(page.locator("#error")).to_contain_text("does not add up")
        await page.get_by_role("link", name="Table").click()
        await page.get_by_role("link", name="fetch", exact=True).click()
        await expect(page.locator("#task h2")).to_have_text("✓ finish fetch")
        await page.get_by_role("link", name="Rerun from here…").click()
        await expect(page.locator("main")).to_contain_text("Runs again: 3 tasks")
        await page.goto("/flows")
        await page.get_by_label("Status").select_option("failed")
        await page.get_by_role("button", name="Look").click()
        await expect(page.locator("#rows tr")).to_have_count(1)
        await expect(page.locator("#rows time").first).to_contain_text("UTC")


PAGES = [
    "/",
    "/flows",
    "/workflows",
    "/workflows/sales",
    "/workflows/sales?show=start",
    "/workflows/sales?show=revisions",
    "/workers",
    "/limits",
    "/schedules",
]
OF_A_FLOW = ["", "?view=timeline", "?view=table", "?task=1"]
ASKS = ["rerun", "cancel", "suspend", "priority"]
OF_A_TASK = ["rerun", "ignore", "complete", "retry"]
CONTROL = [
    *("/schedules/nightly", "/schedules/stopped", "/ask/limit", "/ask/limit?name=stripe", "/ask/limit/remove?name=stripe", "/ask/pause?kind=limit"),
    *("/ask/unpause?kind=workflow&name=sales", "/ask/schedule", "/ask/schedule?name=nightly"),
    *(f"/ask/schedule/{verb}?name=nightly" for verb in ("fire", "pause", "remove", "backfill")),
    "/ask/schedule/backfill?name=nightly&from=2026-01-01T00:00:00Z&to=2026-02-01T00:00:00Z",
]


async def everywhere(site: Site) -> list[str]:
    """Return the address of every page, with a flow that has failed and one that waits for a person."""
    site.let("fetch")
    failed, waiting = await site.start("sales"), await site.start("orders")
    await site.stops(failed)
    await site.stops(waiting)
    await controls(site)
    of_flows = [f"/flows/{flow}{view}" for flow in (failed, waiting) for view in OF_A_FLOW]
    asks = [f"/ask/{verb}?flow={failed}" for verb in ASKS] + [f"/ask/{verb}?flow={failed}&task=2" for verb in OF_A_TASK]
    return [*PAGES, *CONTROL, *of_flows, *asks, f"/ask/many/rerun?flow={failed}", "/nothing", f"/flows/{failed}?task=nope"]


async def controls(site: Site) -> None:
    """Write limits, pauses and schedules in each state."""
    for statement in (
        "INSERT INTO ms_limit (name, slots, rate) VALUES ('stripe', 4, '10/min'), ('closed', 0, NULL), ('tenant:*', 2, NULL), ('slow', NULL, '1/h'), ('workflow:digest', 1, NULL)",
        """INSERT INTO ms_pause (kind, task_id, reason, until_ts) VALUES ('workflow', 'sales', 'stocktaking', now() + interval '1 day'), ('limit', 'tenant:*', NULL, NULL),
            ('program', 'nobody has it', NULL, NULL)""",
        """INSERT INTO ms_schedule (name, task_id, cron, every, zone, paused, reason, error) VALUES ('nightly', 'sales', '30 2 * * *', NULL, 'America/Argentina/ComodRivadavia', false, NULL, NULL),
            ('held', 'digest', NULL, '2 h', 'UTC', true, 'the vendor is away', NULL), ('stopped', 'digest', NULL, '1 day', 'UTC', false, NULL, 'the workflow is gone: define it again')""",
    ):
        await site.connection.execute(statement)
    await site.connection.execute('SELECT flower_fire(\'held\', \'{"parameters": {"url": "x"}}\')')


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_no_rule_of_accessibility_is_broken_on_any_page(page: Page, site: Site, scheme: Literal["light", "dark"]) -> None:
    await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    broken = {}
    for address in await everywhere(site):
        await page.goto(address)
        found = await Axe().run(page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]})
        if found.violations_count:
            broken[address] = found.generate_report()
    assert broken == {}


async def test_on_a_phone_nothing_is_cut_off(page: Page, site: Site) -> None:
    await page.set_viewport_size({"width": 360, "height": 740})
    wide = {}
    for address in await everywhere(site):
        await page.goto(address)
        width = await page.evaluate("document.documentElement.scrollWidth")
        if width > 360:
            wide[address] = width
    assert wide == {}


async def test_the_tree_that_a_screen_reader_gets_begins_with_landmarks_and_has_one_heading_of_the_first_level(page: Page, site: Site) -> None:
    for address in await everywhere(site):
        await page.goto(address)
        tree = await page.locator("body").aria_snapshot()
        top = [line for line in tree.splitlines() if line.startswith("- ")]
        assert top[:3] == ['- link "Skip to the content":', "- banner:", "- main:"], (address, tree)
        assert tree.count("[level=1]") == 1, (address, tree)
        unnamed = [
            line
            for line in tree.splitlines()
            if line.strip() in {"- link", "- button", "- textbox", "- combobox", "- checkbox", "- link:", "- button:"}
        ]
        assert unnamed == [], (address, tree)


async def test_what_a_task_is_called_or_says_is_never_run(page: Page, site: Site) -> None:
    await hostile(site.connection)
    page.on("dialog", lambda _: pytest.fail("a dialog opened"))
    workflow, flow = quote(CORPUS[0]), quote(FLOW, safe="")
    incident = await site.connection.fetchval("SELECT id FROM flower_incidents LIMIT 1")
    addresses = [
        *PAGES,
        *(f"/flows/{flow}{view}" for view in (*OF_A_FLOW, "?task=2", "?task=3", "?status=failed&view=table")),
        *(f"/ask/{verb}?flow={flow}" for verb in ASKS),
        *(f"/ask/{verb}?flow={flow}&task=1" for verb in OF_A_TASK),
        f"/ask/many/rerun?incident={incident}",
        *(f"/schedules/{quote(text, safe='')}" for text in CORPUS),
        *(f"/ask/{what}?name={quote(text)}" for text in CORPUS for what in ("limit", "limit/remove", "schedule", "schedule/fire", "schedule/remove")),
        *(f"/ask/{what}?kind={kind}&name={quote(text)}" for text in CORPUS for what in ("pause", "unpause") for kind in ("program", "limit")),
        *(f"/workflows/{workflow}{part}" for part in ("", "?show=start", "?show=revisions")),
        *(f"/flows?text={quote(text)}" for text in CORPUS),
        *(f"/{quote(text, safe='')}" for text in CORPUS),
        *(f"/flows/{quote(text, safe='')}" for text in CORPUS),
    ]
    for address in addresses:
        await page.goto(address)
        assert await page.evaluate("window.hacked") is None, address
        assert await page.locator("main [onerror], main [onload], main script, main iframe, main [href^='javascript']").count() == 0, address
    await page.goto(f"/flows/{flow}?task=1")
    await expect(page.locator("#error")).to_contain_text(CORPUS[0])
    await page.get_by_role("link", name="Skip…").click()
    await expect(page.get_by_role("dialog")).to_be_visible()
    assert await page.evaluate("window.hacked") is None


async def test_while_the_server_is_away_the_page_says_so_and_then_goes_on(page: Page, site: Site) -> None:
    await page.goto("/flows")
    await expect(page.locator(".empty")).to_be_visible()
    site.process.kill()
    await expect(page.locator("#live")).to_have_text("No answer from Flower; trying again…")

    await site.restart()
    await expect(page.locator("#live")).to_have_text("")
    site.process.kill()
    await expect(page.locator("#live")).to_have_text("No answer from Flower; trying again…")
    await site.restart()
    await expect(page.locator("#live")).to_have_text("")
    await page.wait_for_timeout(2000)
    await expect(page.locator("#live")).to_have_text("")
    flow = await site.start("digest", url="x")
    await expect(page.locator(f"[id='flow-{flow}'] .mark")).to_have_text("▶ running")


async def test_an_open_page_does_not_delay_the_end_of_the_server(page: Page, site: Site) -> None:
    await page.goto("/")
    await page.wait_for_timeout(500)
    began = time.perf_counter()
    site.process.send(signal.SIGINT)
    assert await site.process.ended() == 0
    assert time.perf_counter() - began < 2
